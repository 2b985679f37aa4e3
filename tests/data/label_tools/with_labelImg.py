"""What LabelImg was asked to do: VOC XML and YOLO with classes.txt.

Without its window: the points of drawn rectangles go through the classes that its Save
and Open go through. It has no COCO format.
"""

import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from libs.labelFile import LabelFile  # noqa: E402
from libs.pascal_voc_io import PascalVocReader  # noqa: E402
from libs.yolo_io import YoloReader  # noqa: E402
from PyQt5.QtGui import QImage  # noqa: E402
from small_set import CLASSES, OBJECTS, PICTURES  # noqa: E402


def shape(name, points, difficult):
    return {"label": name, "points": points, "difficult": difficult}


def save(shapes, name, form, out):
    out.mkdir(parents=True, exist_ok=True)
    picture, stem = str(PICTURES / name), str(out / Path(name).stem)
    if form == "voc":
        LabelFile().save_pascal_voc_format(stem + ".xml", shapes, picture, None)
    else:
        classes = list(CLASSES)
        LabelFile().save_yolo_format(stem + ".txt", shapes, picture, None, classes)


def write(out):
    for name, objects in OBJECTS.items():
        shapes = []
        for thing in objects:
            x1, y1, x2, y2 = thing["box"]
            points = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
            shapes.append(shape(thing["name"], points, thing["difficult"]))
        for form in "voc", "yolo":
            save(shapes, name, form, out / form)


def again(source, out):
    """Read the course's files in `source`, write the same format."""
    if source.name == "coco":
        sys.exit("it has no COCO format")
    for name in OBJECTS:
        stem = Path(name).stem
        if source.name.startswith("voc"):
            reader = PascalVocReader(str(source / "Annotations" / (stem + ".xml")))
        else:
            image = QImage(str(PICTURES / name))
            classes = str(source / "classes.txt")
            reader = YoloReader(
                str(source / "labels" / (stem + ".txt")), image, classes
            )
        shapes = [shape(s[0], s[1], s[4]) for s in reader.get_shapes()]
        form = "yolo" if source.name == "yolo" else "voc"
        save(shapes, name, form, out / "same")
        if form == "voc":  # in place of COCO, which it does not write
            save(shapes, name, "yolo", out / "yolo")


if __name__ == "__main__":
    words = [Path(word).absolute() for word in sys.argv[2:]]
    write(*words) if sys.argv[1] == "write" else again(*words)
