#!/usr/bin/env bash
# torchvision v2: whole-number boxes are cut at every step, so a resize shrinks them.
#
# Guess: BoundingBoxes become floats where a transform needs decimals, or are rounded.
# Seen: a list of whole numbers makes int64 boxes, and they stay int64: Resize cuts each
#   corner down, XYXY -> CXCYWH -> XYXY does not come back. Halving (1, 1, 4, 4) gives (0, 0, 2, 2)
#   instead of (.5, .5, 2, 2).
# Matters: labels are whole numbers in most files, so this is the default case. The truth
#   moves up and left by up to a pixel of the small picture at each step, most for the small
#   objects; passing dtype=torch.float32 cures it.
# Versions: torchvision 0.29.1, torch 2.14.1, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq torch==2.14.1 torchvision==0.29.1
env/bin/python -W ignore - <<'PY'
import torch
import torchvision
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes

print("torchvision", torchvision.__version__, "torch", torch.__version__)
values = [[0, 0, 5, 5], [1, 1, 4, 4], [3, 3, 10, 10]]
image = torch.zeros(3, 100, 100, dtype=torch.uint8)
got = {}
for dtype in None, torch.float32:
    boxes = BoundingBoxes(values, format="XYXY", canvas_size=(100, 100), dtype=dtype)
    half = v2.Resize((50, 50))(image, boxes)[1]
    there = v2.ConvertBoundingBoxFormat("CXCYWH")(boxes)
    back = v2.ConvertBoundingBoxFormat("XYXY")(there)
    got[dtype] = half.tolist(), back.tolist()
    print(f"dtype={dtype} makes {boxes.dtype}: {values}")
    print(f"  half size: {half.tolist()}")
    print(f"  XYXY -> CXCYWH -> XYXY: {back.tolist()}")
assert got[None][0] == [[0, 0, 2, 2], [0, 0, 2, 2], [1, 1, 5, 5]], got
assert got[None][1] == [[0, 0, 4, 4], [0, 0, 3, 3], [2, 2, 9, 9]], got
assert got[torch.float32][1] == values
PY
