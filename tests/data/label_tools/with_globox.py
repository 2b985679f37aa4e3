"""What globox was asked to do: VOC XML, YOLO (v5 and darknet) and COCO JSON."""

import sys
from pathlib import Path

from globox import Annotation, AnnotationSet, BoundingBox, BoxFormat
from small_set import CLASSES, OBJECTS, PICTURES, SIZE

NUMBERS = {name: number for number, name in enumerate(CLASSES)}


def save(found, form, out):
    out.mkdir(parents=True)
    if form == "voc":
        found.save_pascal_voc(out)
    elif form == "yolo_v5":
        found.save_yolo_v5(out, label_to_id=NUMBERS)
    elif form == "yolo_darknet":
        found.save_yolo_darknet(out, label_to_id=NUMBERS)
    elif form == "yolo_names":  # without a mapping: the class's name in the text file
        found.save_yolo_darknet(out)
    else:
        found.save_coco(out / "annotations.json", auto_ids=True)


def write(out):
    found = AnnotationSet()
    for name, objects in OBJECTS.items():
        boxes = [
            BoundingBox.create(
                label=thing["name"], coords=thing["box"], box_format=BoxFormat.LTRB
            )
            for thing in objects
        ]
        found.add(Annotation(image_id=name, image_size=SIZE, boxes=boxes))
    for form in "voc", "yolo_v5", "yolo_darknet", "yolo_names", "coco":
        save(found, form, out / form)


def again(source, out):
    """Read the course's files in `source`, write the same format and COCO JSON."""
    form = source.name
    if form.startswith("voc"):
        found = AnnotationSet.from_pascal_voc(source / "Annotations")
    elif form == "coco":
        file = source / "annotations" / "instances_train.json"
        found = AnnotationSet.from_coco(file)
    else:
        found = AnnotationSet.from_yolo_v5(source / "labels", image_folder=PICTURES)
        found.map_labels({str(v): k for k, v in NUMBERS.items()})
    save(found, {"coco": "coco", "yolo": "yolo_v5"}.get(form, "voc"), out / "same")
    save(found, "coco", out / "coco")


if __name__ == "__main__":
    words = [Path(word).absolute() for word in sys.argv[2:]]
    write(*words) if sys.argv[1] == "write" else again(*words)
