"""labels, label_faults, export: formats read, faults named, data sets written."""

import contextlib
import hashlib
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from course_utils.data.datasets import VOCDataset
from course_utils.data.frame import turn_box
from course_utils.data.images import look_at, read_pixels
from course_utils.data.labels import export
from course_utils.data.labels.export import make_dataset, write_coco_json, write_voc_xml
from course_utils.data.labels.faults import check_labels, wrong_names
from course_utils.data.labels.read import (
    read_coco_labels,
    read_labels,
    read_voc_labels,
    read_yolo_labels,
)
from course_utils.data.labels.splits import divide_groups
from course_utils.data.voc import read_voc_xml
from tests.helpers.labels import DOG, SIZE, coco, labelled, save_image, voc


def one(tmp_path, *objects, classes=("dog", "cat"), **image):
    """(records, [(kind, object)], messages) of a folder with one labelled image."""
    labelled(tmp_path / "a.jpg", *objects, **image)
    records = read_voc_labels(tmp_path)
    faults = check_labels(records, classes)
    return records, [f[1:3] for f in faults], " ".join(f.message for f in faults)


def hashes(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {
        p: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in files
    }


def test_voc_beside_the_images_and_in_annotations(tmp_path):
    labelled(tmp_path / "a.jpg", DOG)
    save_image(tmp_path / "JPEGImages" / "b.JPG")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "b.xml").write_text(
        voc([]).replace(
            "</annotation>",
            "<object><name>cat</name><difficult>1"
            "</difficult><bndbox><xmin>1.5</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax>"
            "</bndbox></object></annotation>",
        )
    )
    b, a = read_labels(tmp_path)
    assert a["file"] == tmp_path / "a.jpg" and a["labels"] == tmp_path / "a.xml"
    assert a["size"] == SIZE and a["problem"] is None
    plain = {"difficult": False, "truncated": False, "occluded": False}
    assert a["objects"] == [{"name": "dog", "box": (10, 5, 40, 30)} | plain]
    assert b["file"].name == "b.JPG" and b["labels"].parent.name == "Annotations"
    cat = {"name": "cat", "box": (0.5, -1, 9, 9)} | plain | {"difficult": True}
    assert b["objects"] == [cat]


def test_voc_image_is_found_by_its_name_then_by_the_name_in_the_file(tmp_path):
    for name in ("a.jpg", "a.png", "new.jpg", "old.jpg"):
        save_image(tmp_path / name)
    (tmp_path / "a.xml").write_text(voc([DOG], filename="C:\\pictures\\a.png"))
    (tmp_path / "new.xml").write_text(voc([DOG], filename="old.jpg"))  # was renamed
    (tmp_path / "1.xml").write_text(voc([DOG], filename="old.jpg"))
    (tmp_path / "gone.xml").write_text(voc([DOG], filename="gone.png"))
    (tmp_path / "map.xml").write_text("<kml/>")
    found = {r["file"].name: r["labels"] for r in read_voc_labels(tmp_path)}
    found = {image: label and label.name for image, label in found.items()}
    assert found == {
        "a.jpg": None,
        "a.png": "a.xml",
        "gone.jpg": "gone.xml",
        "new.jpg": "new.xml",
        "old.jpg": "1.xml",
    }


@pytest.mark.parametrize("layout", ["beside", "labels", "images/day"])
def test_yolo(tmp_path, layout):
    image, label = tmp_path / "a.png", tmp_path / "a.txt"
    if layout != "beside":
        label = tmp_path / "labels" / "a.txt"
    if layout == "images/day":
        image, label = tmp_path / layout / "a.png", tmp_path / "labels/day/a.txt"
    save_image(image, orientation=6)  # upright it is 48 x 64
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_text("1 0.5 0.25 0.25 0.5\n\n0 0.5 0.5 1 1 0.93\n")
    (tmp_path / "classes.txt").write_text("cat\ntraffic light\n\n")
    (record,) = read_labels(tmp_path)
    assert record["file"] == image and record["labels"] == label
    assert record["size"] is None and record["problem"] is None
    boxes = {o["name"]: o["box"] for o in record["objects"]}
    assert boxes == {"traffic light": (18, 0, 30, 32), "cat": (0, 0, 48, 64)}
    (record,) = read_yolo_labels(tmp_path, ["a", "b"])
    assert record["objects"][0]["name"] == "b"
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(
        ValueError, match=r"no data.yaml, obj.names or classes.txt there"
    ):
        read_labels(tmp_path)


