"""targets.py and every transform: any form of target, all its boxes moved alike."""

import copy

import numpy as np
import pytest
import torch

from course_utils.data.datasets import ObjectCrops, Scenes, SmallImages
from course_utils.data.feature_maps import Photographs
from course_utils.data.transforms import crop, flip, random_change, zoom_and_shift
from course_utils.models.localizer import Classifier, exactly_k
from course_utils.ops.boxes import box_area
from course_utils.ops.targets import BOX_KEYS, check_targets, keep_objects, read_target
from course_utils.training.pretrain import Views, hide_parts, random_view

SIZE = (60, 80)
SQUARE = (30, 20, 50, 40)


def scene(box=SQUARE, **more):
    """A dark image with a bright square, and a target with two objects: it twice."""
    image = torch.full((3, *SIZE), 0.2)
    x1, y1, x2, y2 = box
    image[:, y1:y2, x1:x2] = 1
    masks = torch.zeros(2, *SIZE, dtype=torch.uint8)
    masks[:, y1:y2, x1:x2] = 1
    boxes = torch.tensor([box, box]).float()
    target = {
        "boxes": boxes,
        "labels": torch.tensor([2, 1]),
        "proposals": torch.cat([boxes, boxes.new_tensor([[0, 0, 4, 4]])]),
        "masks": masks,
        "area": box_area(boxes),
        "iscrowd": torch.zeros(2, dtype=torch.uint8),
        "image_id": torch.tensor([7]),
    }
    return image, target | more


def cut(image, target):
    return crop(image, target, (25, 10, 75, 55))


TRANSFORMS = {
    "flip": flip,
    "crop": cut,
    "random_change": random_change,
    "random_view": random_view,
}
each_transform = pytest.mark.parametrize("move", TRANSFORMS.values(), ids=TRANSFORMS)


class Few(torch.utils.data.Dataset):
    """Items in memory, with what a data set of the course has besides."""

    classes = ("red", "green")

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]

    def target(self, i):
        return self.items[i][1]


def extent(mask):
    y, x = mask.nonzero().unbind(1)
    return torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1]).float()


@each_transform
@pytest.mark.parametrize("as_bytes", [False, True])
def test_pixels_boxes_proposals_and_masks_move_together(move, as_bytes):
    # pitfall: transforms: forms of targets
    torch.manual_seed(0)
    seen = 0
    for _ in range(20):
        image, target = scene()
        image = (image * 255).round().byte() if as_bytes else image
        moved, new = move(image, target)
        if len(new["boxes"]) == 0:
            continue
        seen += 1
        moved = moved.float() / 255 if moved.dtype == torch.uint8 else moved
        bright = moved[0] > 0.6 * moved[0].max()
        for box in (*new["boxes"], *new["proposals"][:2]):
            assert (extent(bright) - box).abs().max() < 1.5
        assert torch.equal(new["boxes"], new["proposals"][:2])
        assert (extent(new["masks"][0]) - new["boxes"][0]).abs().max() < 1.5
        assert new["masks"].dtype == torch.uint8
        assert new["masks"].shape == (2, *moved.shape[1:])
        torch.testing.assert_close(new["area"], box_area(new["boxes"]))
    assert seen > 10


@each_transform
def test_nothing_given_is_changed(move):
    # pitfall: training: targets changed in place
    torch.manual_seed(0)
    image, target = scene()
    before = copy.deepcopy((image, target))
    for _ in range(4):
        moved, new = move(image, target)
        moved += 1
        new["boxes"] += 1
        new["masks"][:] = 0
        new["more"] = 1
    assert torch.equal(image, before[0]) and target.keys() == before[1].keys()
    for key, value in before[1].items():
        assert torch.equal(target[key], value), key


def forms():
    """The same objects in the forms that users of torchvision's detectors have."""
    from torchvision.tv_tensors import BoundingBoxes, Mask

    _, target = scene()
    boxes = target["boxes"]
    bare = {"boxes": boxes, "labels": target["labels"]}
    yield "bare", bare
    yield "difficult", bare | {"difficult": torch.tensor([0, 1], dtype=torch.uint8)}
    yield "whole numbers", target | {"boxes": boxes.int(), "proposals": boxes.long()}
    yield "float64", bare | {"boxes": boxes.double(), "image_id": 3}
    yield "list", {"boxes": boxes.tolist(), "labels": [2, 1], "names": ["a", "b"]}
    yield "array", {"boxes": boxes.numpy(), "labels": np.array([2, 1])}
    wrapped = BoundingBoxes(boxes, format="XYXY", canvas_size=SIZE)
    yield "tv_tensor", target | {"boxes": wrapped, "masks": Mask(target["masks"])}
    yield "bool crowd", bare | {"iscrowd": torch.tensor([True, False])}
    yield "number as id", bare | {"image_id": torch.tensor(5), "size": torch.ones(2)}


