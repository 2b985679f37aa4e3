"""What pylabel was asked to do: VOC XML, YOLOv5 and COCO JSON.

It makes its data set from files alone, so it first reads the small set as COCO JSON.
"""

import json
import os
import sys
from pathlib import Path

from pylabel import importer
from small_set import CLASSES, coco


def save(found, form, out):
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(out.parent)  # its YAML repeats the path as it is given: give a short one
    out = Path(out.name)
    if form == "voc":
        found.export.ExportToVoc(str(out))
    elif form == "yolo":
        found.export.ExportToYoloV5(str(out / "labels"), cat_id_index=0)
    else:
        found.export.ExportToCoco(str(out / "annotations.json"), cat_id_index=1)


def write(out):
    out.mkdir(parents=True, exist_ok=True)
    file = out / "small_set.json"
    file.write_text(json.dumps(coco()))
    for form in "voc", "yolo", "coco":
        found = importer.ImportCoco(str(file), path_to_images="../pictures")
        save(found, form, out / form)
    file.unlink()


def again(source, out):
    """Read the course's files in `source`, write the same format and COCO JSON."""
    form = source.name
    if form.startswith("voc"):
        found = importer.ImportVOC(str(source / "Annotations"), "../JPEGImages")
    elif form == "coco":
        file = source / "annotations" / "instances_train.json"
        found = importer.ImportCoco(str(file), "../images/train")
    else:
        found = importer.ImportYoloV5(
            str(source / "labels"), cat_names=CLASSES, path_to_images="../images"
        )
    save(found, form[:3] if form.startswith("voc") else form, out / "same")
    save(found, "coco", out / "coco")


if __name__ == "__main__":
    words = [Path(word).absolute() for word in sys.argv[2:]]
    write(*words) if sys.argv[1] == "write" else again(*words)
