"""What supervision was asked to do: VOC XML, YOLO with data.yaml, COCO JSON.

`Detections` has no place for "difficult"; "iscrowd" goes into its `data`, where
supervision's own COCO reader puts it.
"""

import sys
from pathlib import Path

import numpy as np
import supervision as sv
from small_set import CLASSES, OBJECTS, PICTURES


def save(found, form, out):
    images = str(out / "images")
    if form == "voc":
        found.as_pascal_voc(images, str(out / "annotations"))
    elif form == "yolo":
        found.as_yolo(images, str(out / "labels"), str(out / "data.yaml"))
    else:
        found.as_coco(images, str(out / "annotations.json"))


def write(out):
    detections = {}
    for name, objects in OBJECTS.items():
        detections[str(PICTURES / name)] = sv.Detections(
            xyxy=np.array([o["box"] for o in objects], np.float32).reshape(-1, 4),
            class_id=np.array([CLASSES.index(o["name"]) for o in objects], int),
            data={"iscrowd": np.array([o["iscrowd"] for o in objects], int)},
        )
    found = sv.DetectionDataset(CLASSES, list(detections), detections)
    for form in "voc", "yolo", "coco":
        save(found, form, out / form)


def again(source, out):
    """Read the course's files in `source`, write the same format and COCO JSON."""
    form = source.name
    if form.startswith("voc"):
        found = sv.DetectionDataset.from_pascal_voc(
            str(source / "JPEGImages"), str(source / "Annotations")
        )
    elif form == "coco":
        found = sv.DetectionDataset.from_coco(
            str(source / "images" / "train"),
            str(source / "annotations" / "instances_train.json"),
        )
    else:
        found = sv.DetectionDataset.from_yolo(
            str(source / "images"), str(source / "labels"), str(source / "data.yaml")
        )
    save(found, form[:3] if form.startswith("voc") else form, out / "same")
    save(found, "coco", out / "coco")


if __name__ == "__main__":
    words = [Path(word).absolute() for word in sys.argv[2:]]
    write(*words) if sys.argv[1] == "write" else again(*words)