@each_transform
def test_every_usual_form_of_target(move):
    # pitfall: transforms: forms of targets
    for name, target in forms():
        torch.manual_seed(3)
        image = scene()[0]
        moved, new = move(image, target)
        torch.manual_seed(3)
        plain = {"boxes": torch.tensor([SQUARE] * 2).float(), "labels": None}
        want = move(image, plain | {"labels": torch.tensor([2, 1])})[1]["boxes"]
        assert type(new["boxes"]) is torch.Tensor, name
        assert torch.equal(new["boxes"], want), name
        assert moved.dtype == torch.float32
        (checked,) = check_targets([new], 3)
        assert checked["labels"].tolist() == [2, 1] and len(want) == 2
        assert checked["difficult"].dtype == torch.bool


@each_transform
@pytest.mark.parametrize("shape", [(0,), (0, 4)])
def test_a_target_without_objects(move, shape):
    # pitfall: transforms: forms of targets
    torch.manual_seed(0)
    empty = {"boxes": torch.zeros(shape), "labels": torch.zeros(0, dtype=torch.int64)}
    more = {"masks": torch.zeros(0), "area": torch.zeros(0), "iscrowd": torch.zeros(0)}
    for target in (empty, empty | more, empty | {"proposals": torch.zeros(shape)}):
        for _ in range(4):
            moved, new = move(scene()[0], target)
            assert new["boxes"].shape == (0, 4) and new["labels"].shape == (0,)
            assert "masks" not in new or new["masks"].shape == (0, *moved.shape[1:])
            assert "proposals" not in new or new["proposals"].shape == (0, 4)
            assert check_targets([new], 3)[0]["difficult"].shape == (0,)


def test_objects_that_leave_take_their_rows_and_nothing_else():
    # pitfall: transforms: forms of targets
    image, target = scene()
    target["boxes"] = torch.tensor([[30.0, 20, 50, 40], [0, 0, 10, 10]])
    target |= {"area": torch.tensor([400.0, 60]), "names": ["near", "far"]}
    target |= {"image_id": torch.tensor([1, 9]), "orig_size": torch.tensor(SIZE)}
    target |= {"iscrowd": torch.tensor([1, 0])}
    for move in (cut, lambda *item: random_view(*item, least=2.2, most=2.2)):
        torch.manual_seed(1)
        _, new = move(image, target)
        for key in ("boxes", "labels", "area", "masks", "iscrowd", "names"):
            assert len(new[key]) == 1, key
        assert new["labels"].tolist() == [2] and new["names"] == ["near"]
        assert new["image_id"].tolist() == [1, 9]
        assert new["orig_size"].tolist() == list(SIZE)
    _, new = cut(image, target)
    assert new["proposals"].tolist() == [[5, 10, 25, 30]] * 2  # the third is outside
    assert new["area"].tolist() == [400]
    half = crop(image, target, (40, 0, 80, 60))[1]
    assert half["area"].tolist() == [200]
    assert half["boxes"].tolist() == [[0, 20, 10, 40]]
    assert half["proposals"].tolist() == [[0, 20, 10, 40]] * 2
    with pytest.raises(ValueError, match="'track' may have a row for each object"):
        cut(image, target | {"track": torch.tensor([4, 5])})
    kept = keep_objects({"boxes": target["boxes"], "track": [4, 5]}, torch.ones(2) > 0)
    assert kept["track"] == [4, 5]


def test_twice_mirrored_is_the_original_bit_for_bit():
    image, target = scene((3, 5, 31, 20))
    target["iscrowd"], target["area"] = target["iscrowd"].bool(), torch.rand(2)
    twice_image, twice = flip(*flip(image, target))
    assert torch.equal(twice_image, image) and twice.keys() == target.keys()
    for key, value in target.items():
        assert torch.equal(twice[key], value), key
    assert set(BOX_KEYS) <= target.keys()