def test_coco(tmp_path):
    for name in ("images/a.jpg", "images/day/b.jpg", "images/c.jpg"):
        save_image(tmp_path / name)
    images = [
        {"id": 5, "file_name": "a.jpg", "width": 64, "height": 48},
        {"id": 9, "file_name": "day\\b.jpg"},
        {"id": 10, "file_name": "gone.jpg", "width": 0, "height": 0},
    ]
    mark = {"id": 1, "image_id": 5, "category_id": 7, "bbox": [10, 5, 30, 25.5]}
    crowd = mark | {"id": 2, "iscrowd": 1, "category_id": 8, "image_id": 9}
    (tmp_path / "annotations").mkdir()
    path = tmp_path / "annotations" / "instances.json"
    path.write_text(coco(images, [mark, crowd]))
    a, b, gone, c = read_labels(tmp_path)
    assert a["file"].name == "a.jpg" and a["size"] == SIZE and a["labels"] == path
    assert a["objects"] == [
        {
            "name": "dog",
            "box": (10, 5, 40, 30.5),
            "difficult": False,
            "iscrowd": False,
        }
    ]
    assert b["file"] == tmp_path / "images" / "day" / "b.jpg" and b["size"] is None
    assert b["objects"][0]["name"] == "cat" and b["objects"][0]["difficult"] is True
    assert gone["size"] is None and not gone["file"].exists()
    assert c["file"].name == "c.jpg" and c["labels"] is None
    assert read_coco_labels(path, tmp_path / "images")[0] == a


def test_read_labels_says_what_it_looked_for(tmp_path):
    save_image(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("buy milk")
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(ValueError, match="no labels found; looked for VOC XML beside"):
        read_labels(tmp_path)
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.5 0.5")
    (tmp_path / "a.xml").write_text(voc([DOG]))
    with pytest.raises(ValueError, match=r"several forms \(a.xml, a.txt\)"):
        read_labels(tmp_path)
    (tmp_path / "a.txt").unlink()
    assert len(read_labels(tmp_path)) == 1


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("a.xml", "<annotation><object>", "not a readable XML file"),
        ("a.xml", voc([("dog", "ten", 1, 9, 9)]), r"<xmin> is 'ten', not a number"),
        ("a.xml", voc([("dog", 1, 1)]), r"object 0 \(dog\): <bndbox><xmax> is missing"),
        (
            "a.xml",
            '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>',
            "Entit",
        ),
        ("a.txt", "0 0.5 0.5 0.5 0.5\n0 0.5 half 0.5 0.5", "'half'"),
        ("a.txt", "0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9", "line 1 has 9 numbers, not 5"),
        ("a.txt", "0 0.5 0.5 0.5", "line 1 has 4 numbers"),
        (
            "a.txt",
            "2 0.5 0.5 0.5 0.5",
            "line 1: class 2 has no name in classes.txt, which has 2 names",
        ),
        ("a.txt", "-1 0.5 0.5 0.5 0.5", "class -1"),
        ("a.txt", "0.5 0.5 0.5 0.5 0.5", "class 0.5"),
    ],
)
def test_unreadable_labels_are_reported_and_reading_goes_on(
    tmp_path, name, text, words
):
    labels, suffix = (tmp_path / name), name[1:]
    save_image(tmp_path / "a.jpg")
    save_image(tmp_path / "b.jpg")
    labels.write_text(text)
    good = voc([DOG]) if suffix == ".xml" else "1 0.5 0.5 0.5 0.5"
    (tmp_path / "b").with_suffix(suffix).write_text(good)
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    records = read_labels(tmp_path)
    assert [r["problem"] is None for r in records] == [False, True]
    ((file, kind, thing, message),) = check_labels(records, ["dog", "cat"])
    assert (file.name, kind, thing) == ("a.jpg", "unreadable labels", None)
    assert str(labels) in message and "draw the labels again" in message
    assert re.search(words, message)


