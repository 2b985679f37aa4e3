#!/usr/bin/env bash
# pycocotools: after maxDets = [1, 10, 300] the AP is -1 while AP50 and AP75 are right.
#
# Guess: every figure is computed with up to 300 detections a picture.
# Seen: the first figure, the AP that all tables show, is looked up at 100 detections: -1.0
#   where the list has no 100. With [1, 100, 300] it is the AP at 100 beside an AP50 at 300,
#   in the same summary. faster-coco-eval takes the last number throughout.
# Matters: crowded pictures (aerial, cells, shelves) need more than 100. -1 is also what
#   "no such objects" looks like, and the -1 is kept as "best model so far" or is averaged.
# Versions: pycocotools 2.0.11, faster-coco-eval 1.8.0, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq pycocotools==2.0.11 faster-coco-eval==1.8.0
env/bin/python -W ignore - <<'PY'
import contextlib
import importlib.metadata as meta
import io
import json
from pathlib import Path

import faster_coco_eval
import pycocotools.coco
import pycocotools.cocoeval

objects = [[5 * i, 0, 5, 10] for i in range(200)]  # 200 in one picture, all found
one = {"image_id": 1, "category_id": 1}
content = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 1000, "height": 10}],
    "categories": [{"id": 1, "name": "cell"}],
    "annotations": [
        one | {"id": i, "bbox": box, "area": 50, "iscrowd": 0}
        for i, box in enumerate(objects, 1)
    ],
}
Path("truth.json").write_text(json.dumps(content))
found = [one | {"bbox": box, "score": 0.9} for box in objects]
Path("detections.json").write_text(json.dumps(found))
scorers = {
    "pycocotools": (pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval),
    "faster-coco-eval": (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
}
got = {}
for name, (read, score) in scorers.items():
    print(name, meta.version(name))
    for limits in [1, 10, 300], [1, 100, 300]:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = read("truth.json")
            run = score(coco, coco.loadRes("detections.json"), "bbox")
            run.params.maxDets = limits
            run.evaluate(), run.accumulate(), run.summarize()
        got[name, limits[1]] = [round(float(x), 3) for x in run.stats[:3]]
        print(f"  maxDets {limits}: AP, AP50, AP75 {got[name, limits[1]]}")
assert got["pycocotools", 10] == [-1.0, 1.0, 1.0]
assert got["pycocotools", 100] == [0.505, 1.0, 1.0]
assert got["faster-coco-eval", 10] == [1.0, 1.0, 1.0]
PY