BOXES = torch.tensor([SQUARE] * 2).float()
SWAPPED = torch.tensor([SQUARE, (50, 20, 30, 40)])
SMALL = torch.zeros(2, 9, 9)
BAD = {
    "keypoints cannot move along; leave that key out": {"keypoints": BOXES},
    "2 boxes but 3 labels; give one for each box": {"labels": torch.ones(3).int()},
    "2 boxes but 1 area; give one": {"area": torch.ones(1)},
    "2 boxes but no iscrowd; give one": {"iscrowd": torch.tensor(0)},
    r"masks of shape \(2, 9, 9\) for an image of 60 x 80": {"masks": SMALL},
    "boxes are in XYWH; convert them to x1, y1, x2, y2": {"boxes": "XYWH"},
    r"proposals\[0\] = .* is not finite": {"proposals": BOXES / 0},
    r"proposals: boxes must have shape \(N, 4\)": {"proposals": torch.ones(3, 5)},
    "box 1 = .* swap the corners or drop the box": {"boxes": SWAPPED},
    r"boxes are no tensor \(N, 4\)": {"boxes": [[1, 2, 3, 4], [1, 2]]},
}


@each_transform
@pytest.mark.parametrize("words", BAD)
def test_a_target_that_cannot_be_moved_names_image_key_and_mend(move, words):
    # pitfall: transforms: forms of targets
    from torchvision.tv_tensors import BoundingBoxes

    image, target = scene(**BAD[words])
    if isinstance(target["boxes"], str):
        target["boxes"] = BoundingBoxes(BOXES, format="XYWH", canvas_size=SIZE)
    with pytest.raises(ValueError, match=f"^image 7[:,] .*{words}") as error:
        move(image, target)
    assert "\n" not in str(error.value)


def test_targets_without_boxes_are_named_where_boxes_are_needed():
    # pitfall: transforms: forms of targets
    image, target = scene()
    del target["boxes"]
    for name in ("crop", "random_change", "random_view"):
        with pytest.raises(ValueError, match=f"image 7: no 'boxes', which {name} need"):
            TRANSFORMS[name](image, target)
    with pytest.raises(ValueError, match="no 'boxes', which training needs; give"):
        check_targets([target], 3)
    assert flip(image, {"masks": target["masks"]})[1]["masks"].shape == (2, *SIZE)
    with pytest.raises(ValueError, match="a target is a dict with 'boxes'"):
        check_targets([BOXES], 3)
    for wrong in (None, target):
        with pytest.raises(ValueError, match="a list of targets, one an image, not"):
            check_targets(wrong, 3)
    with pytest.raises(ValueError, match="image 0: no 'labels'; give one for each box"):
        check_targets([{"boxes": BOXES}], 3)
    with pytest.raises(ValueError, match=r"image 0: labels have shape \(2, 1\)"):
        check_targets([{"boxes": BOXES, "labels": torch.ones(2, 1).int()}], 3)


def test_difficult_is_filled_in_and_crowds_count_as_such():
    # pitfall: transforms: forms of targets
    bare = {"boxes": BOXES, "labels": torch.tensor([1, 2])}
    crowd = bare | {"iscrowd": torch.tensor([0, 1], dtype=torch.uint8)}
    both = crowd | {"difficult": torch.tensor([True, False])}
    given = [bare, crowd, both, bare | {"iscrowd": [False, True]}]
    found = [target["difficult"] for target in check_targets(given, 3)]
    wanted = [[False, False], [False, True], [True, True], [False, True]]
    assert [flags.tolist() for flags in found] == wanted
    assert {flags.dtype for flags in found} == {torch.bool}
    assert "difficult" not in bare and crowd["iscrowd"].tolist() == [0, 1]
    torch.manual_seed(0)
    views = [random_view(scene()[0], t)[1]["difficult"] for t in given[:2]]
    assert views[0].tolist() == [False, False] and views[1].tolist() == [False, True]
    items = Few((scene()[0], bare), (scene()[0], crowd))
    assert ObjectCrops(items, 16).labels == [1, 2, 1]


def test_data_sets_in_memory_take_any_target_and_change_none():
    # pitfall: transforms: forms of targets
    image, target = scene()
    before = copy.deepcopy(target)
    items = Few(((image * 255).byte(), target))
    small = SmallImages(items, (30, 20))
    pixels, new = small[0]
    assert new["boxes"].tolist() == [[7.5, 10, 12.5, 20]] * 2 and "masks" not in new
    assert new["proposals"].tolist() == [*new["boxes"].tolist(), [0, 0, 1, 2]]
    assert new["area"].tolist() == [50, 50]
    assert pixels[0, 15, 10] == 1 and abs(pixels[0, 2, 2] - 0.2) < 0.01
    new["more"] = 1
    assert "more" not in small[0][1]
    for key, value in before.items():
        assert torch.equal(target[key], value), key
    for make in (SmallImages, ObjectCrops):
        words = f"image 0: no 'boxes', which {make.__name__} needs"
        with pytest.raises(ValueError, match=words):
            make(Few((image, {})), *([SIZE] if make is SmallImages else []))


