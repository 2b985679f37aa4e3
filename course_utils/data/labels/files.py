"""Which image belongs to which label file: folders, splits, the record of a pair."""

import re
from pathlib import Path

FOLDERS = ("jpegimages", "images", "annotations", "labels")
# HEIC is listed so that the check can say what to do with it.
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic")
# train/, valid/, train2017/, obj_train_data/: the folders of a split
SPLIT = re.compile(r"(?:obj_)?(train|val|valid|validation|test)(?:\d{4})?(?:_data)?")


def split_of(words):
    """The first split that folder names tell of: "train", "val", "test" or None."""
    for word in words:
        found = SPLIT.fullmatch(word.casefold())
        if found:
            return "val" if found[1].startswith("val") else found[1]
    return None


def find_files(folder, suffixes, splits=True):
    """Files with one of these endings in a folder and below its `FOLDERS`, sorted.

    splits: also below folders such as train/ and val2017/.
    """
    found = []
    for path in Path(folder).iterdir():
        known = path.name.lower() in FOLDERS or splits and split_of([path.name])
        found += path.rglob("*") if path.is_dir() and known else [path]
    seen = (p for p in found if not p.name.startswith(".") and p.is_file())
    return sorted(p for p in seen if p.suffix.lower() in suffixes)


def place_of(path, folder):
    """Folders and name without `FOLDERS`: images/day/a.jpg and labels/day/a.txt, or
    train/images/a.jpg and train/labels/a.txt, belong together.
    """
    *folders, name = path.relative_to(folder).parts
    return (*(part for part in folders if part.lower() not in FOLDERS), name)


def pair_labels(folder, suffix, stated):
    """{image file: its label file or None}, by the name and the place in the folder.

    suffix: of label files. stated: a function of a label file that gives the image name
    in it, "" if there is none, None if it holds no labels. The label file of a.jpg is
    a.xml or a.jpg.xml; where a.jpg and a.png share a.xml, the name in it decides. Label
    files without an image get the name it should have.
    """
    folder = Path(folder)
    images = find_files(folder, SUFFIXES)
    pairs, owners, strays = dict.fromkeys(images), {}, []
    for image in images:
        folders = place_of(image, folder)[:-1]
        for name in image.name, image.stem:
            owners.setdefault((*folders, name), []).append(image)
    labels = find_files(folder, (suffix,))
    for label in sorted(labels, key=lambda path: path.parent == folder):
        own = owners.get((*place_of(label, folder)[:-1], label.stem), [])
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


def new_record(file, labels, size=None, objects=(), problem=None, split=None):
    """A record; a size that is zero or no number counts as not stated."""
    return {
        "file": Path(file),
        "labels": labels,
        "size": stated_size(size),
        "objects": list(objects),
        "problem": problem,
        "split": split,
    }


def stated_size(size):
    """(width, height) in whole pixels, from numbers or their texts; None if not so."""
    try:
        width, height = (round(float(v)) for v in size)
    except (TypeError, ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None
