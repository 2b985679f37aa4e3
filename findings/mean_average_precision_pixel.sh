#!/usr/bin/env bash
# mean-average-precision adds a pixel to every side: boxes that do not touch overlap.
#
# Guess: IoU of corner boxes as everywhere today: (x2 - x1) * (y2 - y1), any unit.
# Seen: it counts x2 - x1 + 1. A box over half of a 10 x 10 object has IoU .545 instead of
#   .5, and with corners between 0 and 1 two boxes that do not touch have .65, a hit.
# Matters: the score of a small object is too good, of normalized boxes it is meaningless,
#   with no error. pycocotools says .5 and 0 for the same boxes.
# Versions: mean-average-precision 2024.1.5.0, pycocotools 2.0.11, Python 3.11.
#   28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq mean-average-precision==2024.1.5.0 pycocotools==2.0.11
env/bin/python -W ignore - <<'PY'
import importlib.metadata as meta

import numpy as np
from mean_average_precision import MetricBuilder
from pycocotools import mask

print(*(f"{p} {meta.version(p)}" for p in ("mean-average-precision", "pycocotools")))


def highest(truth, found):
    """The highest threshold at which the one detection is still a hit."""
    hits = [0.0]
    for threshold in np.arange(0.01, 1, 0.01):
        metric = MetricBuilder.build_evaluation_metric(
            "map_2d", async_mode=False, num_classes=1
        )
        metric.add(np.array([[*found, 0, 0.9]]), np.array([[*truth, 0, 0, 0]]))
        if metric.value(iou_thresholds=float(threshold))["mAP"] > 0.5:
            hits.append(round(float(threshold), 2))
    return hits[-1]


got = []
for truth, found in (
    ((0, 0, 10, 10), (0, 0, 10, 5)),
    ((0.0, 0.0, 0.1, 0.1), (0.12, 0.12, 0.22, 0.22)),
):
    sides = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in (truth, found)]
    usual = mask.iou(np.array(sides[1:], float), np.array(sides[:1], float), [0])[0, 0]
    got.append((highest(truth, found), round(float(usual), 2)))
    print(f"{truth} and {found}: a hit up to {got[-1][0]}, pycocotools' IoU {got[-1][1]}")
assert got == [(0.54, 0.5), (0.65, 0.0)], got
PY
