"""Labels that were drawn elsewhere: read them, and find what is wrong with them.

PASCAL VOC XML (LabelImg), YOLO text and COCO JSON are read into one list of records,
one for each image: ``file``, its Path; ``labels``, the Path of its label file, None
without one; ``size``, the (width, height) stated there, else None; ``objects``, dicts
of ``name``, ``box`` (x1, y1, x2, y2 half-open pixels, nothing is clipped or rejected
here) and ``difficult``; ``problem``, what made the labels unreadable, else None.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import defusedxml.ElementTree as ElementTree

from course_utils.images import EIGHT_BITS, eight_bits, open_image, orientation_of

FOLDERS = ("jpegimages", "images", "annotations", "labels")
# HEIC is listed so that the check can say what to do with it.
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic")
# Formats whose header tells size and orientation; others tell it once unpacked.
TRUE_HEADERS = ("JPEG", "MPO", "WEBP", "BMP", "GIF")


class Picture(NamedTuple):
    """What an image file says of itself; sizes are (width, height) in pixels."""

    stored: tuple  # of the pixels as they lie in the file
    upright: tuple  # after turning as the camera's EXIF tag asks
    orientation: int  # that tag, 1..8; 1 is upright
    format: str  # Pillow's name, such as "JPEG"


def look_at(path, decode=False):
    """The `Picture` of an image file, as `data.read_pixels` sees it.

    decode: also unpack all pixels, which finds a file that was cut off. Raises
    FileNotFoundError, and ValueError for a file that is no image. Lesson 13.
    """
    with open_image(path) as file:
        if decode or file.format not in TRUE_HEADERS or file.mode not in EIGHT_BITS:
            eight_bits(file)
        tag, (width, height) = orientation_of(file), file.size
        upright = (height, width) if tag > 4 else (width, height)
        return Picture((width, height), upright, tag, file.format)


def find_files(folder, suffixes):
    """Files with one of these endings in a folder and below its `FOLDERS`, sorted."""
    found = []
    for path in Path(folder).iterdir():
        inside = path.is_dir() and path.name.lower() in FOLDERS
        found += path.rglob("*") if inside else [path]
    seen = (p for p in found if not p.name.startswith(".") and p.is_file())
    return sorted(p for p in seen if p.suffix.lower() in suffixes)


def pair_labels(folder, suffix, stated):
    """{image file: its label file or None}, by the name and the place in the folder.

    suffix: of label files. stated: a function of a label file that gives the image name
    in it, "" if there is none, None if it holds no labels. The label file of a.jpg is
    a.xml or a.jpg.xml; where a.jpg and a.png share a.xml, the name in it decides. Label
    files without an image get the name it should have.
    """
    folder = Path(folder)

    def place(path):  # images/day/a.jpg and labels/day/a.txt belong together
        parts = path.relative_to(folder).parts
        return parts[1:] if len(parts) > 1 and parts[0].lower() in FOLDERS else parts

    images = find_files(folder, SUFFIXES)
    pairs, owners, strays = dict.fromkeys(images), {}, []
    for image in images:
        for name in image.name, image.stem:
            owners.setdefault(place(image.with_name(name)), []).append(image)
    labels = find_files(folder, (suffix,))
    for label in sorted(labels, key=lambda path: path.parent == folder):
        own = owners.get(place(label.with_suffix("")), [])
        free = [image for image in own if pairs[image] is None]
        if len(free) > 1:
            free = [image for image in free if image.name == stated(label)] or free
        if free:
            pairs[free[0]] = label
        elif not own and stated(label) is not None:
            strays.append(label)
    for label in strays:
        free = [i for i in images if pairs[i] is None and i.name == stated(label)]
        pairs[free[0] if free else folder / (label.stem + ".jpg")] = label
    return dict(sorted(pairs.items()))


def new_record(file, labels, size=None, objects=(), problem=None):
    """A record; a size that is zero or no number counts as not stated."""
    stated = size and all(isinstance(v, (int, float)) and v > 0 for v in size)
    return {
        "file": Path(file),
        "labels": labels,
        "size": tuple(size) if stated else None,
        "objects": list(objects),
        "problem": problem,
    }


def parse_voc(path):
    """The root of a VOC XML file; raises ValueError if it can not be read."""
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, OSError) as error:
        raise ValueError(f"not a readable XML file ({error})") from None


def image_in_voc(path):
    """The image name in a VOC XML file, "" without one, None for other XML."""
    try:
        root = parse_voc(path)
    except ValueError:
        return ""
    name = re.split(r"[/\\]", (root.findtext("filename") or "").strip())[-1]
    return name if root.tag == "annotation" else None


def read_voc_file(image, path):
    """The record of one image and its VOC XML file."""
    size, objects = None, []
    try:
        root = parse_voc(path)
        if root.find("size") is not None:
            texts = [root.findtext(f"size/{tag}") for tag in ("width", "height")]
            size = [round(float(text or 0)) for text in texts]
        for number, node in enumerate(root.findall("object")):
            tags = ("xmin", "ymin", "xmax", "ymax")
            texts = [node.findtext(f"bndbox/{tag}") for tag in tags]
            if None in texts:
                raise ValueError(f"object {number} has no whole <bndbox>")
            x1, y1, x2, y2 = map(float, texts)  # from 1, last pixel included
            flag = (node.findtext("difficult") or "0").strip() not in ("0", "")
            name, box = node.findtext("name") or "", (x1 - 1, y1 - 1, x2, y2)
            objects.append({"name": name, "box": box, "difficult": flag})
    except (ValueError, OverflowError) as error:
        return new_record(image, path, size, objects, str(error))
    return new_record(image, path, size, objects)


def read_voc_labels(folder):
    """Records from VOC XML files, as LabelImg writes them.

    folder: images with their XML beside them, or XML in Annotations/ and the images in
    the folder or in JPEGImages/. Lesson 13.
    """
    pairs = pair_labels(folder, ".xml", image_in_voc)
    return [read_voc_file(*p) if p[1] else new_record(*p) for p in pairs.items()]


def is_yolo(path):
    """ "" for a text file of rows of numbers, as YOLO has them, else None."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
        rows = [[float(word) for word in row] for row in rows if row]
    except (ValueError, OSError):
        return None
    return "" if rows and all(len(row) >= 5 for row in rows) else None