@pytest.mark.parametrize(
    "content, words",
    [
        ('{"images": [], "annotations"', "not a whole COCO file"),
        ("[]", "not a whole COCO file"),
        ('{"images": [], "annotations": []}', "'categories' is missing"),
        (
            coco(
                [], [{"id": 3, "image_id": 1, "category_id": 7, "bbox": [1, 1, 9, 9]}]
            ),
            "annotations of images that it does not list",
        ),
    ],
)
def test_broken_coco_file_is_one_fault(tmp_path, content, words):
    path = tmp_path / "instances.json"
    path.write_text(content)
    ((file, kind, _, message),) = check_labels(read_coco_labels(path, tmp_path))
    assert file == path and kind == "unreadable labels" and re.search(words, message)
    with pytest.raises(FileNotFoundError):
        read_coco_labels(tmp_path / "no.json", tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"bbox": [1, 2, 3]}, {"bbox": None}, {"category_id": 1}, {"bbox": "abcd"}],
)
def test_a_broken_coco_annotation_spoils_its_image_alone(tmp_path, change):
    for name in "ab":
        save_image(tmp_path / f"{name}.jpg")
    images = [{"id": i, "file_name": f"{name}.jpg"} for i, name in enumerate("ab")]
    mark = {"id": 31, "category_id": 7, "bbox": [1, 1, 9, 9]}
    marks = [mark | {"image_id": 0} | change, mark | {"id": 32, "image_id": 1}]
    path = tmp_path / "instances.json"
    path.write_text(coco(images, marks))
    records = read_labels(tmp_path)
    assert [len(r["objects"]) for r in records] == [0, 1]
    ((file, _, _, message),) = check_labels(records)
    assert file.name == "a.jpg" and "annotation 31" in message


@pytest.mark.parametrize(
    "corners, kinds",
    [
        ((11, 6, 40, 30), []),
        ((1, 1, 64, 48), []),  # the whole image
        ((0, 0, 65, 49), []),  # a pixel too far, as some programs round
        ((11, 6, 66, 30), ["outside"]),
        ((11, 6, 40, 50), ["outside"]),
        ((-1, 6, 40, 30), ["outside"]),
        ((11, -9, 40, 30), ["outside"]),
        ((110, 106, 140, 130), ["outside"]),
        ((40, 6, 11, 30), ["swapped"]),
        ((11, 30, 40, 6), ["swapped"]),
        ((90, 6, 11, 30), ["swapped", "outside"]),
        ((11, 6, 10, 30), ["tiny"]),  # no width
        ((11, 6, 13, 30), ["tiny"]),
        ((11, 6, 40, 8), ["tiny"]),
        ((11, 6, 14, 9), []),
        (("nan", 6, 40, 30), ["NaN"]),
        ((11, 6, 40, "inf"), ["NaN"]),
    ],
)
def test_box_faults(tmp_path, corners, kinds):
    _, found, message = one(tmp_path, ("cat", 1, 1, 9, 9), ("dog", *corners))
    assert found == [(kind, 1) for kind in kinds]
    if kinds:
        assert "a.jpg: object 1 (dog): box (" in message and "a.xml" in message


def test_boxes_are_checked_in_the_size_that_the_labels_state(tmp_path):
    """A box of the unturned pixels would reach out of the upright picture."""
    wide = ("dog", 11, 6, 64, 30)
    _, found, message = one(tmp_path, wide, orientation=6)
    assert found == [("rotated", None)] and "make_dataset turns the boxes" in message
    tall = voc([("dog", 11, 6, 48, 64)], SIZE[::-1])
    (tmp_path / "a.xml").write_text(tall)
    assert check_labels(read_voc_labels(tmp_path)) == []
    (tmp_path / "a.xml").write_text(voc([wide], SIZE[::-1]))
    assert check_labels(read_voc_labels(tmp_path))[0].kind == "outside"


@pytest.mark.parametrize(
    "size, orientation, stated, doubt",
    [
        (SIZE, 3, SIZE, True),  # upside down: both have one size
        ((48, 48), 6, (48, 48), True),
        (SIZE, 8, (0, 0), True),  # no size stated
        (SIZE, 8, (48, 64), False),
        (SIZE, 1, SIZE, False),
        (SIZE, 77, SIZE, False),  # no such number
    ],
)
def test_doubtful_turns_are_named(tmp_path, size, orientation, stated, doubt):
    labelled(tmp_path / "a.jpg", DOG, size=size, orientation=orientation)
    (tmp_path / "a.xml").write_text(voc([DOG], stated))
    faults = check_labels(read_voc_labels(tmp_path))
    assert [f.kind for f in faults] == ["rotated"] * doubt
    (tmp_path / "a.xml").write_text(voc([], stated))  # no box, no doubt
    assert check_labels(read_voc_labels(tmp_path)) == []


