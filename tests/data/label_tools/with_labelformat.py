"""What labelformat was asked to do: VOC XML, YOLOv5, v8 and v26, COCO JSON."""

import sys
from pathlib import Path

from labelformat.formats import (
    COCOObjectDetectionInput,
    COCOObjectDetectionOutput,
    PascalVOCObjectDetectionInput,
    PascalVOCObjectDetectionOutput,
    YOLOv5ObjectDetectionInput,
    YOLOv5ObjectDetectionOutput,
    YOLOv8ObjectDetectionOutput,
    YOLOv26ObjectDetectionOutput,
)
from labelformat.formats.labelformat import LabelformatObjectDetectionInput
from labelformat.model.bounding_box import BoundingBox
from labelformat.model.category import Category
from labelformat.model.image import Image
from labelformat.model.object_detection import (
    ImageObjectDetection,
    SingleObjectDetection,
)
from small_set import CLASSES, OBJECTS, SIZE

YOLO = {
    "yolov5": YOLOv5ObjectDetectionOutput,
    "yolov8": YOLOv8ObjectDetectionOutput,
    "yolov26": YOLOv26ObjectDetectionOutput,
}


def save(source, form, out):
    if form == "voc":
        PascalVOCObjectDetectionOutput(output_folder=out).save(source)
    elif form == "coco":
        COCOObjectDetectionOutput(output_file=out / "annotations.json").save(source)
    else:
        yaml = out / "data.yaml"
        YOLO[form](output_file=yaml, output_split="train").save(source)


def write(out):
    categories = [Category(id=i, name=name) for i, name in enumerate(CLASSES)]
    images, labels = [], []
    for number, (name, objects) in enumerate(OBJECTS.items()):
        images.append(Image(number, name, *SIZE))
        found = [
            SingleObjectDetection(
                category=categories[CLASSES.index(thing["name"])],
                box=BoundingBox(*map(float, thing["box"])),
            )
            for thing in objects
        ]
        labels.append(ImageObjectDetection(images[-1], found))
    source = LabelformatObjectDetectionInput(categories, images, labels)
    for form in "voc", *YOLO, "coco":
        save(source, form, out / form)


def again(source, out):
    """Read the course's files in `source`, write the same format and COCO JSON."""
    form = source.name
    if form.startswith("voc"):
        found = PascalVOCObjectDetectionInput(
            source / "Annotations", category_names=",".join(CLASSES)
        )
    elif form == "coco":
        found = COCOObjectDetectionInput(
            source / "annotations" / "instances_train.json"
        )
    else:
        found = YOLOv5ObjectDetectionInput(source / "data.yaml", input_split="train")
    save(found, {"coco": "coco", "yolo": "yolov5"}.get(form, "voc"), out / "same")
    save(found, "coco", out / "coco")


if __name__ == "__main__":
    words = [Path(word).absolute() for word in sys.argv[2:]]
    write(*words) if sys.argv[1] == "write" else again(*words)
