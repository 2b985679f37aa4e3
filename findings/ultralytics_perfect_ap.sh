#!/usr/bin/env bash
# Ultralytics: detections without a fault score AP .995, at every threshold.
#
# Guess: AP 1.0, as pycocotools gives for the same detections.
# Seen: the curve gets a last point of precision 0 at the recall that was reached, also when
#   that is 1, and the trapezoidal rule takes half a step of 1/100 for it. With half of the
#   objects found and no false detection it is .495 where COCO's rule gives .505.
# Matters: .005 between scorers is what papers and ablations argue about; the AP of a model
#   in Ultralytics' log is not the one pycocotools reports, though both are called mAP50-95.
# Versions: ultralytics 8.4.190 (installed without its unused needs), torch 2.13.0, pycocotools
#   2.0.11, numpy 2.4.6, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export YOLO_CONFIG_DIR=$work
python3 -m venv env
env/bin/pip install -qq torch==2.13.0 pycocotools==2.0.11 numpy==2.4.6 matplotlib pillow \
    psutil pyyaml requests opencv-python-headless==5.0.0.93
# it asks for the version of torchvision, and needs no more of it here
env/bin/pip install -qq --no-deps ultralytics==8.4.190 torchvision==0.28.0
env/bin/python -W ignore - <<'PY'
import contextlib
import importlib.metadata as meta
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from ultralytics.utils.metrics import ap_per_class

print(*(f"{p} {meta.version(p)}" for p in ("ultralytics", "torch", "pycocotools")))
one = {"image_id": 1, "category_id": 0}
boxes = [[20 * i, 10, 10, 10] for i in range(4)]
got = []
for count in 4, 2:  # of 4 objects, all found exactly
    scores = np.linspace(0.9, 0.6, count)
    hits, classes = np.ones((count, 10), bool), np.zeros(count)
    per_threshold = ap_per_class(hits, scores, classes, np.zeros(4))[5][0]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": 1, "width": 100, "height": 80}],
            "categories": [{"id": 0, "name": "zebra"}],
            "annotations": [
                one | {"id": i, "bbox": box, "area": 100, "iscrowd": 0}
                for i, box in enumerate(boxes, 1)
            ],
        }
        coco.createIndex()
        found = [one | {"bbox": b, "score": s} for b, s in zip(boxes, scores)]
        run = COCOeval(coco, coco.loadRes(found), "bbox")
        run.evaluate(), run.accumulate(), run.summarize()
    got.append((round(float(per_threshold.mean()), 4), round(float(run.stats[0]), 4)))
    print(f"{count} of 4 found: AP of ultralytics {got[-1][0]}, of pycocotools {got[-1][1]}")
assert got[0] == (0.995, 1.0) and got[1][0] < got[1][1] == 0.505, got
PY
