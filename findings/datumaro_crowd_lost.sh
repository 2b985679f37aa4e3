#!/usr/bin/env bash
# datumaro: COCO -> COCO turns a crowd that has a box alone into an ordinary object.
#
# Guess: reading COCO and writing COCO keeps iscrowd; its manual lists is_crowd for boxes.
# Seen: the crowd is read as is_crowd True and written as iscrowd 0, without a warning.
# Matters: a crowd must not count as missed nor its inner detections as false. After the
#   round trip it does: the same perfect detections fall from AP 1.0 to .5.
# Versions: datumaro 1.13.12, pycocotools 2.0.11, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq datumaro==1.13.12 pycocotools==2.0.11
env/bin/python -W ignore - 2>errors <<'PY' || { cat errors; exit 1; }
import contextlib
import importlib.metadata as meta
import io
import json
from pathlib import Path

from datumaro import Dataset
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

for folder in "set/annotations", "set/images/train":
    Path(folder).mkdir(parents=True)
Image.new("RGB", (200, 100)).save("set/images/train/a.jpg")
one = {"image_id": 1, "category_id": 1, "segmentation": []}
content = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100}],
    "categories": [{"id": 1, "name": "person"}],
    "annotations": [
        one | {"id": 1, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0},
        one | {"id": 2, "bbox": [80, 10, 100, 80], "area": 8000, "iscrowd": 1},
    ],
}
before = Path("set/annotations/instances_train.json")
before.write_text(json.dumps(content))
read = Dataset.import_from("set", "coco_instances")
inside = [a.attributes for item in read for a in item.annotations]
read.export("out", "coco_instances", save_media=True)
after = Path("out/annotations/instances_train.json")
print(*(f"{p} {meta.version(p)}" for p in ("datumaro", "pycocotools")))
print("attributes that it read:", inside)
flags, aps = [], []
for file in before, after:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(file)
        (key,) = coco.getImgIds()
        person = {"image_id": key, "category_id": 1, "score": 0.9}
        boxes = [10, 10, 50, 50], [90, 20, 30, 60], [130, 20, 30, 60]
        run = COCOeval(coco, coco.loadRes([person | {"bbox": b} for b in boxes]), "bbox")
        run.evaluate(), run.accumulate(), run.summarize()
    flags.append([a["iscrowd"] for a in coco.dataset["annotations"]])
    aps.append(round(float(run.stats[0]), 3))
    print(f"{file}: iscrowd {flags[-1]}, AP of one hit and two inside the crowd {aps[-1]}")
assert {"is_crowd": True} in inside and flags == [[0, 1], [0, 0]], (inside, flags)
assert aps == [1.0, 0.505], aps
PY