def read_yolo_file(image, path, classes):
    """The record of one image and its YOLO text file."""
    objects = []
    try:
        width, height = look_at(image).upright
    except (FileNotFoundError, ValueError):  # the check says so
        width = height = None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        for number, line in enumerate(lines, 1):
            values = [float(word) for word in line.split()]
            if len(values) not in (0, 5, 6):  # a sixth is the score
                raise ValueError(f"line {number} has {len(values)} numbers, not 5")
            if values and values[0] not in range(len(classes)):
                raise ValueError(
                    f"line {number}: class {values[0]:g}, but classes.txt has"
                    f" {len(classes)} names, 0 to {len(classes) - 1}"
                )
            if values and width:
                x, y, w, h = values[1:5]
                box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
                box = [round(v * s, 3) for v, s in zip(box, (width, height) * 2)]
                name = classes[int(values[0])]
                objects.append({"name": name, "box": tuple(box), "difficult": False})
    except (ValueError, OSError) as error:
        return new_record(image, path, None, objects, str(error))
    return new_record(image, path, None, objects)


def read_yolo_labels(folder, classes=None):
    """Records from YOLO text files, rows of class, center x and y, width, height.

    folder: images with their txt beside them, or txt in labels/ and the images in the
    folder or in images/. The numbers are parts of the upright image's size, 0 to 1.
    classes: the names of class 0, 1 ...; by default the lines of classes.txt. Raises
    ValueError if there are no names. Lesson 13.
    """
    folder = Path(folder)
    if classes is None:
        rooms = (folder, folder / "labels")
        listed = [r / "classes.txt" for r in rooms if (r / "classes.txt").is_file()]
        if not listed:
            raise ValueError(
                f"{folder}: no classes.txt there or in labels/; pass classes=[...],"
                " the names of class 0, 1 ... in their order"
            )
        lines = listed[0].read_text(encoding="utf-8-sig").rstrip().splitlines()
        classes = [line.strip() for line in lines]
    pairs = pair_labels(folder, ".txt", is_yolo)
    return [
        read_yolo_file(*p, classes) if p[1] else new_record(*p) for p in pairs.items()
    ]