def test_wrong_size(tmp_path):
    labelled(tmp_path / "a.jpg", DOG)
    (tmp_path / "a.xml").write_text(voc([DOG], (640, 480)))
    (fault,) = check_labels(read_voc_labels(tmp_path))
    assert fault.kind == "wrong size" and fault.object is None
    assert "for 640 x 480 pixels, the file has 64 x 48" in fault.message


@pytest.mark.parametrize(
    "second, twice",
    [
        (("dog", 11, 6, 40, 30), True),
        (("dog", 11, 6, 41, 30), True),  # IoU 0.968
        (("dog", 11, 6, 42, 30), False),  # 0.938
        (("cat", 11, 6, 40, 30), False),
    ],
)
def test_duplicates(tmp_path, second, twice):
    _, found, message = one(tmp_path, DOG, second, ("cat", 1, 1, 5, 5))
    assert found == [("duplicate", 1)] * twice
    assert not twice or "see object 0; delete one" in message


def test_wrong_classes_are_named_with_what_is_meant(tmp_path):
    names = ("dgo", "Dog", " dog", "zebra", "traffic-light", "dog", " ")
    for i, name in enumerate(names):
        labelled(tmp_path / f"{i}.jpg", (name, *DOG[1:]))
    records = read_voc_labels(tmp_path)
    faults = check_labels(records, ["dog", "cat", "traffic light"])
    assert {f.kind for f in faults} == {"class"}
    found = {f.file.stem: f.message for f in faults}
    for stem in "012":
        assert f"class {names[int(stem)]!r} is none of dog, cat" in found[stem]
        assert "write 'dog'" in found[stem]
    assert "'zebra' is none of" in found["3"] and found["3"].endswith(
        "or mend the name in " + str(tmp_path / "3.xml")
    )
    assert "write 'traffic light'" in found["4"]
    assert "5" not in found and "has no class name" in found["6"]


@pytest.mark.parametrize(
    "counts, wrong",
    [
        ({"apple": 8, "appel": 1}, {"appel": "apple"}),
        ({"apple": 8, "aple": 2, "Apple": 5}, {"aple": "apple", "Apple": "apple"}),
        ({"dog": 4, "dgo": 1}, {"dgo": "dog"}),
        ({"dog": 4, "dog ": 3, "DOG": 1}, {"dog ": "dog", "DOG": "dog"}),
        ({"traffic light": 3, "traffic_light": 2}, {"traffic_light": "traffic light"}),
        ({"apple": 3, "appel": 1}, {}),  # not rare
        ({"RBC": 400, "WBC": 30, "Platelets": 30}, {}),
        ({"cat": 40, "car": 2, "bowl": 30, "ball": 1}, {}),
        ({"player 1": 50, "player 2": 1}, {}),
        ({"dog": 4, "": 1}, {"": None}),
    ],
)
def test_wrong_names_without_a_list(counts, wrong):
    objects = [{"name": name} for name, n in counts.items() for _ in range(n)]
    assert wrong_names([{"objects": objects}]) == wrong


