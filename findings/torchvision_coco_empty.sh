#!/usr/bin/env bash
# torchvision's COCO wrapper: a picture without objects has no "boxes" at all.
#
# Guess: wrap_dataset_for_transforms_v2 gives boxes of shape (0, 4) and labels of shape (0,).
# Seen: the target of such a picture is {"image_id": ...} alone, although target_keys asks
#   for boxes and labels.
# Matters: it exists to make CocoDetection fit torchvision's transforms and detectors. The
#   detectors take empty boxes, but here target["boxes"] is a KeyError, at a random step of
#   the first epoch; COCO's own training set has a thousand such pictures.
# Versions: torchvision 0.29.1, torch 2.14.1, pycocotools 2.0.11, Python 3.11.
#   28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq torch==2.14.1 torchvision==0.29.1 pycocotools==2.0.11
env/bin/python -W ignore - <<'PY'
import json
from pathlib import Path

import torch
import torchvision
from PIL import Image
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

images = []
for number in 1, 2:
    Image.new("RGB", (100, 80)).save(f"{number}.jpg")
    name = f"{number}.jpg"
    images.append({"id": number, "file_name": name, "width": 100, "height": 80})
thing = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20]}
content = {
    "images": images,
    "categories": [{"id": 1, "name": "zebra"}],
    "annotations": [thing | {"area": 400, "iscrowd": 0}],
}
Path("truth.json").write_text(json.dumps(content))
read = CocoDetection(".", "truth.json")
keys = "image_id", "boxes", "labels"
wrapped = wrap_dataset_for_transforms_v2(read, target_keys=keys)
print("torchvision", torchvision.__version__, "torch", torch.__version__)
found = [sorted(target) for _, target in wrapped]
print("keys with one object:", found[0])
print("keys without objects:", found[1])
assert found == [sorted(keys), ["image_id"]]
PY
