"""Labels as other people's programs write them: flags, encodings, counting, layouts."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils.data.datasets import VOCDataset
from course_utils.data.labels.export import (
    make_dataset,
    write_coco_json,
    write_coco_results,
    write_voc_xml,
)
from course_utils.data.labels.faults import check_labels
from course_utils.data.labels.read import (
    read_coco_labels,
    read_labels,
    read_voc_labels,
    read_yolo_labels,
)
from course_utils.data.labels.splits import divide_groups, group_places
from course_utils.data.voc import find_first_pixel, parse_voc, read_voc_xml
from course_utils.lessons.widgets.album import Album
from tests.helpers.labels import DOG, SIZE, coco, labelled, save_image, voc

VOC2007 = "<source><database>The VOC2007 Database</database></source>"
UNKNOWN = "<source><database>Unknown</database></source>"


def with_flag(tag, text):
    return voc([DOG]).replace("</name>", f"</name><{tag}>{text}</{tag}>")


def kinds(records, classes=None):
    return [fault.kind for fault in check_labels(records, classes)]


# --- flags and encodings ----------------------------------------------------------


@pytest.mark.parametrize("tag", ["difficult", "truncated", "occluded", "iscrowd"])
@pytest.mark.parametrize("text", ["Unspecified", "false", "No", "", "0", "0.0", " 0 "])
def test_words_that_mean_no(tmp_path, tag, text):
    # pitfall: labels: words in a flag
    path = labelled(tmp_path / "a.jpg").with_suffix(".xml")
    path.write_text(with_flag(tag, text))
    assert not read_voc_xml(path)[0].get(tag)
    (record,) = read_labels(tmp_path)
    assert not record["objects"][0].get(tag) and not record["objects"][0]["difficult"]


@pytest.mark.parametrize("tag", ["difficult", "truncated", "occluded"])
@pytest.mark.parametrize("text", ["1", "true", "YES", "1.0"])
def test_words_that_mean_yes(tmp_path, tag, text):
    # pitfall: labels: words in a flag
    path = labelled(tmp_path / "a.jpg").with_suffix(".xml")
    path.write_text(with_flag(tag, text))
    assert read_voc_xml(path)[0][tag] is True
    assert read_labels(tmp_path)[0]["objects"][0][tag] is True


@pytest.mark.parametrize("text", ["maybe", "2", "nan", "-1"])
def test_a_flag_that_is_none_is_named(tmp_path, text):
    # pitfall: labels: words in a flag
    path = labelled(tmp_path / "a.jpg").with_suffix(".xml")
    path.write_text(with_flag("difficult", text))
    words = f"object 0 \\(dog\\): <difficult> is '{text}'; write 0 or 1"
    with pytest.raises(ValueError, match=rf"a\.xml: {words}"):
        read_voc_xml(path)
    (fault,) = check_labels(read_labels(tmp_path))
    assert fault.kind == "unreadable labels" and f"is '{text}'" in fault.message


@pytest.mark.parametrize(
    "declared, encoding",
    [
        ("", "utf-8-sig"),
        ('<?xml version="1.0" encoding="utf-8"?>', "utf-8-sig"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>', "latin-1"),
        ('<?xml version="1.0" encoding="windows-1252"?>', "cp1252"),
        ('<?xml version="1.0" encoding="utf-16"?>', "utf-16"),
        ('<?xml version="1.0" encoding="utf-16"?>', "utf-8"),  # as some .NET writes
        ("<?xml version='1.0' encoding='shift_jis'?>", "shift_jis"),
        ("", "utf-32"),
    ],
)
def test_xml_in_any_encoding(tmp_path, declared, encoding):
    # pitfall: labels: encodings and byte order marks
    name = "犬" if encoding in ("shift_jis", "utf-16", "utf-32") else "Käfer"
    path = labelled(tmp_path / "a.jpg").with_suffix(".xml")
    text = declared + "\r\n" + voc([(name, *DOG[1:])])
    path.write_bytes(text.encode(encoding))
    assert [o["name"] for o in read_voc_xml(path)] == [name]
    assert read_labels(tmp_path)[0]["objects"][0]["name"] == name


@pytest.mark.parametrize("head", ["", '<?xml version="1.0" encoding="utf-16"?>'])
def test_bombs_are_refused_in_any_encoding(tmp_path, head):
    path = tmp_path / "a.xml"
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'
    path.write_bytes((head + bomb).encode("utf-16" if head else "utf-8"))
    with pytest.raises(ValueError, match=r"a\.xml: not a readable XML.*Entit"):
        read_voc_xml(path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"<annotation>\xe4</annotation>"]
)
def test_xml_that_can_not_be_read_is_named(tmp_path, content):
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.xml: not a readable XML file") as error:
        read_voc_xml(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_text_files_with_and_without_a_mark(tmp_path, encoding):
    # pitfall: labels: encodings and byte order marks
    def write(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.replace("\n", "\r\n").encode(encoding))

    save_image(tmp_path / "yolo" / "a.jpg")
    write(tmp_path / "yolo" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    write(tmp_path / "yolo" / "classes.txt", "Käfer\nB\n")
    assert read_labels(tmp_path / "yolo")[0]["objects"][0]["name"] == "Käfer"
    write(tmp_path / "yolo" / "data.yaml", "names: [Käfer, B]\n")
    assert read_labels(tmp_path / "yolo")[0]["objects"][0]["name"] == "Käfer"
    save_image(tmp_path / "coco" / "a.jpg")
    mark = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 1, 9, 9]}
    text = coco([{"id": 1, "file_name": "a.jpg"}], [mark], ["Käfer"])
    write(tmp_path / "coco" / "a.json", text)
    assert read_labels(tmp_path / "coco")[0]["objects"][0]["name"] == "Käfer"
    save_image(tmp_path / "voc" / "JPEGImages" / "ä.jpg")
    write(tmp_path / "voc" / "Annotations" / "ä.xml", voc([("Käfer", 1, 1, 9, 9)]))
    write(tmp_path / "voc" / "ImageSets" / "Main" / "train.txt", "ä\n")
    write(tmp_path / "voc" / "classes.txt", "Käfer\n")
    assert VOCDataset(tmp_path / "voc", "train").target(0)["labels"].tolist() == [1]


def test_text_in_another_encoding_is_named(tmp_path):
    # pitfall: labels: encodings and byte order marks
    save_image(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.5 0.5")
    (tmp_path / "classes.txt").write_bytes("Käfer".encode("latin-1"))
    with pytest.raises(ValueError, match=r"classes\.txt: not UTF-8 text"):
        read_labels(tmp_path)


# --- from which number VOC XML counts ---------------------------------------------


def counted(tmp_path, *files, source=UNKNOWN):
    """Labelled images whose XML have this source, a list of objects for each."""
    for number, objects in enumerate(files):
        path = labelled(tmp_path / f"{number}.jpg").with_suffix(".xml")
        text = voc(objects).replace(VOC2007, source)
        path.write_text(text)
    return read_labels(tmp_path)


def test_a_corner_at_0_decides_for_all_files(tmp_path):
    # pitfall: labels: from which number VOC XML counts
    records = counted(tmp_path, [DOG], [("dog", 0, 5, 64, 48)])
    assert [r["first_pixel"] for r in records] == [0, 0]
    assert records[0]["first_pixel_from"] == "a corner at 0 in 1.xml"
    assert records[0]["objects"][0]["box"] == (11, 6, 40, 30)
    assert records[1]["objects"][0]["box"] == (0, 5, 64, 48)
    assert kinds(records) == []


@pytest.mark.parametrize(
    "source, first_pixel",
    [
        (VOC2007, 1),
        ("<source><database>tabletop (Mitsuba 3)</database></source>", 1),
        ("<source><database>roboflow.ai</database></source>", 1),
        ("<owner><name>Label Studio</name></owner>", 0),
        ("<path>/home/me/a.jpg</path>" + UNKNOWN, 0),  # LabelImg
        ("<source><first_pixel>0</first_pixel></source>", 0),
        ("<source><first_pixel>1</first_pixel></source>", 1),
    ],
)
def test_what_tools_leave_decides(tmp_path, source, first_pixel):
    # pitfall: labels: from which number VOC XML counts
    (record,) = counted(tmp_path, [DOG], source=source)
    assert record["first_pixel"] == first_pixel
    assert record["objects"][0]["box"] == (11 - first_pixel, 6 - first_pixel, 40, 30)
    assert kinds([record]) == []


def test_datumaro_writes_decimals_where_it_counts_from_0(tmp_path):
    three = "<source>" + "".join(
        f"<{tag}>Unknown</{tag}>" for tag in ("database", "annotation", "image")
    )
    for number, corner in enumerate(("11", "11.0")):
        (record,) = counted(
            tmp_path / str(number),
            [("a", corner, 6, 40, 30)],
            source=three + "</source>",
        )
        assert record["first_pixel"] == 1 - number


def test_a_box_to_the_width_and_1_counts_from_1(tmp_path):
    files = counted(tmp_path, [("dog", 11, 6, 65, 30)])
    assert files[0]["first_pixel"] == 1 and "width + 1" in files[0]["first_pixel_from"]


def test_an_unknown_count_is_said_once(tmp_path):
    # pitfall: labels: from which number VOC XML counts
    records = counted(tmp_path, [DOG], [DOG], [DOG])
    assert {(r["first_pixel"], r["first_pixel_from"]) for r in records} == {
        (1, "assumed")
    }
    (fault,) = check_labels(records)
    assert fault.kind == "counting" and "first_pixel=0 or 1" in fault.message
    assert "0.xml and 2 more" in fault.message
    out = make_dataset(records, tmp_path / "set", ["dog"])
    assert sum(len(VOCDataset(out, part)) for part in ("train", "val", "test")) == 3


@pytest.mark.parametrize("first_pixel", [0, 1])
def test_a_told_count_is_taken(tmp_path, first_pixel):
    # pitfall: labels: from which number VOC XML counts
    counted(tmp_path, [DOG], source=VOC2007)
    (record,) = read_voc_labels(tmp_path, first_pixel=first_pixel)
    assert record["first_pixel_from"] == "told"
    assert record["objects"][0]["box"] == (11 - first_pixel, 6 - first_pixel, 40, 30)
    assert read_labels(tmp_path, first_pixel)[0] == record
    with pytest.raises(ValueError, match="first_pixel 2: 1"):
        read_labels(tmp_path, first_pixel=2)


def voc_set(root, parts, source=UNKNOWN):
    """A data set in VOC layout: {split: {image: objects}}."""
    for split, files in parts.items():
        for name, objects in files.items():
            save_image(root / "JPEGImages" / f"{name}.jpg")
            path = root / "Annotations" / f"{name}.xml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(voc(objects).replace(VOC2007, source))
        lists = root / "ImageSets" / "Main"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text("\n".join(files) + "\n")
    return root


def test_splits_of_a_data_set_count_alike(tmp_path):
    # pitfall: labels: from which number VOC XML counts
    voc_set(tmp_path, {"train": {"a": [DOG]}, "test": {"b": [("dog", 0, 5, 9, 9)]}})
    boxes = [
        VOCDataset(tmp_path, part, ["dog"]).target(0)["boxes"].tolist()
        for part in ("train", "test")
    ]
    assert boxes == [[[11, 6, 40, 30]], [[0, 5, 9, 9]]]
    told = VOCDataset(tmp_path, "train", first_pixel=1).target(0)["boxes"].tolist()
    assert told == [[10, 5, 40, 30]]


@pytest.mark.parametrize("first_pixel", [0, 1])
def test_a_written_file_reads_back_bit_by_bit(tmp_path, first_pixel):
    # pitfall: labels: from which number VOC XML counts
    torch.manual_seed(0)
    boxes = torch.rand(200, 4) * 30 * torch.tensor([1e-3, 1.0, 1.0, 1.0])
    boxes[:, 2:] += boxes[:, :2] + 0.01
    boxes[:20] = boxes[:20].round() + torch.tensor([0.0, 0, 1, 1])
    path, labels = tmp_path / "a.xml", torch.ones(200, dtype=torch.int64)
    detected = {"boxes": boxes, "labels": labels}
    write_voc_xml(path, SIZE, detected, ["dog"], first_pixel=first_pixel)
    again = torch.tensor([o["box"] for o in read_voc_xml(path)])
    assert torch.equal(again, boxes)
    assert find_first_pixel([parse_voc(path)]) == (1, "assumed")  # it states it itself
    whole = [o["corners"] for o in parse_voc(path).objects[:20]]
    assert all(text.isdecimal() for corners in whole for text in corners)


# --- size and rotation in VOCDataset ----------------------------------------------


def test_labels_for_another_size_stop_the_dataset(tmp_path):
    # pitfall: labels: size and rotation in VOCDataset
    root = voc_set(tmp_path, {"train": {"a": [DOG]}}, VOC2007)
    path = root / "Annotations" / "a.xml"
    path.write_text(voc([DOG], (600, 400)))
    with pytest.raises(ValueError, match=r"a\.xml: labels are for 600 x 400 pixels"):
        VOCDataset(root, "train")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_dataset_turns_boxes_as_the_label_check_does(tmp_path, orientation):
    # pitfall: labels: size and rotation in VOCDataset
    root = voc_set(tmp_path / "d", {"train": {"a": [DOG]}}, VOC2007)
    save_image(root / "JPEGImages" / "a.jpg", orientation=orientation)
    image, target = VOCDataset(root, "train")[0]
    out = make_dataset(read_labels(root), tmp_path / "out", ["dog"])
    again, same = VOCDataset(out, "train")[0]
    assert image.shape == again.shape
    assert torch.equal(target["boxes"], same["boxes"])
    if orientation == 6:
        assert target["boxes"].tolist() == [[48 - 30, 10, 48 - 5, 40]]


@pytest.mark.parametrize("corners", [(11, 6, 66, 30), (11, 6, 40, 50), (-1, 6, 40, 30)])
def test_boxes_outside_stop_the_dataset(tmp_path, corners):
    # pitfall: labels: size and rotation in VOCDataset
    root = voc_set(tmp_path, {"train": {"a": [("dog", *corners)]}}, VOC2007)
    with pytest.raises(
        ValueError, match=r"a\.xml: object 0 \(dog\): box .* reaches out"
    ):
        VOCDataset(root, "train")


def test_a_pixel_outside_is_clipped(tmp_path):
    root = voc_set(tmp_path, {"train": {"a": [("dog", 0, 0, 65, 49)]}}, VOC2007)
    box = VOCDataset(root, "train").target(0)["boxes"].tolist()
    assert box == [[0, 0, 64, 48]]


# --- COCO -------------------------------------------------------------------------


def mark(image_id, number=1, **more):
    box = {"bbox": [10, 5, 30, 25], "category_id": 7}
    return {"id": number, "image_id": image_id} | box | more


def write_json(path, images, marks, names=("dog", "cat")):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(coco(images, marks, names))
    return path


@pytest.mark.parametrize("folder", ["images/train", "train2017", "train/images"])
def test_the_split_in_the_name_of_the_file_decides(tmp_path, folder):
    # pitfall: labels: names and ids in COCO
    for place in folder, folder.replace("train", "val"):
        save_image(tmp_path / place / "1.jpg")
    entry = [{"id": 1, "file_name": "1.jpg"}]
    for part in "train", "val":
        name = tmp_path / "annotations" / f"instances_{part}.json"
        write_json(name, entry, [mark(1)] * (part == "train"))
    train, val = read_labels(tmp_path)
    assert train["file"] == tmp_path / folder / "1.jpg" and train["split"] == "train"
    assert len(train["objects"]) == 1 and val["objects"] == []
    assert val["file"] == tmp_path / folder.replace("train", "val") / "1.jpg"
    assert val["split"] == "val" and kinds([train, val]) == []


def test_a_name_that_may_be_two_pictures_is_a_fault(tmp_path):
    # pitfall: labels: names and ids in COCO
    for place in "a", "b":
        save_image(tmp_path / "images" / place / "1.jpg")
    path = tmp_path / "labels.json"
    write_json(path, [{"id": 1, "file_name": "1.jpg"}], [mark(1)])
    record = read_coco_labels(path, tmp_path)[0]
    for place in "a", "b":
        assert str(tmp_path / "images" / place / "1.jpg") in record["problem"]
    write_json(path, [{"id": 1, "file_name": "b\\1.jpg"}], [mark(1)])
    record = read_coco_labels(path, tmp_path)[0]
    assert record["file"].parent.name == "b" and record["problem"] is None
    write_json(path, [{"id": 1, "file_name": "val/1.jpg"}], [mark(1)])
    save_image(tmp_path / "images" / "train" / "1.jpg")
    assert not read_coco_labels(path, tmp_path / "images" / "train")[0]["problem"]


@pytest.mark.parametrize("what", ["image", "annotation", "category", "file"])
def test_ids_that_occur_twice_are_a_fault(tmp_path, what):
    # pitfall: labels: names and ids in COCO
    for name in "ab":
        save_image(tmp_path / f"{name}.jpg")
    images = [{"id": i, "file_name": f"{name}.jpg"} for i, name in enumerate("ab")]
    marks = [mark(0, 1), mark(1, 2)]
    if what == "image":
        images[1]["id"], marks[1]["image_id"] = "0", 0
    if what == "annotation":
        marks[1]["id"] = 1
    if what == "file":
        images[1]["file_name"] = "a.jpg"
    path = write_json(tmp_path / "a.json", images, marks)
    if what == "category":
        path.write_text(path.read_text().replace('"id": 8', '"id": 7'))
    found = check_labels(read_labels(tmp_path))
    twice = [f for f in found if f.kind == "unreadable labels"]
    texts = [f.message.replace(str(tmp_path), "") for f in twice]
    assert texts and all("twice" in text or "2 times" in text for text in texts)
    marks[1] = dict(marks[0])
    path.write_text(coco([images[0]], marks))  # one written twice, word for word
    assert kinds(read_coco_labels(path, tmp_path)[:1], ["dog"]) == []


def test_ids_in_other_forms_are_the_same(tmp_path):
    save_image(tmp_path / "a.jpg")
    marks = [mark("5", 1, category_id="7"), mark(5.0, 2, category_id=8)]
    write_json(tmp_path / "a.json", [{"id": 5, "file_name": "a.jpg"}], marks)
    (record,) = read_labels(tmp_path)
    assert [o["name"] for o in record["objects"]] == ["dog", "cat"]


def test_a_box_comes_from_the_segmentation_where_there_is_none(tmp_path):
    save_image(tmp_path / "a.jpg")
    shape = [[10, 5, 40, 5, 40, 30], [12, 6, 13, 31, 20, 7]]
    rle = {"size": [48, 64], "counts": [48 * 10 + 5, 3, 45, 3, 48 * 52 + 40]}
    marks = [mark(1, 1, segmentation=shape), mark(1, 2, segmentation=rle), mark(1, 3)]
    for thing in marks:
        del thing["bbox"]
    write_json(tmp_path / "a.json", [{"id": 1, "file_name": "a.jpg"}], marks)
    (record,) = read_labels(tmp_path)
    assert [o["box"] for o in record["objects"]] == [(10, 5, 40, 31), (10, 5, 12, 8)]
    assert record["problem"] == "annotation 3: bbox None is not x, y, width, height"


@pytest.mark.parametrize(
    "change, words",
    [
        ({"bbox": [1, 1, -5, 9]}, "swapped"),
        ({"bbox": [1, 1, float("nan"), 9]}, "NaN"),
        ({"bbox": [1, 1, 10**400, 9]}, "annotation 1: int too large"),
        ({"bbox": [1, 1, 10**5, 9]}, "reaches out"),
        ({"category_id": 99}, "category 99 is not in the file"),
        ({"category_id": None}, "category None is not in the file"),
    ],
)
def test_nasty_annotations_are_one_fault(tmp_path, change, words):
    save_image(tmp_path / "a.jpg")
    images = [{"id": 1, "file_name": "a.jpg", "width": "64", "height": 48.0}]
    write_json(tmp_path / "a.json", images, [mark(1, 1) | change])
    (record,) = read_labels(tmp_path)
    assert record["size"] == SIZE
    message = " ".join(f.kind + f.message for f in check_labels([record]))
    assert words in message and "\n" not in message


@pytest.mark.parametrize(
    "change, words",
    [
        (('"name": "cat"', '"name": ""'), "category 8 has no name"),
        (('"name": "cat"', '"nam": "cat"'), "category 8 has no name"),
        (('"id": 8,', ""), "'id' is missing"),
        (('{"images"', "[" * 100_000 + '{"images"'), "not a whole COCO file"),
    ],
)
def test_nasty_coco_files_are_one_fault(tmp_path, change, words):
    save_image(tmp_path / "a.jpg")
    images = [{"id": 1, "file_name": "a.jpg"}]
    path = write_json(tmp_path / "a.json", images, [mark(1)])
    path.write_text(path.read_text().replace(*change))
    found = [f for f in check_labels(read_labels(tmp_path)) if f.file == path]
    assert len(found) == 1 and words in found[0].message


def test_crowds_survive_the_round_trip(tmp_path):
    # pitfall: labels: crowds
    save_image(tmp_path / "in" / "a.jpg")
    marks = [mark(1, 1, iscrowd=1), mark(1, 2, bbox=[1, 1, 9, 9])]
    write_json(tmp_path / "in" / "a.json", [{"id": 1, "file_name": "a.jpg"}], marks)
    records = read_labels(tmp_path / "in")
    flags = [(o["iscrowd"], o["difficult"]) for o in records[0]["objects"]]
    assert flags == [(True, True), (False, False)]
    out = make_dataset(records, tmp_path / "set", ["dog"])
    text = (out / "Annotations" / "a.xml").read_text()
    assert text.count("<iscrowd>1</iscrowd>") == 1
    target = VOCDataset(out, "train").target(0)
    assert target["iscrowd"].tolist() == [True, False]
    assert target["difficult"].tolist() == [True, False]
    write_coco_json(tmp_path / "in" / "b.json", [("a.jpg", SIZE)], [target], ["dog"])
    again = read_coco_labels(tmp_path / "in" / "b.json", tmp_path / "in")
    assert again[0]["objects"] == records[0]["objects"]
    plain = voc_set(tmp_path / "plain", {"train": {"a": [DOG]}}, VOC2007)
    assert "iscrowd" not in VOCDataset(plain, "train").target(0)


def test_a_results_file_loads_as_it_is(tmp_path, capsys):
    # pitfall: labels: results file for pycocotools
    from pycocotools.coco import COCO

    none = {"boxes": [], "labels": [], "scores": []}
    one = {"boxes": [[1, 2, 4, 8.5]], "labels": [2], "scores": [0.5]}
    write_coco_json(tmp_path / "a.json", [("a", SIZE), ("b", SIZE)], [none, one], "xy")
    write_coco_results(tmp_path / "results.json", [1, 2], [none, one])
    truth = COCO(str(tmp_path / "a.json"))
    (found,) = truth.loadRes(str(tmp_path / "results.json")).anns.values()
    assert found["bbox"] == [1, 2, 3, 6.5] and found["score"] == 0.5
    assert found["image_id"] == 2 and found["category_id"] == 2
    write_coco_results(tmp_path / "results.json", [1, 2], [none, one], [10, 20])
    content = json.loads((tmp_path / "results.json").read_text())
    assert content[0]["category_id"] == 20
    for ids, detected in (([1, 1], one), ([1], one), ([1, 2], one | {"scores": None})):
        with pytest.raises(ValueError, match="image"):
            write_coco_results(tmp_path / "x.json", ids, [none, detected])


# --- YOLO -------------------------------------------------------------------------

ROW = "1 0.5 0.5 0.5 0.5"


def yolo(root, image, label, text=ROW):
    save_image(root / image)
    if label:
        (root / label).parent.mkdir(parents=True, exist_ok=True)
        (root / label).write_text(text)


@pytest.mark.parametrize(
    "names, expected",
    [
        ("names: [zebra, apple]", "apple"),
        ("names:\n- zebra\n- apple", "apple"),
        ("names:\n  1: zebra\n  2: apple", "zebra"),
        ("nc: 2\nnames: {'0': zebra, '1': 7}", "7"),
    ],
)
def test_a_yaml_file_names_the_classes(tmp_path, names, expected):
    # pitfall: labels: data.yaml
    yolo(tmp_path, "images/a.jpg", "labels/a.txt")
    (tmp_path / "data.yaml").write_text(names)
    (record,) = read_labels(tmp_path)
    assert [o["name"] for o in record["objects"]] == [expected]
    (record,) = read_yolo_labels(tmp_path, {1: "mine"})
    assert record["objects"][0]["name"] == "mine"


def test_a_number_without_a_name_names_the_line(tmp_path):
    # pitfall: labels: data.yaml
    yolo(tmp_path, "a.jpg", "a.txt", "1 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5")
    (tmp_path / "data.yaml").write_text("names: {1: zebra, 2: apple}")
    (record,) = read_labels(tmp_path)
    assert record["problem"].startswith("line 2: class 0 has no name in data.yaml")


@pytest.mark.parametrize(
    "text, words",
    [
        ("names: [a", "data.yaml: not a readable YAML file"),
        ("names: {a: 1}", "data.yaml: names are"),
        ("names: coco.names", "data.yaml: names are"),
        ("nc: 2", "pass classes"),
        ("", "pass classes"),
        ("names: [a, b]", "name the classes differently"),
    ],
)
def test_a_yaml_file_that_does_not_help_is_named(tmp_path, text, words):
    yolo(tmp_path, "a.jpg", "a.txt")
    (tmp_path / "data.yaml").write_text(text)
    if "differently" in words:
        (tmp_path / "classes.txt").write_text("b\na\n")
    with pytest.raises(ValueError, match=words) as error:
        read_labels(tmp_path)
    assert "\n" not in str(error.value)


def layouts():
    """{name: (pictures, labels, other files)} of three pictures, the last empty."""
    names = "names: [zebra, apple]\n"
    return {
        "roboflow": (
            ["train/images/a.jpg", "valid/images/b.jpg", "test/images/c.jpg"],
            ["train/labels/a.txt", "valid/labels/b.txt"],
            {"data.yaml": names + "train: ../train/images\nval: ../valid/images\n"},
        ),
        "ultralytics": (
            ["images/train/a.jpg", "images/val/b.jpg", "images/test/c.jpg"],
            ["labels/train/a.txt", "labels/val/b.txt"],
            {"classes.txt": "zebra\napple\n"},
        ),
        "lists": (
            ["images/a.jpg", "images/b.jpg", "images/c.jpg"],
            ["labels/a.txt", "labels/b.txt"],
            {
                "data.yaml": names + "path: .\ntrain: 1.txt\nval: [2.txt]\ntest: 3.txt",
                "1.txt": "./images/a.jpg\n",
                "2.txt": "C:\\data\\images\\b.jpg\n",
                "3.txt": "images/c.jpg\n",
            },
        ),
        "darknet": (
            ["obj_train_data/a.jpg", "obj_valid_data/b.jpg", "obj_test_data/c.jpg"],
            ["obj_train_data/a.txt", "obj_valid_data/b.txt", "obj_test_data/c.txt"],
            {"obj.names": "zebra\napple\n", "train.txt": "data/obj_train_data/a.jpg\n"},
        ),
    }


@pytest.mark.parametrize("name", ["roboflow", "ultralytics", "lists", "darknet"])
def test_known_layouts_of_yolo(tmp_path, name):
    # pitfall: labels: known layouts
    pictures, labels, files = layouts()[name]
    for picture in pictures:
        save_image(tmp_path / picture)
    for number, label in enumerate(labels):
        (tmp_path / label).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / label).write_text(ROW if number < 2 else "")
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    records = sorted(read_labels(tmp_path), key=lambda r: r["file"].name)
    assert [r["file"] for r in records] == [tmp_path / p for p in pictures]
    assert [len(r["objects"]) for r in records] == [1, 1, 0]
    assert [r["split"] for r in records] == ["train", "val", "test"]
    assert kinds(records) == []
    out = make_dataset(records, tmp_path / "set", ["zebra", "apple"], split=None)
    for part, image in zip(("train", "val", "test"), "abc"):
        assert VOCDataset(out, part).ids == [image]


def test_without_a_yaml_file_a_missing_text_file_is_reported(tmp_path):
    yolo(tmp_path, "a.jpg", "a.txt")
    save_image(tmp_path / "b.jpg")
    (tmp_path / "obj.names").write_text("zebra\napple\n")
    assert kinds(read_labels(tmp_path)) == ["no labels"]


@pytest.mark.parametrize("form", ["voc", "coco"])
def test_roboflow_with_xml_or_json(tmp_path, form):
    # pitfall: labels: known layouts
    for part in "train", "valid", "test":
        save_image(tmp_path / part / "a.jpg")
        if form == "voc":
            (tmp_path / part / "a.xml").write_text(voc([DOG]))
        else:
            path = tmp_path / part / "_annotations.coco.json"
            write_json(path, [{"id": 0, "file_name": "a.jpg"}], [mark(0)])
    records = read_labels(tmp_path)
    assert sorted(r["split"] for r in records) == ["test", "train", "val"]
    assert len({r["file"] for r in records}) == 3 and kinds(records) == []
    assert all(r["objects"][0]["box"] == (10, 5, 40, 30) for r in records)


def test_cocos_own_layout_with_captions_beside(tmp_path):
    # pitfall: labels: known layouts
    for part in "train", "val":
        save_image(tmp_path / f"{part}2017" / f"{part}.jpg")
        entry = [{"id": 1, "file_name": f"{part}.jpg"}]
        room = tmp_path / "annotations"
        write_json(room / f"instances_{part}2017.json", entry, [mark(1)])
        write_json(room / f"person_keypoints_{part}2017.json", entry, [mark(1)])
        captions = {"images": entry, "annotations": [{"caption": "a dog"}]}
        (room / f"captions_{part}2017.json").write_text(json.dumps(captions))
    records = read_labels(tmp_path)
    assert [r["split"] for r in records] == ["train", "val"]
    assert [len(r["objects"]) for r in records] == [1, 1] and kinds(records) == []


@pytest.mark.parametrize(
    "row", ["1e3 .5 .5 .5 .5", "nan .5 .5 .5 .5", "inf .5 .5 .5 .5", "0 .5 .5 .5"]
)
def test_nasty_rows_name_their_line(tmp_path, row):
    yolo(tmp_path, "a.JPG", "a.TXT", f"{ROW}\r\n{row}\r\n")
    (tmp_path / "classes.txt").write_text("a\r\nb\r\n")
    (record,) = read_yolo_labels(tmp_path)
    assert record["problem"].startswith("line 2")


def test_folders_with_a_files_ending_are_no_files(tmp_path):
    for name in "x.xml", "x.txt", "x.json", "x.jpg", "x.yaml":
        (tmp_path / name).mkdir()
    labelled(tmp_path / "a.jpg", DOG)
    assert [r["file"].name for r in read_labels(tmp_path)] == ["a.jpg"]
    with pytest.raises(ValueError, match="is no folder"):
        read_labels(tmp_path / "a.jpg")


# --- twins, groups, whole round trips ---------------------------------------------


def test_equal_pictures_with_different_boxes_are_a_fault(tmp_path):
    # pitfall: labels: the same picture twice
    labelled(tmp_path / "a.jpg", DOG, seed=1)
    labelled(tmp_path / "b.jpg", ("dog", 1, 1, 30, 30), seed=1)
    pixels = np.array(Image.open(tmp_path / "a.jpg"))
    Image.fromarray(pixels).save(tmp_path / "c.png")  # other bytes, equal pixels
    (tmp_path / "c.xml").write_text(voc([DOG]))
    labelled(tmp_path / "d.jpg", DOG, seed=2)
    faults = check_labels(read_labels(tmp_path))
    assert [(f.kind, f.file.name) for f in faults] == [
        ("twin", "a.jpg"),
        ("twin", "b.jpg"),
        ("twin", "c.png"),
    ]
    assert str(tmp_path / "b.jpg") in faults[0].message


@pytest.mark.parametrize("seed", range(6))
def test_equal_pictures_and_groups_stay_on_one_side(tmp_path, seed):
    # pitfall: labels: the same picture twice
    for i in range(12):  # 0 and 1, 2 and 3 ... are equal pictures
        labelled(tmp_path / "d" / f"{i:02}.jpg", DOG, seed=i // 2)
    records = read_labels(tmp_path / "d")
    day = {r["file"]: int(r["file"].stem) // 3 for r in records}
    options = ({}, {"groups": lambda r: day[r["file"]]}, {"groups": list(day.values())})
    for number, more in enumerate(options):
        out = tmp_path / str(number)
        make_dataset(records, out, ["dog"], split=(0.5, 0, 0.5), seed=seed, **more)
        train, test = (VOCDataset(out, part).ids for part in ("train", "test"))
        assert len(train) == len(test) == 6
        for size in (2, 3) if more else (2,):
            sides = [{int(i) // size for i in ids} for ids in (train, test)]
            assert not sides[0] & sides[1]


def test_groups_are_divided_as_asked():
    groups = group_places([1, 2, 1, None, None, 2], twins=[[3, 4]])
    assert groups == [[0, 2], [1, 5], [3, 4]]
    for seed in range(5):
        parts = divide_groups(groups, (0.7, 0.15, 0.15), seed)
        assert sorted(map(len, parts.values())) == [2, 2, 2]
    assert group_places([None] * 4, twins=[[0, 1], [1, 3]]) == [[0, 1, 3], [2]]


def test_a_kept_split_is_kept_or_refused(tmp_path):
    voc_set(tmp_path / "d", {"train": {"a": [DOG]}, "val": {"b": []}}, VOC2007)
    records = read_labels(tmp_path / "d")
    assert [r["split"] for r in records] == ["train", "val"]
    out = make_dataset(records, tmp_path / "out", ["dog"], split=None)
    assert VOCDataset(out, "train").ids == ["a"] and VOCDataset(out, "val").ids == ["b"]
    with pytest.raises(ValueError, match=r"b\.jpg: it is in none of train, val"):
        strays = [records[0], records[1] | {"split": None}]
        make_dataset(strays, tmp_path / "x", ["dog"], split=None)
    with pytest.raises(ValueError, match=r"belong together but are in two splits"):
        make_dataset(records, tmp_path / "x", ["dog"], split=None, groups=["day"] * 2)
    with pytest.raises(ValueError, match="1 groups for 2 records"):
        make_dataset(records, tmp_path / "x", ["dog"], groups=["day"])


@pytest.mark.parametrize("first_pixel", [0, 1])
def test_the_course_keeps_all_of_its_own(tmp_path, first_pixel):
    """course -> records -> course: corners, classes, flags, empty pictures."""
    thing = ("cat", 0.25 + first_pixel, 5, 40.125, 30)
    root = voc_set(tmp_path / "d", {"train": {"a": [DOG, thing], "b": []}}, VOC2007)
    path = root / "Annotations" / "a.xml"
    flags = "<truncated>1</truncated><occluded>1</occluded><difficult>1</difficult>"
    path.write_text(path.read_text().replace("</name>", f"</name>{flags}", 1))
    first = read_labels(root, first_pixel)
    out = tmp_path / "out"
    make_dataset(first, out, ["dog", "cat"], split=None, first_pixel=first_pixel)
    again = read_labels(out)
    assert [r["first_pixel"] for r in again] == [first_pixel] * 2
    assert [r["objects"] for r in again] == [r["objects"] for r in first]
    assert [r["split"] for r in again] == ["train"] * 2
    last = make_dataset(again, tmp_path / "last", ["dog", "cat"], split=None)
    assert [r["objects"] for r in read_labels(last)] == [r["objects"] for r in first]


def test_the_annotator_keeps_counting_flags_and_untouched_corners(tmp_path):
    # pitfall: labels: from which number VOC XML counts
    thing = ("cat", 0.5, 5.25, 40, 30)
    counted(tmp_path, [DOG, thing], [], source="<path>/home/me/a.jpg</path>" + UNKNOWN)
    path = tmp_path / "0.xml"
    flags = "</name><truncated>1</truncated><iscrowd>1</iscrowd>"
    path.write_text(path.read_text().replace("</name>", flags, 1))
    before, (first, *_) = read_voc_xml(path), read_labels(tmp_path)
    album = Album(tmp_path, ["dog", "cat"])
    drawn = album.load()
    assert album.image.name == "0.jpg" and album.save(drawn) == 2
    after = read_voc_xml(path)
    assert [o["box"] for o in after] == [o["box"] for o in before]
    assert after[0]["truncated"] and after[0]["iscrowd"] and after[0]["difficult"]
    record = read_labels(tmp_path)[0]
    assert record["first_pixel"] == first["first_pixel"] == 0
    assert record["first_pixel_from"] == "the file states it"
    album.save([drawn[0] | {"x": 9.5, "width": 1.0}])  # drawn anew: whole pixels
    assert read_voc_xml(path)[0]["box"] == (10, 6, 11, 30)


def test_pictures_of_one_name_have_label_files_of_their_own(tmp_path):
    for day in "monday", "tuesday":
        save_image(tmp_path / "images" / day / "1.jpg")
    album = Album(tmp_path, ["dog"])
    for x in 1, 2:
        box = {"x": x, "y": 5, "width": 30, "height": 25, "label": "dog"}
        album.save([box])
        album.move(1)
    found = {r["file"].parent.name: r["objects"] for r in read_labels(tmp_path)}
    assert {day: o[0]["box"][0] for day, o in found.items()} == {
        "monday": 1,
        "tuesday": 2,
    }