def twelve_files(root):
    """A folder of 12 image files; each fault of the lesson is in one of them."""
    labelled(root / "good1.jpg", DOG, ("cat", 1, 1, 20, 20))
    labelled(root / "good2.png", DOG)
    labelled(root / "outside.jpg", DOG, ("dog", 41, 31, 90, 48))
    labelled(root / "swapped.jpg", ("dog", 60, 31, 41, 48), DOG)
    labelled(root / "tiny.jpg", DOG, ("cat", 31, 31, 30, 30))
    labelled(root / "twice.jpg", DOG, DOG)
    labelled(root / "spelling.jpg", ("Dgo", 11, 6, 40, 30))
    labelled(root / "nan.jpg", ("dog", 11, 6, "nan", 30), ("cat", 1, 1, 9, 9))
    labelled(root / "turned.jpg", DOG, orientation=6)
    labelled(root / "resized.jpg", DOG, size=(640, 480))
    save_image(root / "resized.jpg")
    labelled(root / "cut.jpg", DOG)
    whole = (root / "cut.jpg").read_bytes()
    (root / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    save_image(root / "bare.jpg")
    (root / "gone.xml").write_text(voc([DOG], filename="gone.jpg"))
    return {
        ("outside.jpg", "outside", 1),
        ("swapped.jpg", "swapped", 0),
        ("tiny.jpg", "tiny", 1),
        ("twice.jpg", "duplicate", 1),
        ("spelling.jpg", "class", 0),
        ("nan.jpg", "NaN", 0),
        ("turned.jpg", "rotated", None),
        ("resized.jpg", "wrong size", None),
        ("cut.jpg", "unreadable image", None),
        ("bare.jpg", "no labels", None),
        ("gone.jpg", "missing image", None),
    }


@pytest.mark.parametrize("classes", [None, ["dog", "cat"]])
def test_twelve_files_each_fault_named_the_good_ones_written(tmp_path, classes):
    root = tmp_path / "mine"
    expected = twelve_files(root)
    assert len([p for p in root.iterdir() if p.suffix != ".xml"]) == 12
    before = hashes(root)
    records = read_labels(root)
    faults = check_labels(records, classes)
    assert {(f.file.name, f.kind, f.object) for f in faults} == expected
    assert len(faults) == len(expected)
    for file, _, number, message in faults:
        assert message.startswith(str(file)) and "\n" not in message
        assert number is None or f"object {number} (" in message
    out = make_dataset(records, tmp_path / "set", ["dog", "cat"], faults)
    assert hashes(root) == before
    sets = [VOCDataset(out, part) for part in ("train", "val", "test")]
    written = {s.ids[i]: s[i] for s in sets for i in range(len(s))}
    assert set(written) == {
        *("good1", "good2", "outside", "swapped", "tiny", "twice", "nan", "turned")
    }
    assert sum(map(len, sets)) == len(written) and all(map(len, sets))
    boxes = {name: target["boxes"].tolist() for name, (_, target) in written.items()}
    dog = [10, 5, 40, 30]
    assert boxes["good1"] == [dog, [0, 0, 20, 20]]
    for name in ("good2", "outside", "swapped", "tiny", "twice"):
        assert boxes[name] == [dog]
    assert boxes["nan"] == [[0, 0, 9, 9]]
    assert written["nan"][1]["labels"].tolist() == [2]
    assert boxes["turned"] == [[48 - 30, 10, 48 - 5, 40]]
    assert written["turned"][0].shape == (3, 64, 48)
    assert (out / "classes.txt").read_text() == "dog\ncat\n"
    assert [p.name for p in tmp_path.iterdir() if p.name[0] == "."] == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_boxes_stay_on_their_object(tmp_path, orientation):
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[8:16, 16:48] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path, exif=exif)
    box = turn_box((16, 8, 48, 16), orientation, (64, 48))
    y, x = (read_pixels(path)[0] > 128).nonzero().unbind(1)
    assert box == (x.min(), y.min(), x.max() + 1, y.max() + 1)
    assert read_pixels(path).shape[1:] == look_at(path).upright[::-1]
    if orientation > 4:  # the two sizes differ, so the labels say which is meant
        for name, size, drawn in (("s", SIZE, (16, 8, 48, 16)), ("u", (48, 64), box)):
            x1, y1, x2, y2 = drawn
            text = voc([("dog", x1 + 1, y1 + 1, x2, y2)], size)
            path.with_suffix(".xml").write_text(text)
            out = make_dataset(read_voc_labels(tmp_path), tmp_path / name, ["dog"])
            assert VOCDataset(out, "train").target(0)["boxes"].tolist() == [list(box)]


