#!/usr/bin/env bash
# torchvision's batched_nms is not NMS by class when classes or pictures are many or large.
#
# Guess: the same answer as nms() called for each class alone.
# Seen: for up to 1000 boxes on the CPU it shifts each class by class number * picture size
#   and runs one NMS. In float32 the shift of class 1202 in a picture of 4000 pixels leaves
#   steps of half a pixel: of 2000 random pairs of small boxes 121 are decided otherwise at
#   IoU .5. From 1001 boxes on it goes class by class, so the answer depends on their number.
# Matters: aerial and LVIS-like sets (small objects, large pictures, 1203 classes) lose or
#   double boxes for no reason that the boxes show; with 80 classes at 1333 pixels it is 2.
# Versions: torchvision 0.29.1, torch 2.14.1 (CPU), Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq torch==2.14.1 torchvision==0.29.1
env/bin/python -W ignore - <<'PY'
import torch
import torchvision
from torchvision.ops import batched_nms, nms

print("torchvision", torchvision.__version__, "torch", torch.__version__)


def differing(classes, side, copies=1, pairs=2000):
    random = torch.Generator().manual_seed(1)
    count = 0
    for _ in range(pairs):
        corner = torch.rand(1, 2, generator=random) * (side - 40)
        size = 4 + torch.rand(1, 2, generator=random) * 8
        box = torch.cat([corner, corner + size], 1)
        moved = box + (torch.rand(1, 4, generator=random) - 0.5) * 4
        pair, scores = torch.cat([box, moved]), torch.tensor([0.9, 0.8])
        alone = nms(pair, scores, 0.5)
        # the pair in the last class, and other boxes, all alike, in class 0
        other = torch.tensor([[side - 10, side - 10, side, side]] * copies)
        together = batched_nms(
            torch.cat([pair, other]),
            torch.cat([scores, torch.full((copies,), 0.7)]),
            torch.tensor([classes - 1] * 2 + [0] * copies),
            0.5,
        )
        count += len(alone) != (together < 2).sum()
    return int(count)


few = differing(80, 1333.0)
print(f"80 classes, 1333 pixels: {few} of 2000 pairs decided otherwise than alone")
many = differing(1203, 4000.0)
print(f"1203 classes, 4000 pixels: {many} of 2000")
larger = differing(1203, 4000.0, copies=999, pairs=200)
print(f"1203 classes, 4000 pixels, 1001 boxes in all: {larger} of 200")
assert few < 20 and many > 60 and larger == 0, (few, many, larger)
PY
