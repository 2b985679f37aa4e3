#!/usr/bin/env bash
# torchmetrics gives another AP than pycocotools although pycocotools computes it.
#
# Guess: the default back end is pycocotools, so the figures are its figures.
# Seen: torchmetrics makes its thresholds in float32, so .6 and .8 become a hair more and a
#   detection whose IoU is exactly that is no hit: AP .2 instead of .3, .6 instead of .7.
# Matters: IoUs of whole-number boxes are often exactly .6 or .8; the log of the training and the
#   final COCO score differ and the difference is looked for in the data.
# Versions: torchmetrics 1.9.0, pycocotools 2.0.11, torchvision 0.29.1, torch 2.14.1,
#   Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq torch==2.14.1 torchvision==0.29.1 torchmetrics==1.9.0 \
    pycocotools==2.0.11
env/bin/python -W ignore - <<'PY'
import contextlib
import importlib.metadata as meta
import io

import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchmetrics.detection import MeanAveragePrecision

print(*(f"{p} {meta.version(p)}" for p in ("torchmetrics", "pycocotools", "torch")))
one = {"image_id": 1, "category_id": 1}
got = {}
for tenths in 5, 6, 7, 8, 9:  # (0, 0, 10, 10) and (0, 0, 10, k): IoU k / 10
    coco = COCO()
    truth = one | {"id": 1, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0}
    coco.dataset = {
        "images": [{"id": 1, "width": 100, "height": 80}],
        "categories": [{"id": 1, "name": "zebra"}],
        "annotations": [truth],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        found = coco.loadRes([one | {"bbox": [0, 0, 10, tenths], "score": 0.9}])
        run = COCOeval(coco, found, "bbox")
        run.evaluate(), run.accumulate(), run.summarize()
    metric = MeanAveragePrecision()
    label, score = torch.tensor([1]), torch.tensor([0.9])
    box, whole = torch.tensor([[0.0, 0, 10, tenths]]), torch.tensor([[0.0, 0, 10, 10]])
    metric.update(
        [{"boxes": box, "scores": score, "labels": label}],
        [{"boxes": whole, "labels": label}],
    )
    pair = round(float(run.stats[0]), 3), round(float(metric.compute()["map"]), 3)
    got[tenths] = pair
    print(f"IoU {tenths / 10}: AP of pycocotools {pair[0]}, of torchmetrics {pair[1]}")
assert got[5] == (0.1, 0.1) and got[6] == (0.3, 0.2) and got[8] == (0.7, 0.6), got
PY
