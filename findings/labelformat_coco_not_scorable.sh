#!/usr/bin/env bash
# labelformat's COCO file cannot be scored: its annotations have no id, area or iscrowd.
#
# Guess: what a converter calls COCO can be opened by COCO's own reader.
# Seen: it writes image_id, category_id and bbox alone; pycocotools stops with KeyError 'id'
#   while it reads, and its category ids start at 0.
# Matters: the file looks right and tools that only read boxes take it; the scorer at the end
#   of a training does not. Ids from 1, w * h and 0 have to be added by hand.
# Versions: labelformat 0.1.17, pycocotools 2.0.11, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq labelformat==0.1.17 pycocotools==2.0.11
env/bin/python -W ignore - <<'PY'
import contextlib
import importlib.metadata as meta
import io
import json
from pathlib import Path

from labelformat.formats import COCOObjectDetectionOutput
from labelformat.formats.labelformat import LabelformatObjectDetectionInput
from labelformat.model.bounding_box import BoundingBox
from labelformat.model.category import Category
from labelformat.model.image import Image
from labelformat.model.object_detection import ImageObjectDetection, SingleObjectDetection
from pycocotools.coco import COCO

category, image = Category(id=0, name="zebra"), Image(0, "a.jpg", 100, 80)
thing = SingleObjectDetection(category=category, box=BoundingBox(10.0, 20.0, 30.0, 40.0))
labels = [ImageObjectDetection(image, [thing])]
source = LabelformatObjectDetectionInput([category], [image], labels)
COCOObjectDetectionOutput(output_file=Path("truth.json")).save(source)
content = json.loads(Path("truth.json").read_text())
print(*(f"{p} {meta.version(p)}" for p in ("labelformat", "pycocotools")))
print("annotation as written:", content["annotations"][0])
try:
    with contextlib.redirect_stdout(io.StringIO()):
        COCO("truth.json")
    answer = "opened"
except KeyError as error:
    answer = f"KeyError {error}"
print("pycocotools:", answer)
assert answer == "KeyError 'id'"
assert sorted(content["annotations"][0]) == ["bbox", "category_id", "image_id"]

for number, a in enumerate(content["annotations"], 1):
    a |= {"id": number, "area": a["bbox"][2] * a["bbox"][3], "iscrowd": 0}
Path("truth.json").write_text(json.dumps(content))
with contextlib.redirect_stdout(io.StringIO()):
    opened = COCO("truth.json")
print("with id, area and iscrowd added: opened,", len(opened.anns), "annotation")
PY
