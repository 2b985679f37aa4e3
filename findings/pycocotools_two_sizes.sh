#!/usr/bin/env bash
# COCO's sizes overlap: an object of 32 x 32 is small and medium, 96 x 96 medium and large.
#
# Guess: each object has one size: small below 32 x 32, medium from there, large above.
# Seen: both ends of each range count, so a missed object of 32 x 32 takes recall from small
#   and from medium (the three groups of this set have 1 + 2 + 1 objects, the set has two).
#   supervision's scorer repeats it.
# Matters: drawn, tiled or resized data (crops of 32, 96) has just these sizes: then "AP
#   small" and "AP medium" share their objects and must not be read as two measurements.
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
from pycocotools.cocoeval import COCOeval

boxes = [[10, 10, 32, 32], [200, 10, 96, 96]]
one = {"image_id": 1, "category_id": 1}
content = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 400, "height": 300}],
    "categories": [{"id": 1, "name": "zebra"}],
    "annotations": [
        one | {"id": i, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for i, box in enumerate(boxes, 1)
    ],
}
Path("truth.json").write_text(json.dumps(content))
print("pycocotools", meta.version("pycocotools"))
recalls = []
for found in boxes, boxes[1:]:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO("truth.json")
        answers = [one | {"bbox": box, "score": 0.9} for box in found]
        run = COCOeval(coco, coco.loadRes(answers), "bbox")
        run.evaluate(), run.accumulate(), run.summarize()
    recalls.append(run.stats[9:12].tolist())
    print(f"found {found}: recall of small, medium, large {recalls[-1]}")
assert recalls == [[1, 1, 1], [0, 0.5, 1]], recalls
PY
