#!/usr/bin/env bash
# pycocotools: a class name that nobody has selects all pictures; two names select fewer.
#
# Guess: getImgIds(catIds=getCatIds(catNms=["zebrra"])) is empty, and catIds=[zebra, apple]
#   gives the pictures that show a zebra or an apple, as getAnnIds does.
# Seen: an empty list means "no filter", so the misspelt name selects every picture (and
#   getAnnIds(imgIds=[]) every annotation); of two classes, getImgIds gives the pictures
#   that show both, getAnnIds the objects of either.
# Matters: this is the usual way to cut a class subset out of COCO for training. A typing
#   error trains on everything; two classes leave most of their pictures out.
# Versions: pycocotools 2.0.11, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq pycocotools==2.0.11
env/bin/python - <<'PY'
import contextlib
import importlib.metadata as meta
import io
import json
from pathlib import Path

from pycocotools.coco import COCO

shown = {1: [1], 2: [2], 3: [1, 2], 4: []}  # picture: the classes that it shows
pairs = [(image, category) for image, found in shown.items() for category in found]
content = {
    "images": [{"id": i, "file_name": f"{i}.jpg", "width": 99, "height": 99} for i in shown],
    "categories": [{"id": 1, "name": "zebra"}, {"id": 2, "name": "apple"}],
    "annotations": [
        {"id": number, "image_id": image, "category_id": category,
         "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}
        for number, (image, category) in enumerate(pairs, 1)
    ],
}
Path("truth.json").write_text(json.dumps(content))
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO("truth.json")
print("pycocotools", meta.version("pycocotools"))
misspelt = sorted(coco.getImgIds(catIds=coco.getCatIds(catNms=["zebrra"])))
print("pictures of class 'zebrra', which does not exist:", misspelt)
none = coco.getAnnIds(imgIds=[])
print("annotations of no picture:", none)
both = sorted(coco.getImgIds(catIds=[1, 2]))
print("pictures of classes 1 and 2:", both)
objects = coco.getAnnIds(catIds=[1, 2])
print("annotations of classes 1 and 2:", objects)
assert misspelt == [1, 2, 3, 4] and none == [1, 2, 3, 4]
assert both == [3] and objects == [1, 2, 3, 4]
PY
