"""YOLO text labels: class numbers and their names, splits, and the boxes."""

import math
from pathlib import Path

import yaml

from course_utils.core.files import read_list, read_text
from course_utils.data.images import look_at
from course_utils.data.labels.files import (
    FOLDERS,
    SUFFIXES,
    new_record,
    pair_labels,
    place_of,
    split_of,
)

NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels")


def is_yolo(path):
    """ "" for a text file of rows of numbers, as YOLO has them, else None."""
    try:
        rows = [line.split() for line in read_text(path).splitlines()]
        rows = [[float(word) for word in row] for row in rows if row]
    except (ValueError, OSError):
        return None
    return "" if rows and all(len(row) >= 5 for row in rows) else None


def read_yolo_labels(folder, classes=None):
    """Records from YOLO text files, rows of class, center x and y, width, height.

    folder: images with their txt beside them, or txt in labels/ and the images in the
    folder or in images/; each of that also in train/, valid/, test/ (Roboflow), in
    images/train/ and labels/train/ (Ultralytics), or in obj_train_data/ (darknet). The
    numbers are parts of the upright image's size, 0 to 1.

    classes: the names of class 0, 1 ..., or {number: name}; by default those of the
    folder's YAML file (Ultralytics, Roboflow), *.names (darknet) or classes.txt. Raises
    ValueError if nothing names them, or two files do differently.

    An image without a label file has ``labels`` None, and so is reported. But where
    there is a YAML file with names, or images/train/, Ultralytics' rule holds: an image
    without objects needs no text file, so it is kept as empty, and ``labels`` is the
    file that it does not have. darknet asks for an empty text file. Lesson 13.
    """
    folder = Path(folder)
    setup = find_setup(folder)
    source = "classes"
    if classes is None:
        classes, source = find_classes(folder, setup)
    if not isinstance(classes, dict):
        classes = dict(enumerate(classes))
    pairs = pair_labels(folder, ".txt", is_yolo)
    splits = listed_images(folder, setup, pairs)
    for image in splits:
        pairs.setdefault(image, None)
    places = {image: place_of(image, folder) for image in pairs if image not in splits}
    parted = any(split_of([path.name]) for path in folder.glob("images/*"))
    records = []
    for image, label in sorted(pairs.items()):
        split = splits.get(image) or split_of(places.get(image, ())[:-1])
        own = label_beside(image)
        if label is None and own.is_file():
            label = own  # of an image that the YAML file names elsewhere
        if label is not None:
            record = read_yolo_file(image, label, classes, source)
        else:
            record = new_record(image, own if setup or parted else None)
        records.append(record | {"split": split})
    return records


def read_yolo_file(image, path, classes, source="classes"):
    """The record of one image and its YOLO text file; classes: {number: name}."""
    try:
        width, height = look_at(image).upright
    except (FileNotFoundError, ValueError):  # the check says so
        width = height = None
    objects = []
    try:
        for number, line in enumerate(read_text(path).splitlines(), 1):
            found = read_row(line, number, classes, source)
            if found and width:
                name, (x, y, w, h) = found
                box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
                box = [round(v * s, 3) for v, s in zip(box, (width, height) * 2)]
                objects.append({"name": name, "box": tuple(box), "difficult": False})
    except (ValueError, OSError) as error:
        text = str(error).removeprefix(f"{path}: ")
        return new_record(image, path, problem=text)
    return new_record(image, path, objects=objects)


def read_row(line, number, classes, source):
    """(class name, center and size) of a row, None of a blank one; or ValueError."""
    words = line.split()
    if len(words) not in (0, 5, 6):  # a sixth is the score
        raise ValueError(f"line {number} has {len(words)} numbers, not 5")
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None
    if not values:
        return None
    name = classes.get(values[0], "") if math.isfinite(values[0]) else ""
    if not str(name).strip():
        known = ", ".join(f"{n} {classes[n]}" for n in list(classes)[:20])
        raise ValueError(
            f"line {number}: class {values[0]:g} has no name in {source}, which has"
            f" {len(classes)} names: {known}"
        )
    return str(name), values[1:5]


