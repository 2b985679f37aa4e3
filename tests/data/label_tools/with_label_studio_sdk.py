"""What Label Studio's converter was asked to do: VOC XML, YOLO and COCO JSON.

The tasks are what Label Studio exports: boxes in per cent of the picture, one result
list a picture. The pictures lie in images/ of the output folder, where Label Studio's
export "with images" puts them; it has no field for "difficult" or a crowd.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from label_studio_sdk.converter import Converter
from label_studio_sdk.converter.imports.coco import convert_coco_to_ls
from label_studio_sdk.converter.imports.yolo import convert_yolo_to_ls
from small_set import CLASSES, OBJECTS, PICTURES, SIZE

LABELS = "".join(f'<Label value="{name}"/>' for name in CLASSES)
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    f'<RectangleLabels name="label" toName="image">{LABELS}</RectangleLabels></View>'
)


def save(tasks, config, form, out):
    shutil.copytree(PICTURES, out / "images")
    (out.parent / "tasks.json").write_text(json.dumps(tasks))
    os.chdir(out)  # so that images/a.jpg is found
    Converter(config, str(out)).convert(
        str(out.parent / "tasks.json"), str(out), form.upper(), is_dir=False
    )
    (out.parent / "tasks.json").unlink()


def result(thing):
    x1, y1, x2, y2 = thing["box"]
    width, height = SIZE
    return {
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": width,
        "original_height": height,
        "value": {
            "x": 100 * x1 / width,
            "y": 100 * y1 / height,
            "width": 100 * (x2 - x1) / width,
            "height": 100 * (y2 - y1) / height,
            "rotation": 0,
            "rectanglelabels": [thing["name"]],
        },
    }


def write(out):
    tasks = [
        {
            "id": number,
            "data": {"image": f"images/{name}"},
            "annotations": [{"result": [result(thing) for thing in objects]}],
        }
        for number, (name, objects) in enumerate(OBJECTS.items(), 1)
    ]
    for form in "voc", "yolo", "coco":
        save(tasks, CONFIG, form, out / form)


def again(source, out):
    """Read the course's files in `source`, write the same format and COCO JSON.

    It reads COCO and YOLO, not VOC. Its tasks get the id that the server gives.
    """
    if source.name.startswith("voc"):
        sys.exit("its converter has no reader of VOC XML")
    tasks = out / "read.json"
    out.mkdir(parents=True, exist_ok=True)
    if source.name == "coco":
        file = str(source / "annotations" / "instances_train.json")
        convert_coco_to_ls(file, str(tasks), image_root_url="images")
    else:
        convert_yolo_to_ls(str(source), str(tasks), image_root_url="images")
    content = json.loads(tasks.read_text())
    for number, task in enumerate(content, 1):
        task["id"] = number
        task["data"]["image"] = "images/" + task["data"]["image"].split("/")[-1]
    config = (out / "read.label_config.xml").read_text()
    save(content, config, source.name, out / "same")
    save(content, config, "coco", out / "coco")


if __name__ == "__main__":
    words = [Path(word).absolute() for word in sys.argv[2:]]
    write(*words) if sys.argv[1] == "write" else again(*words)
