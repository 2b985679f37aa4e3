"""Labels that were drawn elsewhere, in three forms, as one list of records.

PASCAL VOC XML, YOLO text and COCO JSON are read into one dict for each image: ``file``,
its Path; ``labels``, the Path of its label file, None without one; ``size``, the
(width, height) stated there, else None; ``objects``, dicts of ``name``, ``box`` (x1,
y1, x2, y2 half-open pixels, nothing is clipped or rejected here) and ``difficult``, and
what other flags the form has (``truncated``, ``occluded``, ``iscrowd``); ``problem``,
what made the labels unreadable, else None; ``split``, "train", "val" or "test" where
the folder says so, else None. Of VOC XML also ``first_pixel``, 1 or 0, the number from
which the boxes were taken to count, and ``first_pixel_from``, how that is known.
"""

from pathlib import Path

from course_utils.core.files import read_list
from course_utils.data.labels.coco import coco_files, read_coco_labels
from course_utils.data.labels.files import new_record, pair_labels, split_of
from course_utils.data.labels.yolo import is_yolo, read_yolo_labels
from course_utils.data.voc import (
    check_first_pixel,
    find_first_pixel,
    parse_voc,
    rule_of,
    voc_objects,
)


def image_in_voc(path):
    """The image name in a VOC XML file, "" without one, None for other XML."""
    try:
        return parse_voc(path).filename
    except ValueError as error:
        return None if "is no VOC file" in str(error) else ""


def read_voc_labels(folder, first_pixel=None):
    """Records from VOC XML files.

    folder: images with their XML beside them, or XML in Annotations/ and the images in
    the folder or in JPEGImages/; or folders train/, valid/, test/ of such (Roboflow).

    first_pixel: from which number the boxes count: 1 for VOC's rule (from 1, the last
    pixel included), 0 for corners as written, half-open. By default what each file
    states, as the course's own do, else what `voc.find_first_pixel` finds in all of
    them. Each record says what was taken. Lesson 13.
    """
    folder = Path(folder)
    check_first_pixel(first_pixel)
    pairs, files = pair_labels(folder, ".xml", image_in_voc), {}
    for path in filter(None, pairs.values()):
        try:
            files[path] = parse_voc(path)
        except (ValueError, OSError) as error:
            files[path] = str(error).removeprefix(f"{path}: ")
    whole = [file for file in files.values() if not isinstance(file, str)]
    found, splits = find_first_pixel(whole), listed_splits(folder)
    records = []
    for image, path in pairs.items():
        record = voc_record(image, path, files.get(path), first_pixel, found)
        near = image.relative_to(folder) if image.is_relative_to(folder) else image
        split = splits.get(image.stem) or split_of(near.parts[:-1])
        records.append(record | {"split": split})
    return records


def voc_record(image, path, file, first_pixel, found):
    """The record of an image and its `VOCFile`, the text of an error, or None."""
    if file is None or isinstance(file, str):
        return new_record(image, path, problem=file)
    rule, known = rule_of(file, first_pixel, found)
    record = new_record(image, path, file.size, voc_objects(file, rule))
    return record | {"first_pixel": rule, "first_pixel_from": known}


def listed_splits(folder):
    """{image name without ending: split} of the lists in ImageSets/Main/."""
    splits = {}
    for name in "train", "val", "test":
        path = folder / "ImageSets" / "Main" / f"{name}.txt"
        for line in read_list(path) if path.is_file() else ():
            splits.setdefault(line.split()[0], name)
    return splits


def read_labels(folder, first_pixel=None):
    """Records of a folder, in whichever of the three forms its labels are.

    It may be laid out in any way that `read_voc_labels`, `read_yolo_labels` and
    `read_coco_labels` name: flat, VOC's, COCO's, darknet's, Ultralytics' or Roboflow's.
    Several JSON files of COCO are read together. first_pixel: of VOC XML, see there.

    Raises ValueError that says what was looked for if there are no labels, and what to
    call if they are of several forms. Lesson 13.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give the one with the images")
    voc = [p for p in pair_labels(folder, ".xml", image_in_voc).values() if p]
    yolo = [p for p in pair_labels(folder, ".txt", is_yolo).values() if p]
    coco = coco_files(folder)
    if bool(coco) + bool(voc) + bool(yolo) > 1:
        names = ", ".join(p.name for p in [*voc[:1], *yolo[:1], *coco[:1]])
        raise ValueError(
            f"{folder} has labels of several forms ({names}): call read_voc_labels,"
            " read_yolo_labels or read_coco_labels with what you want"
        )
    if voc:
        return read_voc_labels(folder, first_pixel)
    if yolo:
        return read_yolo_labels(folder)
    if coco:
        return read_coco_labels(coco, folder)
    raise ValueError(
        f"{folder}: no labels found; looked for VOC XML beside the images and in"
        " Annotations/, YOLO txt beside the images and in labels/, and COCO JSON there"
        " and in annotations/, each also in train/, valid/ and test/"
    )
