"""Detectors over the frozen backbone, on a few small pictures and invented maps."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils.data import catalog, feature_maps
from course_utils.data.catalog import find_data, photographs
from course_utils.data.datasets import VOCDataset
from course_utils.data.feature_maps import (
    SHAPES,
    SIDE,
    Photographs,
    frozen_maps,
    split_maps,
)
from course_utils.evaluation.mistakes import sort_mistakes
from course_utils.models import photo_detector
from course_utils.models.imagenet import imagenet_backbone
from course_utils.models.photo_detector import (
    PhotoFasterRCNN,
    load_detector,
    save_detector,
)
from course_utils.training.loop import fit


@pytest.fixture(scope="module")
def backbone():
    return imagenet_backbone()


@pytest.fixture
def few(tmp_path):
    """Three tabletop scenes in a folder of their own."""
    tabletop = VOCDataset(find_data("tabletop"), "test", first=3)
    for folder in ("JPEGImages", "Annotations"):
        (tmp_path / folder).mkdir()
        for i in tabletop.ids:
            shutil.copy(tabletop.path(folder, i), tmp_path / folder)
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "test.txt").write_text("\n".join(tabletop.ids))
    return VOCDataset(tmp_path, "test", tabletop.classes)


def test_folded_norms_change_nothing(backbone):
    import timm

    from course_utils.models.imagenet import imagenet_weights

    plain = timm.create_model("tf_efficientnet_lite0", features_only=True)
    full = imagenet_weights(timm.create_model("tf_efficientnet_lite0"))
    plain.load_state_dict({k: full[k] for k in plain.state_dict()})
    image = torch.rand(2, 3, 96, 128)
    with torch.no_grad():
        expected = plain.eval()(2 * image - 1)[3:]
    for ours, theirs in zip(backbone(image), expected):
        assert (ours - theirs).abs().max() < 1e-3
        assert ours.std() > 0.1  # not just zeros


def test_maps_are_cached_by_content(few, backbone, monkeypatch):
    maps = frozen_maps("few", backbone, few, mirror=True)
    assert maps.shape == (6, sum(np.prod(s) for s in SHAPES))
    fine, coarse = split_maps(torch.from_numpy(np.array(maps)))
    squares = torch.stack([feature_maps.to_square(few[i][0]) for i in range(3)])
    assert torch.allclose(fine[:3], backbone(squares)[0], atol=0.02, rtol=0.01)
    assert torch.allclose(
        coarse[3:], backbone(squares.flip(3))[1], atol=0.02, rtol=0.01
    )
    monkeypatch.setattr(feature_maps, "to_square", None)  # must not be needed again
    again = frozen_maps("few", backbone, few, mirror=True)
    assert np.array_equal(maps, again)
    monkeypatch.undo()
    path = few.path("JPEGImages", few.ids[0])
    Image.new("RGB", (240, 180), "red").save(path)  # the learner changes a picture
    changed = frozen_maps("few", backbone, few, mirror=True)
    assert not np.array_equal(maps[0], changed[0])
    assert np.array_equal(maps[1], changed[1])


def test_targets_in_the_square_and_mirrored(few):
    maps = np.zeros((6, 4), np.float16)
    maps[3:] = 1  # the mirror images
    data = Photographs(few, maps)
    torch.manual_seed(0)
    for _ in range(10):
        row, target = data[1]
        boxes = few.target(1)["boxes"] * torch.tensor([1.6, 384 / 180, 1.6, 384 / 180])
        if row[0] == 1:
            boxes = torch.stack(
                [384 - boxes[:, 2], boxes[:, 1], 384 - boxes[:, 0], boxes[:, 3]], 1
            )
        assert torch.allclose(target["boxes"], boxes, atol=1e-3)
    assert {float(data[1][0][0]) for _ in range(20)} == {0.0, 1.0}


@pytest.mark.slow
def test_it_learns_three_pictures_by_heart(few, backbone, tmp_path):
    torch.manual_seed(0)
    maps = frozen_maps("few", backbone, few)
    data = Photographs(few, maps)
    model = PhotoFasterRCNN(backbone, 9, channels=64, hidden=256)
    model.backbone.standardise(maps)
    batch = list(zip(*[data[i] for i in range(3)]))
    fit(model, [batch] * 200, 1, lr=2e-3)
    model.eval()
    images = [few[i][0] for i in range(3)]
    for detected, i in zip(model(images), range(3)):
        kinds = sort_mistakes(detected, few.target(i), 0.3)
        # in pixels of the picture, not of the square
        assert len(kinds["right"]) > len(kinds["missed"]), kinds
    square = model([data[0][0]])[0]["boxes"]
    photo = model(images[:1])[0]["boxes"]
    scale = torch.tensor([240, 180, 240, 180]) / SIDE
    assert (square[:3] * scale - photo[:3]).abs().max() < 3  # float16 maps
    file = tmp_path / "mine.safetensors"
    save_detector(model, file, few.classes, half=False)
    again, classes = load_detector(file)
    assert classes == list(few.classes) and not again.training
    assert torch.equal(again(images)[0]["boxes"], model(images)[0]["boxes"])
    assert set(again.state_dict()) == set(model.state_dict())
    assert file.stat().st_size < 8e6  # the frozen backbone is left out


def test_a_file_that_holds_no_detector(tmp_path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a detector")
    with pytest.raises(ValueError, match=r"bad\.safetensors holds no detector"):
        load_detector(bad)
    with pytest.raises(FileNotFoundError):
        load_detector(tmp_path / "none.safetensors")


def test_without_the_photographs_tabletop_stands_in(monkeypatch, capsys, tmp_path):
    def missing(name):
        if name == "voc2007":
            raise FileNotFoundError("data set voc2007 is nowhere")
        return find_data(name)

    monkeypatch.setattr(catalog, "find_data", missing)
    data = photographs("trainval", first=5)
    assert len(data) == 5 and "mug" in data.classes
    assert "Tabletop stands in" in capsys.readouterr().out


def test_the_photographs_are_listed_and_none_is_in_both_lists():
    folder = photo_detector.REPOSITORY / "data" / "voc2007_ids"
    lists = {f.stem: f.read_text().split() for f in folder.glob("*.txt")}
    assert {k: len(v) for k, v in lists.items()} == {"trainval": 1250, "test": 1000}
    assert len({i for ids in lists.values() for i in ids}) == 2250


def test_every_kind_of_mistake():
    def boxes(*rows):
        return torch.tensor(rows, dtype=torch.float32)

    target = {
        "boxes": boxes(
            [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]
        ),
        "labels": torch.tensor([1, 2, 1, 1]),
        "difficult": torch.tensor([False, False, False, True]),
    }
    detected = {
        "boxes": boxes(
            [0, 0, 10, 10],  # right
            [0, 0, 10, 9],  # the same again
            [20, 0, 30, 10],  # says 1, is 2
            [40, 0, 50, 40],  # too tall: IoU 1/4
            [80, 80, 90, 90],  # nothing there
            [60, 0, 70, 10],  # difficult
            [20, 0, 30, 10],  # right, but not sure enough
        ),
        "labels": torch.tensor([1, 1, 1, 1, 2, 1, 2]),
        "scores": torch.tensor([0.9, 0.8, 0.7, 0.95, 0.6, 0.9, 0.2]),
    }
    found = sort_mistakes(detected, target)
    expected = {"right": [0], "twice": [1], "class": [2], "place": [3]}
    assert found == expected | {"background": [4], "missed": [1, 2]}
    none = {k: v[:0] for k, v in detected.items()}
    assert sort_mistakes(none, target)["missed"] == [0, 1, 2]
    empty = {k: v[:0] for k, v in target.items()}
    assert len(sort_mistakes(detected, empty)["background"]) == 6
