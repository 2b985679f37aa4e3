"""Write labels and detections: a data set in VOC layout, VOC XML and COCO JSON."""

import json
import os
import random
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import torch
from PIL import Image

from course_utils.boxes import check_boxes, clip_boxes
from course_utils.data import read_pixels
from course_utils.files import unfinished
from course_utils.label_faults import check_labels
from course_utils.labels import look_at

SPLITS = ("train", "val", "test")


def write_text(path, text):
    """Write a text file under a temporary name, renamed when whole."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_answer(answer, classes, where):
    """(boxes (N, 4), labels, scores or None) of an answer; raises ValueError."""
    boxes = check_boxes(answer["boxes"], where).cpu()
    labels = torch.as_tensor(answer["labels"]).tolist()
    if len(labels) != len(boxes):
        raise ValueError(f"{where}: {len(boxes)} boxes but {len(labels)} labels")
    if not all(1 <= label <= len(classes) for label in labels):
        raise ValueError(f"{where}: labels {labels} are not all in 1..{len(classes)}")
    scores = answer.get("scores")
    return boxes, labels, None if scores is None else torch.as_tensor(scores).tolist()


def write_voc_xml(path, size, answer, classes, filename=None):
    """Write boxes as a VOC XML file, corners as whole pixels counted from 1.

    size: (width, height) of the image. answer: a dict of ``boxes`` (N, 4) half-open
    pixels and ``labels`` (N,), with ``scores`` and ``difficult`` if there are any.
    classes: the names of labels 1..K. filename: the image's, by default that of the
    XML with .jpg. Raises ValueError for a box or label that is none. Lesson 13.
    """
    path = Path(path)
    boxes, labels, scores = check_answer(answer, classes, str(path))
    difficult = torch.as_tensor(answer.get("difficult", [0] * len(boxes))).tolist()
    root = ElementTree.Element("annotation")
    add_nodes(root, filename=filename or path.stem + ".jpg")
    add_nodes(add_nodes(root, size=None), width=size[0], height=size[1], depth=3)
    add_nodes(root, segmented=0)
    for i, (x1, y1, x2, y2) in enumerate(boxes.round().int().tolist()):
        node = add_nodes(root, object=None)
        add_nodes(node, name=classes[labels[i] - 1], pose="Unspecified", truncated=0)
        add_nodes(node, difficult=int(difficult[i]))
        if scores is not None:
            add_nodes(node, score=round(scores[i], 4))
        x1, y1 = min(x1, max(x2 - 1, 0)), min(y1, max(y2 - 1, 0))  # one pixel at least
        x2, y2 = max(x2, 1), max(y2, 1)
        add_nodes(
            add_nodes(node, bndbox=None), xmin=x1 + 1, ymin=y1 + 1, xmax=x2, ymax=y2
        )
    ElementTree.indent(root)
    write_text(path, ElementTree.tostring(root, encoding="unicode") + "\n")


def add_nodes(node, **children):
    """Add elements with these texts to an XML node; returns the last of them."""
    for tag, text in children.items():
        child = ElementTree.SubElement(node, tag)
        child.text = None if text is None else str(text)
    return child


def write_coco_json(path, images, answers, classes):
    """Write boxes as a COCO data set file with images, categories and annotations.

    images: a (file name, (width, height)) for each image, in pixels; answers: for each
    a dict of ``boxes`` (N, 4) and ``labels`` (N,), with ``scores`` if there are any.
    Ids count from 1; a category's is its label. Raises ValueError. Lesson 13.
    """
    if len(images) != len(answers):
        raise ValueError(f"{len(answers)} answers for {len(images)} images: one each")
    content = {"images": [], "categories": [], "annotations": []}
    for label, name in enumerate(classes, 1):
        content["categories"].append({"id": label, "name": name})
    for image_id, ((name, size), answer) in enumerate(zip(images, answers), 1):
        entry = {"id": image_id, "file_name": str(name)}
        content["images"].append(entry | {"width": size[0], "height": size[1]})
        boxes, labels, scores = check_answer(answer, classes, f"image {name}")
        for i, (x1, y1, x2, y2) in enumerate(boxes.double().tolist()):
            box = [round(v, 3) for v in (x1, y1, x2 - x1, y2 - y1)]
            mark = {
                "id": len(content["annotations"]) + 1,
                "image_id": image_id,
                "category_id": labels[i],
                "bbox": box,
                "area": round(box[2] * box[3], 3),
                "iscrowd": 0,
            }
            if scores is not None:
                mark["score"] = scores[i]
            content["annotations"].append(mark)
    write_text(path, json.dumps(content, indent=1) + "\n")


def turn_box(box, orientation, size):
    """A box in the stored pixels, moved to the upright picture.

    box: x1, y1, x2, y2; orientation: the EXIF number, 1..8; size: (width, height) of
    the stored pixels. Returns x1, y1, x2, y2. Source: EXIF 2.3, tag 274. Lesson 13.
    """
    (x1, y1, x2, y2), (width, height) = box, size
    if orientation in (2, 3, 7, 8):
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4, 6, 7):
        y1, y2 = height - y2, height - y1
    return (y1, x1, y2, x2) if orientation > 4 else (x1, y1, x2, y2)


def upright_boxes(record, picture):
    """The boxes of a record in the upright picture, a list of x1, y1, x2, y2.

    They are turned along if the label file states the size of the stored pixels and the
    upright picture has another; else they are for the upright picture. Lesson 13.
    """
    boxes = [o["box"] for o in record["objects"]]
    if record["size"] == picture.stored != picture.upright:
        return [turn_box(b, picture.orientation, picture.stored) for b in boxes]
    return boxes


def unique_names(paths):
    """A name for each file, its stem in plain letters; equal ones get _2, _3 ..."""
    names, taken = [], set()
    for path in paths:
        stem = name = re.sub(r"[^\w.-]", "_", Path(path).stem, flags=re.A)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def make_dataset(records, out, classes, faults=None, split=(0.7, 0.15, 0.15), seed=0):
    """Write the good part of `records` as a new data set that `VOCDataset` reads.

    records: as `labels.read_labels` gives them. out: a folder that must not exist yet.
    classes: all names, label 1 first. faults: what `check_labels` found, asked by
    default; take one out of the list to pass over it. split: the parts of train, val
    and test, drawn at random by `seed`.

    An image with a fault of its own, all kinds but "rotated", is left out. An object
    with a fault is left out and its image stays with the others, unless it has lost all
    of them; images labelled as empty stay. So an object left out counts as background:
    mend what you can. Boxes are clipped to the image. Upright JPEG files are copied as
    they are, all others become upright JPEG files of quality 95. The given files are
    never changed. Returns the folder.

    Raises FileExistsError, and ValueError if no object is left or for what a shortened
    list of faults passed over that can not be written. Lesson 13.
    """
    out, classes = Path(out), list(classes)
    if out.exists():
        raise FileExistsError(f"{out} exists already; choose another folder")
    if len(split) != 3 or min(split) < 0 or abs(sum(split) - 1) > 1e-6:
        raise ValueError(f"split {split}: three parts of train, val, test, sum 1")
    faults = check_labels(records, classes) if faults is None else faults
    good = keep_good(records, faults)
    if not any(record["objects"] for record in good):
        raise ValueError(
            f"none of {len(records)} images has an object without a fault; nothing to"
            " write: mend what check_labels names"
        )
    temporary = unfinished(out)
    try:
        for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (temporary / folder).mkdir(parents=True)
        names = unique_names([record["file"] for record in good])
        for name, record in zip(names, good):
            write_image(temporary, name, record, classes)
        for part, ids in divide_names(names, split, seed).items():
            lines = "".join(f"{i}\n" for i in ids)
            write_text(temporary / "ImageSets" / "Main" / f"{part}.txt", lines)
        write_text(temporary / "classes.txt", "".join(f"{c}\n" for c in classes))
        os.rename(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def keep_good(records, faults):
    """The records, and the objects in them, that no fault spoils; new lists."""
    spoiled = {(f.file, f.object) for f in faults if f.kind != "rotated"}
    good = []
    for record in records:
        objects = [
            o
            for number, o in enumerate(record["objects"])
            if (record["file"], number) not in spoiled
        ]
        whole = (record["file"], None) not in spoiled
        if whole and (objects or not record["objects"]):
            good.append(record | {"objects": objects})
    return good


def write_image(root, name, record, classes):
    """Write one image and its XML into a data set; raises ValueError that names it."""
    file, picture = record["file"], look_at(record["file"])
    unknown = {o["name"] for o in record["objects"]} - set(classes)
    if unknown:
        raise ValueError(f"{file}: classes {sorted(unknown)} are not in the list")
    boxes = check_boxes(upright_boxes(record, picture), str(file))
    width, height = picture.upright
    answer = {
        "boxes": clip_boxes(boxes, (height, width)),
        "labels": [classes.index(o["name"]) + 1 for o in record["objects"]],
        "difficult": [o["difficult"] for o in record["objects"]],
    }
    write_voc_xml(
        root / "Annotations" / f"{name}.xml", (width, height), answer, classes
    )
    target = root / "JPEGImages" / f"{name}.jpg"
    if picture.format in ("JPEG", "MPO") and picture.orientation == 1:
        shutil.copyfile(file, target)
    else:
        pixels = read_pixels(file).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(target, quality=95)


def divide_names(names, split, seed):
    """{"train": names, "val": names, "test": names}, drawn at random, each sorted.

    With three images or more, a part above 0 gets one at least.
    """
    names = list(names)
    random.Random(seed).shuffle(names)
    sizes = [round(part * len(names)) for part in split]
    sizes = [max(size, part > 0) for size, part in zip(sizes, split)]
    while sum(sizes) != len(names):
        largest = max(range(3), key=lambda i: (sizes[i], i))
        sizes[largest] += 1 if sum(sizes) < len(names) else -1
    parts, start = {}, 0
    for part, size in zip(SPLITS, sizes):
        parts[part] = sorted(names[start : start + size])
        start += size
    return parts