def test_upright_jpegs_are_copied_and_all_else_becomes_jpeg(tmp_path):
    root, out = tmp_path / "mine", tmp_path / "set"
    plain = labelled(root / "a b.jpeg", DOG)
    labelled(root / "turned.jpg", DOG, orientation=3)
    Image.fromarray(np.full((48, 64), 40_000, np.uint16)).save(root / "grey.png")
    (root / "grey.xml").write_text(voc([DOG]))
    false = labelled(root / "false.jpg", DOG)
    Image.open(false).save(false, "PNG")
    make_dataset(read_labels(root), out, ["dog"])
    folder = out / "JPEGImages"
    assert (folder / "a_b.jpg").read_bytes() == plain.read_bytes()
    for name in ("turned", "grey", "false"):
        assert look_at(folder / f"{name}.jpg")[2:4] == (1, "JPEG")
    grey = read_pixels(folder / "grey.jpg")
    assert grey.shape == (3, 48, 64) and abs(int(grey.float().mean()) - 155) <= 1
    old, new = read_pixels(root / "turned.jpg"), read_pixels(folder / "turned.jpg")
    assert (old.float() - new.float()).abs().mean() < 8


def test_equal_names_do_not_collide(tmp_path):
    names = ("a/x.jpg", "b/X.png", "b/x.jpg", "b/x y.jpg", "b/x_y.jpg")
    for i, name in enumerate(names):
        labelled(tmp_path / name, DOG, seed=i)
    records = read_labels(tmp_path / "a") + read_labels(tmp_path / "b")
    out = make_dataset(records, tmp_path / "set", ["dog", "cat"], split=(1, 0, 0))
    dataset = VOCDataset(out, "train")
    assert sorted(i.casefold() for i in dataset.ids) == [
        *("x", "x_2", "x_3", "x_y", "x_y_2")
    ]
    images = {dataset[i][0].numpy().tobytes() for i in range(5)}
    assert len(images) == 5
    assert len(VOCDataset(out, "val")) == len(VOCDataset(out, "test")) == 0


def test_what_stays_and_what_goes(tmp_path):
    labelled(tmp_path / "empty.jpg")  # labelled as empty: background, wanted
    labelled(tmp_path / "half.jpg", DOG, ("dog", 1, 1, 2, 2))
    labelled(tmp_path / "lost.jpg", ("dog", 1, 1, 2, 2))  # would count as empty
    labelled(tmp_path / "edge.jpg", ("dog", 0, 0, 65, 49))
    records = read_voc_labels(tmp_path)
    objects = [len(r["objects"]) for r in records]
    out = make_dataset(records, tmp_path / "set", ["dog"], split=(1, 0, 0))
    dataset = VOCDataset(out, "train")
    assert dataset.ids == ["edge", "empty", "half"]
    boxes = [dataset.target(i)["boxes"].tolist() for i in range(3)]
    assert boxes == [[[0, 0, 64, 48]], [], [[10, 5, 40, 30]]]
    assert [len(r["objects"]) for r in records] == objects
    faults = [f for f in check_labels(records) if f.kind != "tiny"]
    out = make_dataset(records, tmp_path / "all", ["dog"], faults, (1, 0, 0))
    assert len(VOCDataset(out, "train")) == 4