def find_setup(folder):
    """(file, content) of the YAML file in a folder that names classes, else None."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".yaml", ".yml") and path.is_file():
            try:
                content = yaml.safe_load(read_text(path))
            except yaml.YAMLError as error:
                text = " ".join(str(error).split())
                raise ValueError(f"{path}: not a readable YAML file ({text})") from None
            if isinstance(content, dict) and content.get("names"):
                return path, content
    return None


def find_classes(folder, setup=None):
    """({number: name}, the file that says so) of a YOLO data set; or ValueError."""
    found = []
    if setup:
        found.append((names_in_setup(*setup), setup[0]))
    rooms = [p for p in sorted(folder.iterdir()) if p.is_dir()]
    rooms = [p for p in rooms if p.name.lower() in FOLDERS or split_of([p.name])]
    for room in (folder, *rooms):
        for path in sorted(room.iterdir()):
            named = path.name.lower() in NAME_LISTS or path.suffix == ".names"
            if named and path.is_file():
                lines = read_text(path).rstrip().splitlines()
                found.append((dict(enumerate(line.strip() for line in lines)), path))
    if not found:
        raise ValueError(
            f"{folder}: no data.yaml, obj.names or classes.txt there or in labels/;"
            " pass classes=[...], the names of class 0, 1 ... in their order"
        )
    for names, path in found[1:]:
        if names != found[0][0]:
            raise ValueError(
                f"{found[0][1]} and {path} name the classes differently; delete one, or"
                " pass classes=[...]"
            )
    return found[0][0], found[0][1].name


def names_in_setup(path, content):
    """{number: name} of a YAML file, where names are a list or {number: name}."""
    names = content["names"]
    if isinstance(names, list):
        names = dict(enumerate(names))
    try:
        return {int(number): str(name).strip() for number, name in names.items()}
    except (AttributeError, ValueError, TypeError):
        raise ValueError(
            f"{path}: names are {names!r}; write a list, or a number and a name each"
        ) from None


def listed_images(folder, setup, pairs):
    """{image: "train", "val" or "test"} of what a data set lists.

    That are the train, val and test of its YAML file, folders or lists of files, or
    darknet's train.txt, valid.txt and test.txt.
    """
    splits, entries = {}, []
    if setup:
        path, content = setup
        root = path.parent / str(content.get("path") or "")
        for key in "train", "val", "valid", "test":
            entry = content.get(key) or []
            for name in entry if isinstance(entry, list) else [entry]:
                entries.append((split_of([key]), str(name), (root, path.parent)))
    else:
        for name in "train.txt", "valid.txt", "val.txt", "test.txt":
            entries.append((split_of([Path(name).stem]), name, (folder,)))
    for split, name, roots in entries:
        place = find_place(name, roots)
        if place is None:
            continue
        if place.is_file():
            found = images_in_list(place, roots, pairs)
        else:
            found = images_below(place, pairs)
        for image in found:
            splits.setdefault(image, split)
    return splits


def find_place(name, roots):
    """The folder or file that an entry means; Roboflow writes ../train for train."""
    name = name.replace("\\", "/")
    short = name
    while short.startswith("../"):
        short = short.removeprefix("../")
    for path in [root / part for part in (name, short) for root in roots]:
        if path.exists():
            return path
    return None


def images_below(place, pairs):
    """The images below a folder, by the names that they have in `pairs`."""
    known = {image.resolve(): image for image in pairs}
    found = [path for path in sorted(place.rglob("*")) if path.is_file()]
    found = [path for path in found if path.suffix.lower() in SUFFIXES]
    return [known.get(path.resolve(), path) for path in found]


def images_in_list(path, roots, pairs):
    """The images of a list of files, whose folders may be those of another machine."""
    known, ends, found = {image.resolve(): image for image in pairs}, {}, []
    for image in pairs:
        ends.setdefault(image.parts[-2:], []).append(image)
    for line in read_list(path):
        line = line.replace("\\", "/").removeprefix("./")
        near = [root / line for root in (*roots, path.parent)]
        near = [known.get(p.resolve(), p) for p in near if p.is_file()]
        same = ends.get(Path(line).parts[-2:], [])
        found += near[:1] or (same if len(same) == 1 else [])
    return found


def label_beside(image):
    """Ultralytics' rule: labels/ for the last images/ in a path, .txt at its end."""
    parts = list(image.parts)
    for i in reversed(range(len(parts) - 1)):
        if parts[i].lower() == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")
