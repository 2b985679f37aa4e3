#!/usr/bin/env bash
# albumentations: a label field with COCO annotation ids comes back with other ids.
#
# Guess: what stands in `label_fields` rides along: the same numbers, still whole.
# Seen: every numeric field is held as float32 beside the boxes. Ids above 2 ** 24 are
#   changed, all come back as floats: 900100001 and 900100002 both as 900100032.0. A field
#   of words, and one of ids written as words, survives.
# Matters: the pattern "pass the ids along, look the rest up after the crop" finds nothing or
#   another object. The ids of the crowds in COCO itself have twelve digits; ids made
#   of a date or a hash are as long. Class numbers turn into floats silently.
# Versions: albumentations 2.0.8, numpy 2.4.6, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq albumentations==2.0.8 numpy==2.4.6
NO_ALBUMENTATIONS_UPDATE=1 env/bin/python -W ignore - <<'PY'
import albumentations as A
import numpy as np

ids = [900100001, 900100002, 17]
params = A.BboxParams(format="coco", label_fields=["ids", "words", "classes"])
flip = A.Compose([A.HorizontalFlip(p=1)], bbox_params=params)
out = flip(
    image=np.zeros((80, 100, 3), np.uint8),
    bboxes=[[10, 10, 20, 20], [40, 10, 20, 20], [70, 10, 20, 20]],
    ids=ids,
    words=[str(number) for number in ids],
    classes=[1, 2, 3],
)
print("albumentations", A.__version__, "numpy", np.__version__)
print("ids in:     ", ids)
print("ids out:    ", out["ids"])
print("as words:   ", [str(word) for word in out["words"]])
print("classes out:", out["classes"])
assert out["ids"] == [900100032.0, 900100032.0, 17.0]
assert [int(word) for word in out["words"]] == ids
assert all(type(number) is not int for number in out["classes"])
PY
