"""The data sets that the course knows by name, and where they lie."""

import os
from pathlib import Path

from course_utils.core.cache import cache_dir
from course_utils.core.settings import REPOSITORY
from course_utils.data.datasets import VOCDataset
from course_utils.data.download import SOURCES, DownloadError, fetch_data, is_data_set

# name in find_data -> folder names to look for, and what to do without it
DATA_SETS = {
    "tabletop": (("tabletop",), "it is part of the repository: clone it again"),
    "voc2007": (
        ("voc2007", "VOC2007", "voc2007-mini"),
        "put the folder VOC2007 of the official archives there; lesson 12 needs it, all"
        " other lessons go on without it",
    ),
    "bccd": (
        ("bccd", "BCCD"),
        "put the folder BCCD of the BCCD_Dataset repository there; only a part of"
        " lesson 13 needs it",
    ),
}
VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
    *("cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)


def find_data(name):
    """The folder of a data set: ``"tabletop"``, ``"voc2007"`` or ``"bccd"``.

    Looks in $COURSE_DATA, then data/ of the repository, then the user's cache, and else
    downloads it into that cache, see `download.fetch_data`. Raises ValueError for an
    unknown name and FileNotFoundError, in one line, with where to put it and what goes
    on without it. Lesson 00.
    """
    if name not in DATA_SETS:
        raise ValueError(f"no data set {name!r}; there are {', '.join(DATA_SETS)}")
    folders, mend = DATA_SETS[name]
    rooms = [REPOSITORY / "data", cache_dir() / "data"]
    if os.environ.get("COURSE_DATA"):
        rooms.insert(0, Path(os.environ["COURSE_DATA"]))
    for room in rooms:
        for folder in folders:
            if is_data_set(room / folder):
                return room / folder
    missing = f"data set {name} is in none of {', '.join(map(str, rooms))}"
    if name in SOURCES:
        try:
            return fetch_data(name, rooms[-1])
        except DownloadError as error:
            missing += f" and cannot be downloaded ({error})"
    raise FileNotFoundError(f"{missing}: {mend}")


def photographs(split, first=None):
    """The course's photographs of PASCAL VOC 2007: 1,250 "trainval", 1,000 "test".

    first: only the first n. Their names are in data/voc2007_ids. Without the data set
    the splits "train" and "test" of tabletop stand in, and one line says so. Lesson 12.
    """
    try:
        root = find_data("voc2007")
    except FileNotFoundError as error:
        print(f"{error}\nTabletop stands in.")
        stand_in = {"trainval": "train"}.get(split, split)
        return VOCDataset(find_data("tabletop"), stand_in, first=first)
    ids = (REPOSITORY / "data" / "voc2007_ids" / f"{split}.txt").read_text().split()
    return VOCDataset(root, split, VOC_CLASSES, first, ids)
