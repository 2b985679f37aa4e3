#!/usr/bin/env bash
# torchvision's masks_to_boxes is a pixel short: a line of one pixel has a box without area.
#
# Guess: half-open boxes like everything else in torchvision, so area and IoU fit the mask.
# Seen: x2, y2 are the last pixel itself. A mask of 4 x 5 gets a box of 3 x 4; pycocotools'
#   toBbox and OpenCV's boundingRect say 4 x 5. torchvision's documents warn of lines, not
#   of the missing row and column of all others.
# Matters: boxes made from masks (Penn-Fudan, Cityscapes) are smaller than those that the
#   COCO scorer derives from the same masks: IoU .60 for this one, so perfect boxes miss the
#   thresholds from .65 on; and torchvision's own detectors refuse a box without area.
# Versions: torchvision 0.29.1, torch 2.14.1, pycocotools 2.0.11, opencv-python-headless
#   5.0.0.93, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq torch==2.14.1 torchvision==0.29.1 pycocotools==2.0.11 \
    opencv-python-headless==5.0.0.93
env/bin/python -W ignore - <<'PY'
import importlib.metadata as meta

import cv2
import numpy as np
import torch
from pycocotools import mask as coco_mask
from torchvision.ops import box_iou, masks_to_boxes

packages = "torchvision", "torch", "pycocotools"
print(*(f"{p} {meta.version(p)}" for p in packages), "OpenCV", cv2.__version__)
mask = np.zeros((20, 30), np.uint8)
mask[5:10, 3:7] = 1  # rows 5 to 9, columns 3 to 6


def corners(x, y, width, height):
    return [float(n) for n in (x, y, x + width, y + height)]


boxes = {
    "torchvision": masks_to_boxes(torch.tensor(mask)[None])[0].tolist(),
    "pycocotools": corners(*coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask)))),
    "OpenCV": corners(*cv2.boundingRect(mask)),
}
for tool, box in boxes.items():
    print(f"{tool}: {box}")
first, second = (torch.tensor([boxes[tool]]) for tool in ("torchvision", "pycocotools"))
iou = box_iou(first, second).item()
print(f"IoU of torchvision's and pycocotools' box: {iou:.2f}")
mask[:, 4:] = 0
line = masks_to_boxes(torch.tensor(mask)[None])[0].tolist()
print("a column of five pixels:", line)
assert boxes["torchvision"] == [3, 5, 6, 9] and line == [3, 5, 3, 9]
assert boxes["pycocotools"] == boxes["OpenCV"] == [3, 5, 7, 10] and round(iou, 2) == 0.6
PY
