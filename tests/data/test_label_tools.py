"""Labels as real tools write them, in label_tools: no box is moved on the way.

Each tool wrote the same small set (label_tools/small_set.py). `Case` says what a tool
itself changed; everything else must come back as it was.
"""

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from course_utils.data.labels.export import write_coco_json, write_voc_xml
from course_utils.data.labels.read import (
    read_coco_labels,
    read_labels,
    read_voc_labels,
    read_yolo_labels,
)
from tests.data.label_tools.small_set import CLASSES, OBJECTS, PICTURES, SIZE

TOOLS = Path(__file__).parent / "label_tools"
DECIMAL = (12.5, 7.25, 40.75, 33.5)  # the one box that is not on whole pixels
FULL = (0, 0, 100, 80)  # the one that fills its picture


class Case(NamedTuple):
    """How one tool writes one format."""

    form: str
    pictures: str = "."  # where they lie in its layout
    first_pixel: int | None = None  # of VOC XML
    decimal: tuple = DECIMAL  # what the tool made of these two boxes
    full: tuple = FULL
    flags: tuple = ()  # that it writes
    crowds: bool = True  # or it leaves crowds out
    empty: bool = True  # or it writes nothing for a picture without objects
    digits: int = 6  # of YOLO's numbers
    classes: list | None = None  # told to the reader where no file names them


CUT = (12, 7, 40, 33)
CASES = {
    "datumaro-1.13.12/coco": Case("coco", "images/train"),
    "datumaro-1.13.12/voc": Case(
        "voc", "JPEGImages", 0, flags=("difficult", "iscrowd"), empty=False
    ),
    "datumaro-1.13.12/voc_one_based": Case(
        "voc",
        "JPEGImages",
        1,
        (12, 7, 41, 34),
        flags=("difficult", "iscrowd"),
        empty=False,
    ),
    "datumaro-1.13.12/yolo": Case("yolo", "obj_train_data", crowds=False),
    "datumaro-1.13.12/yolo_ultralytics": Case("yolo", "images/train", crowds=False),
    "globox-2.9.0/coco": Case("coco"),
    "globox-2.9.0/voc": Case("voc", first_pixel=0),
    "globox-2.9.0/yolo_darknet": Case("yolo", classes=CLASSES),
    "globox-2.9.0/yolo_v5": Case("yolo", classes=CLASSES),
    "labelImg-1.8.6/voc": Case(
        "voc", first_pixel=0, decimal=CUT, full=(1, 1, 100, 80), flags=("difficult",)
    ),
    "labelImg-1.8.6/yolo": Case("yolo", decimal=CUT, full=(1, 1, 100, 80)),
    "label_studio_sdk-2.1.2/coco": Case("coco", "images"),
    "label_studio_sdk-2.1.2/voc": Case("voc", "images", 0, CUT, empty=False),
    "label_studio_sdk-2.1.2/yolo": Case("yolo", "images"),
    "labelformat-0.1.17/coco": Case("coco"),
    "labelformat-0.1.17/voc": Case("voc", first_pixel=0),
    "labelformat-0.1.17/yolov26": Case("yolo", "images"),
    "labelformat-0.1.17/yolov5": Case("yolo", "images"),
    "labelformat-0.1.17/yolov8": Case("yolo", "images"),
    "pascal_voc_writer-0.1.4/voc": Case("voc", first_pixel=0, flags=("difficult",)),
    "pylabel-0.1.55/coco": Case("coco", flags=("iscrowd",)),
    "pylabel-0.1.55/voc": Case("voc", first_pixel=0, decimal=CUT),
    "pylabel-0.1.55/yolo": Case("yolo", "images", digits=4),
    "supervision-0.31.2/coco": Case("coco", "images", flags=("iscrowd",)),
    "supervision-0.31.2/voc": Case("voc", "images", 1, (13, 7, 41, 34)),
    "supervision-0.31.2/yolo": Case("yolo", "images", digits=5),
}
VOC = [name for name, case in CASES.items() if case.form == "voc"]
COCO = [name for name, case in CASES.items() if case.form == "coco"]
YOLO = [name for name, case in CASES.items() if case.form == "yolo"]


def lay_out(name, tmp_path):
    """The tool's files with the pictures where its layout has them."""
    folder = shutil.copytree(TOOLS / name, tmp_path / "set")
    for picture in PICTURES.iterdir():
        place = folder / CASES[name].pictures
        if name.endswith("ultralytics") and picture.name == "full.jpg":
            place = folder / "images" / "val"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, place)
    return folder


