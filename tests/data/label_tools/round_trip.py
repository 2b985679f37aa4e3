"""course -> tool -> course: write the small set for the tools, compare what comes back.

python round_trip.py write FOLDER     voc0, voc1 (from which number it counts), coco
                                      and yolo, all in FOLDER
python round_trip.py compare FOLDER   what a tool made of one of them: FOLDER/same in
                                      the same format, FOLDER/coco as COCO JSON
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from small_set import CLASSES, OBJECTS, PICTURES, SIZE

from course_utils.data.labels.export import write_coco_json, write_voc_xml
from course_utils.data.labels.read import (
    read_coco_labels,
    read_voc_labels,
    read_yolo_labels,
)

NAMES = list(OBJECTS)


def detected(objects):
    return {
        "boxes": [thing["box"] for thing in objects],
        "labels": [CLASSES.index(thing["name"]) + 1 for thing in objects],
        "difficult": [thing["difficult"] for thing in objects],
        "iscrowd": [thing["iscrowd"] for thing in objects],
    }


def write_voc(out, first_pixel):
    """JPEGImages/, Annotations/, and the lists that datumaro asks for."""
    shutil.copytree(PICTURES, out / "JPEGImages")
    (out / "Annotations").mkdir()
    (out / "ImageSets" / "Main").mkdir(parents=True)
    stems = [Path(name).stem for name in NAMES]
    (out / "ImageSets" / "Main" / "train.txt").write_text("\n".join(stems) + "\n")
    lines = "".join(f"{name}:::\n" for name in ["background", *CLASSES])
    (out / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + lines)
    for name, objects in OBJECTS.items():
        file = out / "Annotations" / Path(name).with_suffix(".xml")
        write_voc_xml(file, SIZE, detected(objects), CLASSES, first_pixel=first_pixel)


def write_coco(out):
    """COCO's own layout: images/train/ and annotations/instances_train.json."""
    shutil.copytree(PICTURES, out / "images" / "train")
    (out / "annotations").mkdir()
    write_coco_json(
        out / "annotations" / "instances_train.json",
        [(name, SIZE) for name in NAMES],
        [detected(objects) for objects in OBJECTS.values()],
        CLASSES,
    )


def write_yolo(out):
    """YOLO text, which the course does not write: whole precision, by hand."""
    shutil.copytree(PICTURES, out / "images")
    (out / "labels").mkdir()
    (out / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(CLASSES))
    (out / "data.yaml").write_text(f"path: .\ntrain: images\nnames:\n{names}")
    width, height = SIZE
    for name, objects in OBJECTS.items():
        lines = []
        for thing in objects:
            (x1, y1, x2, y2), number = thing["box"], CLASSES.index(thing["name"])
            row = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height
            row = number, *row, (x2 - x1) / width, (y2 - y1) / height
            lines.append(" ".join(map(str, row)) + "\n")
        (out / "labels" / Path(name).with_suffix(".txt")).write_text("".join(lines))


def flat(folder, suffixes, work):
    """The pictures and all label files below `folder`, side by side in one place."""
    place = Path(tempfile.mkdtemp(dir=work))
    shutil.copytree(PICTURES, place, dirs_exist_ok=True)
    for file in sorted(Path(folder).rglob("*")):
        if file.suffix in suffixes and "images" not in file.parts:
            shutil.copy(file, place)
    return place


def read(folder, form, work):
    """{picture: objects} as the course reads it; a picture that is not there: None."""
    if form.startswith("voc"):
        place = flat(folder, (".xml",), work)
        records = read_voc_labels(place, first_pixel=int(form[-1]))
    elif form == "yolo":
        place = flat(folder, (".txt", ".names", ".yaml"), work)
        names = [p for p in place.iterdir() if p.name in ("classes.txt", "obj.names")]
        listed = names[0].read_text().split() if names else CLASSES
        records = read_yolo_labels(place, classes=listed)
    else:
        file = next(
            file
            for file in sorted(Path(folder).rglob("*.json"))
            if {"images", "annotations"} <= set(json.loads(file.read_text()))
        )
        records = read_coco_labels(file, PICTURES)
    found = {r["file"].name: r["objects"] if r["labels"] else None for r in records}
    problems = [r["problem"] for r in records if r["problem"]]
    return found, problems


def compare(before, after, flags):
    """What changed, in words, one line each."""
    lines, moves = [], {}
    for name, objects in before.items():
        found = after.get(name)
        if found is None:
            what = "picture" if objects else "empty picture"
            lines.append(f"{what} {name} is lost")
            continue
        old = sorted(objects, key=lambda o: (o["name"], o["box"]))
        new = sorted(found, key=lambda o: (o["name"], o["box"]))
        if [o["name"] for o in old] != [o["name"] for o in new]:
            names = [o["name"] for o in new]
            lines.append(f"{name}: {[o['name'] for o in old]} became {names}")
            continue
        for one, other in zip(old, new):
            move = tuple(round(b - a, 4) for a, b in zip(one["box"], other["box"]))
            if any(move):
                moves.setdefault(move, []).append(one["box"])
            flag = "iscrowd" if one.get("iscrowd") else "difficult"  # the course: both
            if flags and one.get(flag) and not other.get(flag):
                lines.append(f"{flag} of {one['box']} is lost")
    for move, boxes in moves.items():
        few = ", ".join(str(box) for box in boxes[:2])
        lines.append(f"{len(boxes)} boxes moved by {move}, such as {few}")
    return lines or ["everything kept"]


def main(command, folder):
    folder = Path(folder)
    if command == "write":
        for first_pixel in 0, 1:
            write_voc(folder / f"voc{first_pixel}", first_pixel)
        write_coco(folder / "coco")
        write_yolo(folder / "yolo")
        return
    tool, form = folder.parts[-2:]
    with tempfile.TemporaryDirectory() as work:
        before, _ = read(folder.parents[2] / "course" / form, form, work)
        ways = [(form, "same"), *((f, f) for f in ("coco", "yolo") if f != form)]
        for form_back, part in ways:
            if not (folder / part).is_dir():
                continue
            after, problems = read(folder / part, form_back, work)
            flags = form != "yolo" and form_back == form
            for line in problems or compare(before, after, flags):
                print(f"{tool}: {form} -> {form_back}: {line}")


if __name__ == "__main__":
    main(*sys.argv[1:])