def read_coco_labels(json_file, images):
    """Records from a COCO JSON file; objects marked iscrowd become difficult.

    images: the folder with the images, or with JPEGImages/ or images/. An image there
    that the file does not list has ``labels`` None. Lesson 13.
    """
    json_file, images = Path(json_file), Path(images)
    files = find_files(images, SUFFIXES)
    by_name = {file.name: file for file in files}
    by_name |= {file.relative_to(images).as_posix(): file for file in files}
    content, records = json_file.read_bytes(), {}
    whole = new_record(json_file, json_file)
    try:
        content = json.loads(content.decode("utf-8-sig"))
        names = {c["id"]: str(c["name"]) for c in content["categories"]}
        for entry in content["images"]:
            name = str(entry["file_name"]).replace("\\", "/")
            file = by_name.get(name) or by_name.get(name.split("/")[-1])
            size = entry.get("width"), entry.get("height")
            record = new_record(file or images / name, json_file, size)
            records[entry["id"]] = record
        for mark in content["annotations"]:
            record = records.get(mark.get("image_id"), whole)
            try:
                x, y, w, h = map(float, mark["bbox"])
                name, flag = names[mark["category_id"]], bool(mark.get("iscrowd"))
            except (KeyError, TypeError, ValueError) as error:
                record["problem"] = f"annotation {mark.get('id')}: {error!r}"
                continue
            box = (x, y, x + w, y + h)
            record["objects"].append({"name": name, "box": box, "difficult": flag})
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        whole["problem"], records = f"not a whole COCO file ({error!r})", {}
    if whole["objects"]:
        whole["problem"] = "it has annotations of images that it does not list"
    whole["objects"] = []
    rest = sorted(set(files) - {record["file"] for record in records.values()})
    found = [*records.values(), *(new_record(file, None) for file in rest)]
    return found + [whole] if whole["problem"] else found


def read_labels(folder):
    """Records of a folder, in whichever of the three forms its labels are.

    Raises ValueError that says what was looked for if there are no labels, and what to
    call if they are of several forms. Lesson 13.
    """
    voc = [p for p in pair_labels(folder, ".xml", image_in_voc).values() if p]
    yolo = [p for p in pair_labels(folder, ".txt", is_yolo).values() if p]
    keys, files = (b'"images"', b'"annotations"'), find_files(folder, (".json",))
    coco = [f for f in files if all(key in f.read_bytes() for key in keys)]
    if len(coco) + bool(voc) + bool(yolo) > 1:
        names = ", ".join(p.name for p in [*voc[:1], *yolo[:1], *coco])
        raise ValueError(
            f"{folder} has labels of several forms or files ({names}): call"
            " read_voc_labels, read_yolo_labels or read_coco_labels with what you want"
        )
    if voc:
        return read_voc_labels(folder)
    if yolo:
        return read_yolo_labels(folder)
    if coco:
        return read_coco_labels(coco[0], folder)
    raise ValueError(
        f"{folder}: no labels found; looked for VOC XML beside the images and in"
        " Annotations/, YOLO txt beside the images and in labels/, and COCO JSON there"
        " and in annotations/"
    )