def expected(name):
    """{picture: [(class, box, difficult, iscrowd)]}, flags False that it drops."""
    case, found = CASES[name], {}
    for picture, objects in OBJECTS.items():
        found[picture] = []
        for thing in objects:
            changed = {DECIMAL: case.decimal, FULL: case.full}
            box = changed.get(thing["box"], thing["box"])
            flags = [thing[f] and f in case.flags for f in ("difficult", "iscrowd")]
            flags[0] |= flags[1]  # the course's readers: a crowd is difficult as well
            if case.crowds or not thing["iscrowd"]:
                found[picture].append((thing["name"], box, *flags))
    return found


def check(records, name):
    """Every class, corner, flag and picture is as the tool wrote it."""
    case, wanted = CASES[name], expected(name)
    assert sorted(r["file"].name for r in records) == sorted(wanted)
    for record in records:
        objects = wanted[record["file"].name]
        assert record["problem"] is None
        assert record["file"].is_file()
        assert len(record["objects"]) == len(objects)
        for thing, (label, box, difficult, iscrowd) in zip(record["objects"], objects):
            assert thing["name"] == label
            near = 0.75 * 10**-case.digits * max(SIZE) if case.form == "yolo" else 0
            assert thing["box"] == pytest.approx(box, abs=near + (near and 0.0005))
            assert thing["difficult"] == difficult
            assert bool(thing.get("iscrowd")) == iscrowd
        if objects or case.empty:  # a picture labelled as empty, not one left out
            assert record["labels"] is not None


def coco_file(folder):
    return next(p for p in sorted(folder.rglob("*.json")) if p.name != "notes.json")


FAULTY = {"globox-2.9.0/yolo_names"}  # its test stands below


def test_every_file_of_a_tool_is_read_here():
    folders = {f"{p.parent.name}/{p.name}" for p in TOOLS.glob("*-*/*")}
    assert folders == set(CASES) | FAULTY


@pytest.mark.parametrize("name", VOC)
def test_voc_of_every_tool_with_the_rule_told(name, tmp_path):
    # pitfall: labels: from which number VOC XML counts
    folder, rule = lay_out(name, tmp_path), CASES[name].first_pixel
    records = read_voc_labels(folder, first_pixel=rule)
    check(records, name)
    assert {r["first_pixel"] for r in records if r["objects"]} == {rule}


@pytest.mark.parametrize("name", VOC)
def test_voc_of_every_tool_with_the_rule_found(name, tmp_path):
    records = read_labels(lay_out(name, tmp_path))
    check(records, name)
    rule = CASES[name].first_pixel
    assert {r["first_pixel"] for r in records if r["objects"]} == {rule}


@pytest.mark.parametrize("name", YOLO)
def test_yolo_of_every_tool(name, tmp_path):
    folder, classes = lay_out(name, tmp_path), CASES[name].classes
    check(read_yolo_labels(folder, classes=classes), name)
    if classes is None:  # then the folder names its classes, and the form is found
        check(read_labels(folder), name)
    else:
        with pytest.raises(ValueError, match="classes"):
            read_labels(folder)


@pytest.mark.parametrize("name", COCO)
def test_coco_of_every_tool(name, tmp_path):
    folder = lay_out(name, tmp_path)
    check(read_coco_labels(coco_file(folder), folder), name)
    check(read_labels(folder), name)


def test_an_object_that_pylabel_writes_twice_is_read_once(tmp_path):
    """For a picture without objects it repeats the object before, id and all."""
    folder = lay_out("pylabel-0.1.55/coco", tmp_path)
    marks = json.loads(coco_file(folder).read_text())["annotations"]
    assert len(marks) == 7 and marks[1] == marks[2]
    records = read_coco_labels(coco_file(folder), folder)
    assert sum(len(record["objects"]) for record in records) == 6


def test_yolo_rows_with_a_word_for_the_class_are_a_fault(tmp_path):
    """globox writes names instead of numbers if it is not given a mapping."""
    folder = shutil.copytree(TOOLS / "globox-2.9.0/yolo_names", tmp_path / "set")
    for picture in PICTURES.iterdir():
        shutil.copy(picture, folder)
    for record in read_yolo_labels(folder, classes=CLASSES):
        if OBJECTS[record["file"].name]:
            assert "apple" in record["problem"] or "zebra" in record["problem"]