class Stored(Few):
    """The same with image files."""

    def __init__(self, folder, *items):
        super().__init__(*items)
        self.folder, self.ids = folder, list(range(len(items)))
        for i, (image, _) in enumerate(items):
            from PIL import Image

            pixels = (image * 255).byte().permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(self.path("", i))

    def path(self, _, i):
        return self.folder / f"{i}.png"


def test_scenes_photographs_and_views_move_proposals_too(tmp_path):
    # pitfall: transforms: forms of targets
    image, target = scene()
    given = target.pop("proposals")
    before = copy.deepcopy(target)
    items = Stored(tmp_path, (image, target))
    maps = np.zeros((2, 4), np.float16)
    maps[1] = 1  # the mirror image
    data = Photographs(items, maps, [given])
    plain = torch.tensor([[144.0, 128, 240, 256]])  # of 384: mirrored it is the same
    torch.manual_seed(0)
    for row, new in (data[0] for _ in range(6)):
        assert torch.allclose(new["boxes"], plain.repeat(2, 1))
        corner = [364.8, 0, 384, 25.6] if row[0] == 1 else [0, 0, 19.2, 25.6]
        assert torch.allclose(new["proposals"][2], torch.tensor(corner), atol=1e-3)
        torch.testing.assert_close(new["area"], box_area(new["boxes"]))
    scenes = Scenes(items, [given], augment=True)
    corners = {tuple(scenes[0][1]["proposals"][2].tolist()) for _ in range(12)}
    assert corners == {(0, 0, 4, 4), (76, 0, 80, 4)}
    with pytest.raises(ValueError, match="proposals of 2 images for 1 images; give a"):
        Scenes(items, [given, given])
    _, view = Views(items)[0]
    assert len(view["proposals"]) >= 3 * len(view["boxes"])
    assert target.keys() == before.keys()
    for key, value in before.items():
        assert torch.equal(target[key], value), key


def test_hidden_parts_of_any_image_and_box():
    image, _ = scene()
    torch.manual_seed(0)
    outside = torch.tensor([[-10, -10, 10, 10]])
    for kind in (image, (image * 255).byte()):
        hidden = hide_parts(kind, outside, chance=1.0)
        changed = ((hidden - image).abs() > 0.01).any(0)
        assert changed[:10, :10].any() and not changed[10:].any()
        assert hidden.min() >= 0 and hidden.max() <= 1
        nothing = hide_parts(kind, torch.zeros(0), chance=1.0)
        assert torch.allclose(nothing, image, atol=0.01)


def test_bytes_are_moved_like_fractions():
    image, _ = scene()
    zoom, shift = torch.tensor([1.2, 0.8]), torch.tensor([3.0, -2])
    moved = zoom_and_shift((image * 255).byte(), zoom, shift)
    assert torch.allclose(moved, zoom_and_shift(image, zoom, shift), atol=0.01)


def test_networks_of_lesson_02_name_a_target_they_cannot_use():
    # pitfall: training: label out of range or of wrong type
    model = Classifier(torch.nn.Conv2d(3, 4, 1), 4, 3)
    images = [torch.rand(3, 8, 8)]
    for labels in ([0], [3], [-1], [1, 2], [], [1.5]):
        with pytest.raises(ValueError, match="image 0.* label"):
            model(images, [{"labels": torch.tensor(labels)}])
    assert model(images, [{"labels": [2]}])["class"].isfinite()
    one = {"boxes": BOXES[:1], "labels": torch.tensor([-1])}
    with pytest.raises(ValueError, match=r"image 0 has a label -1 \(ignore\)"):
        exactly_k([one], 1, 3)
    with pytest.raises(ValueError, match="image 0 holds 2 objects"):
        exactly_k([{"boxes": BOXES, "labels": [1, 2]}], 1, 3)


def test_a_target_keeps_what_it_has_besides():
    odd = {"boxes": [[0, 0, 4, 4]], "note": "dusk", "camera": torch.ones(3, 3)}
    new = read_target(odd, SIZE)
    assert new["note"] == "dusk" and new["camera"] is odd["camera"]
    assert odd["boxes"] == [[0, 0, 4, 4]]
