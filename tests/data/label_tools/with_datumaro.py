"""What datumaro was asked to do: VOC XML, YOLO (darknet, Ultralytics), COCO JSON."""

import sys
from pathlib import Path

from datumaro import Bbox, Dataset, DatasetItem, Image
from small_set import CLASSES, OBJECTS, PICTURES

FORMS = {  # our word: its name of the format and its options
    "voc": ("voc_detection", {}),
    "voc_one_based": ("voc_detection", {"coordinate_mode": "voc-one-based"}),
    "yolo": ("yolo", {}),
    "yolo_ultralytics": ("yolo_ultralytics", {}),
    "coco": ("coco_instances", {}),
}


def save(found, form, out):
    name, options = FORMS[form]
    found.export(str(out), name, save_media=True, **options)


def box(thing):
    x1, y1, x2, y2 = thing["box"]
    flags = {"difficult": thing["difficult"], "is_crowd": thing["iscrowd"]}
    label = CLASSES.index(thing["name"])
    return Bbox(x1, y1, x2 - x1, y2 - y1, label=label, attributes=flags)


def dataset(subsets):
    items = [
        DatasetItem(
            id=Path(name).stem,
            subset=subset,
            media=Image.from_file(path=str(PICTURES / name)),
            annotations=[box(thing) for thing in OBJECTS[name]],
        )
        for name, subset in zip(OBJECTS, subsets)
    ]
    return Dataset.from_iterable(items, categories=CLASSES)


def write(out):
    for form in FORMS:
        subsets = ["train"] * 4
        if form == "yolo_ultralytics":  # refused without a train and a val subset
            subsets = ["train", "train", "train", "val"]
        save(dataset(subsets), form, out / form)


def again(source, out):
    """Read the course's files in `source`, write the same format and COCO JSON."""
    form = {"voc0": "voc", "voc1": "voc_one_based"}.get(source.name, source.name)
    name, options = FORMS[form]
    found = Dataset.import_from(str(source), name, **options)
    save(found, form, out / "same")
    save(found, "coco", out / "coco")


if __name__ == "__main__":
    words = [Path(word).absolute() for word in sys.argv[2:]]
    write(*words) if sys.argv[1] == "write" else again(*words)
