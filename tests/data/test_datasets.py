"""data.py: VOC reading, faults in files, changes of image and target, find_data."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils.data import catalog
from course_utils.data.catalog import find_data
from course_utils.data.datasets import Images, VOCDataset
from course_utils.data.images import read_image
from course_utils.data.transforms import crop, flip
from course_utils.data.voc import read_voc_xml
from course_utils.ops.batches import collate
from course_utils.ops.targets import check_targets
from tests.helpers.labels import OBJECT, write_data


def read(tmp_path, body):
    path = tmp_path / "a.xml"
    path.write_text(f"<annotation>{body}</annotation>")
    return read_voc_xml(path)


def test_one_object_missing_tags_take_their_defaults(tmp_path):
    # pitfall: data loading: missing tag
    (dog,) = read(tmp_path, OBJECT.format(""))
    assert dog["name"] == "dog" and dog["box"] == (10, 20, 30, 60)
    assert not (dog["difficult"] or dog["truncated"] or dog["occluded"])
    (dog,) = read(tmp_path, OBJECT.format("<difficult>1</difficult>"))
    assert dog["difficult"] is True


def test_decimal_coordinates(tmp_path):
    # pitfall: data loading: decimal coordinate
    (dog,) = read(tmp_path, OBJECT.format("").replace("11", "12.5"))
    assert dog["box"] == (11.5, 20, 30, 60)


def test_corner_at_zero_is_clamped(tmp_path):
    (dog,) = read(tmp_path, OBJECT.format("").replace("11", "0"))
    assert dog["box"][0] == 0


def test_parts_are_not_objects_and_no_object_is_fine(tmp_path):
    # pitfall: data loading: one object, none, and parts
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax>"
    part += "<ymax>5</ymax></bndbox></part>"
    assert len(read(tmp_path, OBJECT.format(part))) == 1
    assert len(read(tmp_path, OBJECT.format("") * 2)) == 2
    assert read(tmp_path, "") == []


@pytest.mark.parametrize(
    "body, words",
    [
        (OBJECT.format("").replace("<xmin>11</xmin>", ""), r"<xmin> is missing"),
        ("<object><name>dog</name></object>", r"\(dog\): <bndbox><xmin> is missing"),
        (OBJECT.format("").replace("11", "ten"), r"<xmin> is 'ten', not a number"),
        (OBJECT.format("").replace("<name>dog</name>", ""), "has no <name>"),
        (OBJECT.format("").replace("30", "11").replace("11", "40", 1), "swap"),
        (OBJECT.format("").replace("30", "nan"), "NaN"),
        ("<object>", "not a readable XML"),
    ],
)
def test_faulty_xml_names_file_and_fault(tmp_path, body, words):
    # pitfall: data loading: missing tag
    with pytest.raises(ValueError, match=words) as error:
        read(tmp_path, body)
    assert "a.xml" in str(error.value)


def test_xml_bombs_are_refused(tmp_path):
    path = tmp_path / "bomb.xml"
    path.write_text(
        '<!DOCTYPE a [<!ENTITY b "cccccccc"><!ENTITY d "&b;&b;">]><annotation>&d;'
        "</annotation>"
    )
    with pytest.raises(ValueError, match="EntitiesForbidden|not a readable"):
        read_voc_xml(path)


def test_dataset_items(tmp_path):
    # pitfall: data loading: images with different numbers of boxes
    both = OBJECT.format("") + OBJECT.format("<difficult>1</difficult>").replace(
        "dog", "cat"
    )
    dataset = VOCDataset(write_data(tmp_path, {"a": both, "b": ""}), "train")
    assert len(dataset) == 2 and dataset.classes == ("cat", "dog")
    image, target = dataset[0]
    assert image.shape == (3, 64, 80) and image.dtype == torch.float32
    assert image.min() >= 0 and image.max() <= 1
    assert target["boxes"].tolist() == [[10, 20, 30, 60]] * 2
    assert target["boxes"].dtype == torch.float32
    assert target["labels"].tolist() == [2, 1] and target["labels"].dtype == torch.int64
    assert target["difficult"].tolist() == [False, True]
    assert target["image_id"] == "a" and "masks" not in target
    image, target = dataset[1]
    assert target["boxes"].shape == (0, 4) and target["labels"].shape == (0,)
    images, targets = collate([dataset[0], dataset[1]])
    assert len(images) == 2 and len(targets[0]["boxes"]) == 2


def test_dataset_names_unknown_class_and_split(tmp_path):
    root = write_data(tmp_path, {"a": OBJECT.format("")})
    with pytest.raises(ValueError, match=r"a\.xml: class 'dog' is not one of cat"):
        VOCDataset(root, "train", classes=["cat"])
    with pytest.raises(FileNotFoundError, match="no split 'tset'; there are: train"):
        VOCDataset(root, "tset")
    assert len(VOCDataset(root, "train", first=0)) == 0


def test_dataset_has_no_stale_cache(tmp_path):
    # pitfall: evaluation: stale cache of annotations
    root = write_data(tmp_path, {"a": OBJECT.format("")})
    assert len(VOCDataset(root, "train").objects[0]) == 1
    xml = f"<annotation>{OBJECT.format('') * 2}</annotation>"
    (root / "Annotations" / "a.xml").write_text(xml)
    assert len(VOCDataset(root, "train").objects[0]) == 2


def test_images_of_every_kind_become_three_channels(tmp_path):
    grey = np.tile(np.arange(16, dtype=np.uint8) * 17, (8, 1))
    kinds = {
        "L": Image.fromarray(grey),
        "I;16": Image.fromarray(grey.astype(np.uint16) * 257),
        "P": Image.fromarray(grey).convert("P"),
        "RGBA": Image.fromarray(grey).convert("RGBA"),
        "1": Image.fromarray(grey > 100),
    }
    for kind, image in kinds.items():
        path = tmp_path / f"{len(kind)}.png"
        image.save(path)
        pixels = read_image(path)
        assert pixels.shape == (3, 8, 16), kind
        assert pixels[:, 0, 0].tolist() == [0, 0, 0], kind
        assert pixels[:, 0, 15].tolist() == [1, 1, 1], kind
    Image.fromarray(grey).convert("CMYK").save(tmp_path / "c.jpg")
    assert read_image(tmp_path / "c.jpg").shape == (3, 8, 16)


def test_exif_orientation_is_applied(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :10] = 255  # white at the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95)
    upright = read_image(tmp_path / "a.jpg")
    assert upright.shape == (3, 60, 40)
    assert upright[:, :8].min() > 0.9 and upright[:, 14:].max() < 0.1


def test_cut_off_or_false_image_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    for name, content in ("cut.jpg", whole[: len(whole) // 2]), ("text.jpg", b"hello"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}: unreadable or cut off"):
            read_image(tmp_path / name)


@pytest.fixture
def item():
    target = {
        "boxes": torch.tensor([[256.0, 275, 267, 293]]),
        "labels": torch.tensor([3]),
        "difficult": torch.tensor([False]),
        "image_id": "x",
        "masks": torch.zeros(1, 400, 512, dtype=torch.bool),
    }
    target["masks"][0, 275:293, 256:267] = True
    return torch.rand(3, 400, 512), target


def mask_box(mask):
    y, x = mask.nonzero().unbind(1)
    return [x.min().item(), y.min().item(), x.max().item() + 1, y.max().item() + 1]


def test_flip_twice_is_the_original(item):
    # pitfall: training: targets changed in place
    image, target = item
    before = target["boxes"].clone()
    once = flip(image, target)
    assert once[1]["boxes"].tolist() == [[245, 275, 256, 293]]
    assert mask_box(once[1]["masks"][0]) == [245, 275, 256, 293]
    twice = flip(*once)
    assert torch.equal(twice[0], image) and torch.equal(twice[1]["boxes"], before)
    assert torch.equal(target["boxes"], before)


def test_flip_mirrors_the_proposals_with_the_boxes(item):
    image, target = item
    proposals = torch.tensor([[0.0, 0, 10, 20]])
    mirrored = flip(image, target | {"proposals": proposals})[1]["proposals"]
    assert mirrored.tolist() == [[502, 0, 512, 20]]
    assert proposals.tolist() == [[0, 0, 10, 20]]


def test_crop_moves_clips_and_drops(item):
    image, target = item
    part, inside = crop(image, target, (250, 270, 300, 300))
    assert part.shape == (3, 30, 50)
    assert inside["boxes"].tolist() == [[6, 5, 17, 23]]
    assert mask_box(inside["masks"][0]) == [6, 5, 17, 23]
    _, gone = crop(image, target, (265, 270, 300, 300))  # 2 of 11 columns are left
    assert gone["boxes"].shape == (0, 4) and gone["masks"].shape == (0, 30, 35)
    with pytest.raises(ValueError, match="is not inside 512 x 400"):
        crop(image, target, (0, 0, 600, 10))


@pytest.mark.parametrize(
    "labels, words",
    [
        (torch.tensor([3]), "label 0 is 3; this model knows labels 1..2, 0 is backgr"),
        (torch.tensor([0]), "labels 1..2, 0 is background"),
        (torch.tensor([1.0]), "must be integers 1..2, 0 is background"),
        (torch.tensor([1, 1]), "1 boxes but 2 labels"),
    ],
)
def test_bad_labels_are_named(labels, words):
    # pitfall: training: label out of range or of wrong type
    target = {
        "boxes": torch.tensor([[0.0, 0, 5, 5]]),
        "labels": labels,
        "image_id": "a7",
    }
    with pytest.raises(ValueError, match=words) as error:
        check_targets([target], 3)
    assert "image a7" in str(error.value)


def test_good_targets_are_brought_into_form_and_left_alone():
    # pitfall: training: label out of range or of wrong type
    given = [
        {"boxes": [[0, 0, 5, 5]], "labels": torch.tensor([2], dtype=torch.int32)},
        {"boxes": torch.tensor([]), "labels": torch.tensor([])},
    ]
    first, second = check_targets(given, 3)
    assert first["labels"].dtype == torch.int64 and first["boxes"].shape == (1, 4)
    assert second["boxes"].shape == (0, 4) and second["labels"].dtype == torch.int64
    assert given[0]["labels"].dtype == torch.int32
    with pytest.raises(ValueError, match="image 0: box 0"):
        check_targets([{"boxes": [[3, 3, 3, 9]], "labels": torch.tensor([1])}], 3)


def test_find_data_says_where_to_put_it(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="no data set 'coco'; there are tabletop"):
        find_data("coco")
    monkeypatch.setattr(catalog, "REPOSITORY", tmp_path)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "mine"))
    with pytest.raises(FileNotFoundError, match="put the folder") as error:
        find_data("bccd")
    assert str(tmp_path / "mine") in str(error.value) and "\n" not in str(error.value)
    (tmp_path / "mine" / "bccd" / "ImageSets" / "Main").mkdir(parents=True)
    assert find_data("bccd") == tmp_path / "mine" / "bccd"


@pytest.mark.parametrize(
    "name, split, count, boxes, classes",
    [("voc2007", "test", 1000, 2968, 20), ("bccd", "train", 205, 2804, 3)],
)
def test_real_photographs_through_the_same_reader(name, split, count, boxes, classes):
    if not os.environ.get("COURSE_DATA"):
        pytest.skip("set COURSE_DATA to the folder of voc2007-mini and bccd")
    dataset = VOCDataset(find_data(name), split)
    assert len(dataset) == count and len(dataset.classes) == classes
    targets = [dataset.target(i) for i in range(len(dataset))]
    assert sum(len(t["boxes"]) for t in targets) == boxes
    image, target = dataset[0]
    height, width = image.shape[1:]
    limit = torch.tensor([width, height, width, height])
    assert (target["boxes"] >= 0).all() and (target["boxes"] <= limit).all()


def test_images_reads_pictures_as_bytes_when_asked():
    dataset = VOCDataset(find_data("tabletop"), "test", first=3)
    images = Images(dataset)
    assert len(images) == len(list(images)) == 3
    assert images[1].dtype == torch.uint8
    assert torch.equal(images[1].float() / 255, dataset[1][0])