def test_nothing_is_written_over_or_left_half_done(tmp_path, monkeypatch):
    root = tmp_path / "mine"
    labelled(root / "a.jpg", DOG)
    records = read_voc_labels(root)
    there = tmp_path / "there"
    there.mkdir()
    with pytest.raises(FileExistsError, match="there exists already; choose another"):
        make_dataset(records, there, ["dog"])
    with pytest.raises(ValueError, match="none of 1 images has an object without"):
        make_dataset(records, tmp_path / "set", ["cat"])
    with pytest.raises(
        ValueError, match=r"a.jpg: classes \['dog'\] are not in the list"
    ):
        make_dataset(records, tmp_path / "set", ["cat"], faults=[])
    with pytest.raises(ValueError, match="three parts of train, val, test, sum 1"):
        make_dataset(records, tmp_path / "set", ["dog"], split=(0.7, 0.7, 0.15))
    monkeypatch.setattr(export, "write_voc_xml", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_dataset(records, tmp_path / "set", ["dog"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "there"]


@pytest.mark.parametrize(
    "count, sizes",
    [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (100, [70, 15, 15])],
)
def test_divide_groups_of_one(count, sizes):
    alone = [[i] for i in range(count)]
    parts = divide_groups(alone, (0.7, 0.15, 0.15), 0)
    assert [len(ids) for ids in parts.values()] == sizes
    assert sorted(sum(parts.values(), [])) == list(range(count))
    assert divide_groups(alone, (0.7, 0.15, 0.15), 0) == parts
    if count == 100:
        assert divide_groups(alone, (0.7, 0.15, 0.15), 1) != parts
        assert parts["train"] != list(range(70))


def detections():
    """Two detections as a detector gives them, and the images they are for."""
    boxes = torch.tensor([[0.4, 0.6, 10.3, 20.2], [30.0, 8.0, 64.0, 48.0]])
    one = {
        "boxes": boxes,
        "labels": torch.tensor([2, 1]),
        "scores": torch.tensor([0.75, 0.5]),
    }
    none = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "scores": torch.zeros(0),
    }
    return [one, none], [("a.jpg", SIZE), ("b.jpg", SIZE)]


def test_voc_round_trip(tmp_path):
    (detected, empty), _ = detections()
    path = tmp_path / "a.xml"
    write_voc_xml(path, SIZE, detected | {"difficult": [True, False]}, ["dog", "cat"])
    cat, dog = read_voc_xml(path)
    boxes = torch.tensor([cat["box"], dog["box"]])
    assert torch.equal(boxes, detected["boxes"])
    assert cat["name"] == "cat" and cat["difficult"] and not dog["difficult"]
    save_image(tmp_path / "a.jpg")
    (record,) = read_labels(tmp_path)
    assert record["size"] == SIZE and check_labels([record]) == []
    assert [o["box"] for o in record["objects"]] == [cat["box"], dog["box"]]
    assert "<score>0.75</score>" in path.read_text()
    write_voc_xml(path, SIZE, empty, ["dog", "cat"])
    assert read_voc_xml(path) == [] and len(list(tmp_path.iterdir())) == 2
    thin = {"boxes": [[63.6, 0.1, 64.0, 0.4]], "labels": [1]}
    write_voc_xml(path, SIZE, thin, ["a & <b>"])
    (thing,) = read_voc_xml(path)
    assert thing["box"] == (63.6, 0.1, 64, 0.4) and thing["name"] == "a & <b>"


def test_coco_round_trip_through_pycocotools(tmp_path):
    found, images = detections()
    path = tmp_path / "detections.json"
    write_coco_json(path, images, found, ["dog", "cat"])
    with contextlib.redirect_stdout(io.StringIO()):
        coco_set = COCO(str(path))
        assert len(coco_set.loadRes(json.loads(path.read_text())["annotations"]).anns)
    assert coco_set.getImgIds() == [1, 2] and coco_set.getAnnIds([2]) == []
    assert coco_set.loadImgs(1)[0] == {
        "id": 1,
        "file_name": "a.jpg",
        "width": 64,
        "height": 48,
    }
    marks = coco_set.loadAnns(coco_set.getAnnIds([1]))
    names = [coco_set.loadCats(m["category_id"])[0]["name"] for m in marks]
    assert names == ["cat", "dog"] and [m["score"] for m in marks] == [0.75, 0.5]
    assert marks[1]["bbox"] == [30, 8, 34, 40] and marks[1]["area"] == 34 * 40
    for name, _ in images:
        save_image(tmp_path / name)
    a, b = read_coco_labels(path, tmp_path)
    boxes = torch.tensor([o["box"] for o in a["objects"]])
    assert torch.equal(boxes, found[0]["boxes"])
    assert b["objects"] == [] and b["size"] == SIZE
    assert check_labels([a, b]) == []


@pytest.mark.parametrize(
    "change, words",
    [
        ({"labels": [1, 3]}, r"labels \[1, 3\] are not all in 1..2"),
        ({"labels": [0, 1]}, r"labels \[0, 1\] are not all"),
        ({"labels": [1]}, "2 boxes but 1 labels"),
        ({"boxes": [[0, 0, 5, 5], [9, 9, 3, 12]]}, "box 1"),
    ],
)
def test_writers_refuse_what_is_no_answer(tmp_path, change, words):
    (detected, empty), images = detections()
    with pytest.raises(ValueError, match=words):
        write_voc_xml(tmp_path / "a.xml", SIZE, detected | change, ["dog", "cat"])
    with pytest.raises(ValueError, match=words):
        both = [detected | change, empty]
        write_coco_json(tmp_path / "a.json", images, both, ["dog", "cat"])
    with pytest.raises(ValueError, match="1 detections for 2 images"):
        write_coco_json(tmp_path / "a.json", images, [detected], ["dog", "cat"])
    assert list(tmp_path.iterdir()) == []
