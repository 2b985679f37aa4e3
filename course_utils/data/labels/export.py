"""Write labels and detections: a data set in VOC layout, VOC XML and COCO JSON."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image

from course_utils.core.files import unfinished, write_text, write_whole
from course_utils.data.frame import upright_boxes
from course_utils.data.images import look_at, read_pixels
from course_utils.data.labels.faults import DOUBTS, check_labels
from course_utils.data.labels.splits import divide_groups, group_places, kept_splits
from course_utils.data.labels.twins import find_twins
from course_utils.data.voc import FLAGS, add, check_first_pixel
from course_utils.ops.boxes import check_boxes, clip_boxes


def check_detections(detected, classes, where):
    """(boxes (N, 4), labels, scores or None) of detections; raises ValueError."""
    boxes = check_boxes(detected["boxes"], where).cpu()
    labels = torch.as_tensor(detected["labels"]).tolist()
    if len(labels) != len(boxes):
        raise ValueError(f"{where}: {len(boxes)} boxes but {len(labels)} labels")
    if not all(1 <= label <= len(classes) for label in labels):
        raise ValueError(f"{where}: labels {labels} are not all in 1..{len(classes)}")
    scores = detected.get("scores")
    return boxes, labels, None if scores is None else torch.as_tensor(scores).tolist()


def write_voc_xml(path, size, detected, classes, filename=None, first_pixel=1):
    """Write boxes as a VOC XML file; no corner is moved, decimals stay as they are.

    size: (width, height) of the image. detections: a dict of ``boxes`` (N, 4) half-open
    pixels and ``labels`` (N,), with ``scores`` and the flags ``difficult``,
    ``truncated``, ``occluded`` and ``iscrowd`` (N,) if there are any; a crowd is
    difficult, too. classes: the names of labels 1..K. filename: the image's, by default
    that of the XML with .jpg. first_pixel: 1 counts from 1 with the last pixel
    included, as VOC does; 0 writes the corners as they are. The file states it, so that
    `voc.read_voc_xml` gives the same boxes again, bit by bit. Raises ValueError for a
    box or label that is none. Lesson 13.
    """
    path = Path(path)
    if first_pixel is None:
        raise ValueError(f"{path}: first_pixel None; write 1 (VOC's rule) or 0")
    check_first_pixel(first_pixel)
    boxes, labels, scores = check_detections(detected, classes, str(path))
    flags = {tag: list_flags(detected, tag, len(boxes), path) for tag in FLAGS}
    root = ElementTree.Element("annotation")
    add_nodes(root, filename=filename or path.stem + ".jpg")
    source = add_nodes(root, source=None)
    add_nodes(source, database="course_utils", first_pixel=first_pixel)
    add_nodes(add_nodes(root, size=None), width=size[0], height=size[1], depth=3)
    add_nodes(root, segmented=0)
    for i, corners in enumerate(boxes.numpy()):
        node = add_nodes(root, object=None)
        add_nodes(node, name=classes[labels[i] - 1], pose="Unspecified")
        add_nodes(node, truncated=flags["truncated"][i])
        if "occluded" in detected:
            add_nodes(node, occluded=flags["occluded"][i])
        crowd = flags["iscrowd"][i]
        add_nodes(node, difficult=flags["difficult"][i] or crowd)
        if crowd:
            add_nodes(node, iscrowd=crowd)
        if scores is not None:
            add_nodes(node, score=round(scores[i], 4))
        moves = (first_pixel, first_pixel, 0, 0)
        texts = [add(np.float32(v), move) for v, move in zip(corners, moves)]
        tags = ("xmin", "ymin", "xmax", "ymax")
        add_nodes(add_nodes(node, bndbox=None), **dict(zip(tags, texts)))
    ElementTree.indent(root)
    write_text(path, ElementTree.tostring(root, encoding="unicode") + "\n")


def list_flags(detected, tag, count, where):
    """A flag of detections as 0 or 1 for each box, 0 where it has none of that name."""
    flags = detected.get(tag)
    flags = [0] * count if flags is None else torch.as_tensor(flags).tolist()
    if len(flags) != count:
        raise ValueError(f"{where}: {count} boxes but {len(flags)} of {tag}")
    return [int(bool(flag)) for flag in flags]


def add_nodes(node, **children):
    """Add elements with these texts to an XML node; returns the last of them."""
    for tag, text in children.items():
        child = ElementTree.SubElement(node, tag)
        child.text = None if text is None else str(text)
    return child


def write_coco_json(path, images, detections, classes):
    """Write boxes as a COCO data set file with images, categories and annotations.

    images: a (file name, (width, height)) for each image, in pixels; detections: for
    each a dict of ``boxes`` (N, 4) and ``labels`` (N,), with ``scores`` and the flags
    ``iscrowd`` and ``difficult`` (which COCO does not know, but keeps) if there are
    any. Ids count from 1; a category's is its label. Raises ValueError. Lesson 13.
    """
    if len(images) != len(detections):
        raise ValueError(
            f"{len(detections)} detections for {len(images)} images: one each"
        )
    content = {"images": [], "categories": [], "annotations": []}
    for label, name in enumerate(classes, 1):
        content["categories"].append({"id": label, "name": name})
    for image_id, ((name, size), detected) in enumerate(zip(images, detections), 1):
        entry = {"id": image_id, "file_name": str(name)}
        content["images"].append(entry | {"width": size[0], "height": size[1]})
        boxes, labels, scores = check_detections(detected, classes, f"image {name}")
        crowd, difficult = (
            list_flags(detected, tag, len(boxes), f"image {name}")
            for tag in ("iscrowd", "difficult")
        )
        for i, box in enumerate(coco_boxes(boxes)):
            mark = {
                "id": len(content["annotations"]) + 1,
                "image_id": image_id,
                "category_id": labels[i],
                "bbox": box,
                "area": round(box[2] * box[3], 3),
                "iscrowd": crowd[i],
            }
            if difficult[i] and not crowd[i]:
                mark["difficult"] = 1
            if scores is not None:
                mark["score"] = scores[i]
            content["annotations"].append(mark)
    write_text(path, json.dumps(content, indent=1) + "\n")


def coco_boxes(boxes):
    """x, y, width, height of (N, 4) corners, in double: the corners come back exact."""
    boxes = boxes.double()
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).tolist()


def write_coco_results(path, image_ids, detections, category_ids=None):
    """Write detections as the results file that pycocotools' `loadRes` takes.

    image_ids: the id of each image in the COCO data set file; detections: for each a
    dict of ``boxes`` (N, 4) half-open pixels, ``labels`` (N,) and ``scores`` (N,).
    category_ids: the category's id of label 1, 2 ...; by default the label itself, as
    `write_coco_json` numbers them. Raises ValueError. Lesson 13.
    """
    image_ids, marks = list(image_ids), []
    if len(image_ids) != len(detections):
        raise ValueError(f"{len(detections)} detections for {len(image_ids)} image ids")
    if len(set(image_ids)) != len(image_ids):
        raise ValueError("image_ids: an id occurs twice; give each image its own")
    for image_id, detected in zip(image_ids, detections):
        highest = max(torch.as_tensor(detected["labels"]).tolist(), default=0)
        known = category_ids or range(1, int(highest) + 1)
        boxes, labels, scores = check_detections(detected, known, f"image {image_id}")
        if scores is None or len(scores) != len(labels):
            raise ValueError(f"image {image_id}: a results file needs a score each")
        for box, label, score in zip(coco_boxes(boxes), labels, scores):
            mark = {"image_id": image_id, "category_id": known[label - 1]}
            marks.append(mark | {"bbox": box, "score": score})
    lines = ",\n".join(map(json.dumps, marks))
    write_text(path, f"[\n{lines}\n]\n")


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


def make_dataset(
    records,
    out,
    classes,
    faults=None,
    split=(0.7, 0.15, 0.15),
    seed=0,
    groups=None,
    first_pixel=1,
):
    """Write the good part of `records` as a new data set that `VOCDataset` reads.

    records: as `read.read_labels` gives them. out: a folder that must not exist yet.
    classes: all names, label 1 first. faults: what `check_labels` found, asked by
    default; take one out of the list to pass over it. split: the parts of train, val
    and test, drawn at random by `seed`; None keeps those that the records carry.
    groups: what belongs together and stays on one side, such as all pictures of one
    day: a function of a record, or a list with one value for each; None stands alone.
    Equal pictures stay together anyway. first_pixel: see `write_voc_xml`.

    An image with a fault of its own, all kinds but "rotated" and "counting", is left
    out. An object with a fault is left out and its image stays with the others, unless
    it has lost all of them; images labelled as empty stay. So an object left out counts
    as background: mend what you can. Boxes are clipped to the image. Upright JPEG files
    are copied as they are, all others become upright JPEG files of quality 95. The
    given files are never changed. Returns the folder.

    Raises FileExistsError, and ValueError if no object is left, for a kept split that
    parts what belongs together, or for what a shortened list of faults passed over that
    cannot be written. Lesson 13.
    """
    out, classes, records = Path(out), list(classes), list(records)
    if out.exists():
        raise FileExistsError(f"{out} exists already; choose another folder")
    if split is not None and (
        len(split) != 3 or min(split) < 0 or abs(sum(split) - 1) > 1e-6
    ):
        raise ValueError(f"split {split}: three parts of train, val, test, sum 1")
    if groups is not None and not callable(groups) and len(groups) != len(records):
        raise ValueError(f"{len(groups)} groups for {len(records)} records: one each")
    if groups is None:
        groups = [None] * len(records)
    keys = map(groups, records) if callable(groups) else groups
    records = [record | {"group": key} for record, key in zip(records, keys)]
    faults = check_labels(records, classes) if faults is None else faults
    good = keep_good(records, faults)
    if not any(record["objects"] for record in good):
        raise ValueError(
            f"none of {len(records)} images has an object without a fault; nothing to"
            " write: mend what check_labels names"
        )
    together = group_places([record["group"] for record in good], find_twins(good))
    if split is None:
        parts = kept_splits(good, together)
    else:
        parts = divide_groups(together, split, seed)
    unfinished(out)  # makes the folder above, removes what a killed kernel left
    with write_whole(out) as place:
        for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (place / folder).mkdir(parents=True)
        names = unique_names([record["file"] for record in good])
        for name, record in zip(names, good):
            write_image(place, name, record, classes, first_pixel)
        for part, places in parts.items():
            lines = "".join(f"{i}\n" for i in sorted(names[p] for p in places))
            write_text(place / "ImageSets" / "Main" / f"{part}.txt", lines)
        write_text(place / "classes.txt", "".join(f"{c}\n" for c in classes))
    return out


def keep_good(records, faults):
    """The records, and the objects in them, that no fault spoils; new lists."""
    spoiled = {(f.file, f.object) for f in faults if f.kind not in DOUBTS}
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


def write_image(root, name, record, classes, first_pixel=1):
    """Write one image and its XML into a data set; raises ValueError that names it."""
    file, picture = record["file"], look_at(record["file"])
    unknown = {o["name"] for o in record["objects"]} - set(classes)
    if unknown:
        raise ValueError(f"{file}: classes {sorted(unknown)} are not in the list")
    boxes = check_boxes(upright_boxes(record, picture), str(file))
    size = picture.upright
    detected = {
        "boxes": clip_boxes(boxes, size[::-1]),
        "labels": [classes.index(o["name"]) + 1 for o in record["objects"]],
    }
    for flag in FLAGS:
        if any(flag in o for o in record["objects"]):
            detected[flag] = [o.get(flag, False) for o in record["objects"]]
    xml = root / "Annotations" / f"{name}.xml"
    write_voc_xml(xml, size, detected, classes, first_pixel=first_pixel)
    target = root / "JPEGImages" / f"{name}.jpg"
    if picture.format in ("JPEG", "MPO") and picture.orientation == 1:
        shutil.copyfile(file, target)
    else:
        pixels = read_pixels(file).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(target, quality=95)