def answer_of(objects):
    """The objects of a record in the form that the writers take."""
    return {
        "boxes": torch.tensor([o["box"] for o in objects]).reshape(-1, 4),
        "labels": [CLASSES.index(o["name"]) + 1 for o in objects],
        "difficult": [o["difficult"] for o in objects],
        "iscrowd": [bool(o.get("iscrowd")) for o in objects],
    }


def voc_numbers(path):
    """[(class, xmin, ymin, xmax, ymax, difficult)] as an XML file has them."""
    rows, tags = [], ("xmin", "ymin", "xmax", "ymax")
    for node in ElementTree.parse(path).getroot().iter("object"):
        corners = (node.findtext(f"bndbox/{tag}") for tag in tags)
        flag = (node.findtext("difficult") or "0") == "1"
        rows.append((node.findtext("name"), *map(float, corners), flag))
    return rows


@pytest.mark.parametrize("name", VOC)
def test_tool_to_course_to_tool_keeps_every_number_of_voc(name, tmp_path):
    rule = CASES[name].first_pixel
    records = read_voc_labels(lay_out(name, tmp_path), first_pixel=rule)
    written = 0
    for record in records:
        if record["labels"] is not None:
            detected, out = answer_of(record["objects"]), tmp_path / "again.xml"
            crowds = detected["iscrowd"]
            write_voc_xml(out, SIZE, detected, CLASSES, first_pixel=rule)
            again, first = voc_numbers(out), voc_numbers(record["labels"])
            assert [row[:5] for row in again] == [row[:5] for row in first]
            for row, other, crowd in zip(again, first, crowds):
                assert crowd or row[5] == other[5]
            written += 1
    assert written == 4 - (not CASES[name].empty)


def coco_numbers(path):
    """{picture: [(class, bbox, iscrowd)]} as a COCO file has them."""
    content = json.loads(Path(path).read_text())
    names = {c["id"]: c["name"] for c in content["categories"]}
    files = {i["id"]: Path(i["file_name"]).name for i in content["images"]}
    found = {file: [] for file in files.values()}
    marks = content["annotations"]
    for mark in (m for i, m in enumerate(marks) if m not in marks[:i]):
        row = names[mark["category_id"]], mark["bbox"], bool(mark.get("iscrowd"))
        found[files[mark["image_id"]]].append(row)
    return found


@pytest.mark.parametrize("name", COCO)
def test_tool_to_course_to_tool_keeps_every_number_of_coco(name, tmp_path):
    folder, out = lay_out(name, tmp_path), tmp_path / "again.json"
    records = read_coco_labels(coco_file(folder), folder)
    images = [(record["file"].name, record["size"]) for record in records]
    detections = [answer_of(record["objects"]) for record in records]
    write_coco_json(out, images, detections, CLASSES)
    assert coco_numbers(out) == coco_numbers(coco_file(folder))


def test_table_of_the_readme_is_what_the_files_hold():
    rows = (TOOLS / "README.md").read_text().splitlines()
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    rows, seen = [row for row in rows if len(row) == 7 and "`" in row[2]], set()
    for tool, forms, *cells in (row[:4] for row in rows):
        for form in forms.split(", "):
            name = f"{tool.replace(' ', '-')}/{form}"
            seen.add(name)
            for stem, cell in zip(("flags", "full"), cells):
                assert first_numbers(TOOLS / name, stem) == cell.strip("`")
    assert seen == set(CASES) | FAULTY


def first_numbers(folder, stem):
    """The first object of a picture as its label file has it."""
    own = sorted(p for p in folder.rglob(f"{stem}.*") if p.suffix in (".xml", ".txt"))
    if not own:
        content = json.loads(coco_file(folder).read_text())
        number = next(i["id"] for i in content["images"] if stem in i["file_name"])
        marks = (a for a in content["annotations"] if a["image_id"] == number)
        return " ".join(map(str, next(marks)["bbox"]))
    if own[0].suffix == ".txt":
        return own[0].read_text().splitlines()[0]
    box = ElementTree.parse(own[0]).getroot().find("object/bndbox")
    return " ".join(box.findtext(tag) for tag in ("xmin", "ymin", "xmax", "ymax"))
