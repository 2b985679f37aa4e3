#!/usr/bin/env bash
# globox numbers COCO annotations from 0; pycocotools takes id 0 as "no match".
#
# Guess: an id is a name, so perfect detections score AP 1 whatever the numbers are.
# Seen: with a file that globox wrote, pycocotools counts the detection of annotation 0 as
#   a false positive: AP .252 of two perfect detections. faster-coco-eval has kept the same
#   rule, hotcoco has not (1.0), so two scorers disagree on one file.
# Matters: the first object of the data set is always lost. In a small set or a rare class
#   that is many points of AP, and nothing warns.
# Versions: globox 2.9.0, pycocotools 2.0.11, faster-coco-eval 1.8.0, hotcoco 1.3.0,
#   Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq globox==2.9.0 pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0
env/bin/python -W ignore - <<'PY'
import contextlib
import importlib.metadata as meta
import io
import json
from pathlib import Path

import faster_coco_eval
import hotcoco
import pycocotools.coco
import pycocotools.cocoeval
from globox import Annotation, AnnotationSet, BoundingBox, BoxFormat

truth = AnnotationSet()
for name in "a.jpg", "b.jpg":
    box = BoundingBox.create(
        label="zebra", coords=(10, 10, 60, 60), box_format=BoxFormat.LTRB
    )
    truth.add(Annotation(image_id=name, image_size=(100, 80), boxes=[box]))
truth.save_coco(Path("truth.json"), auto_ids=True)
content = json.loads(Path("truth.json").read_text())
keys = "image_id", "category_id", "bbox"
perfect = [{key: a[key] for key in keys} | {"score": 0.9} for a in content["annotations"]]
Path("detections.json").write_text(json.dumps(perfect))

scorers = {
    "pycocotools": (pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval),
    "faster-coco-eval": (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
    "hotcoco": (hotcoco.COCO, hotcoco.COCOeval),
}
ids = [a["id"] for a in content["annotations"]]
print(f"globox {meta.version('globox')} writes the annotation ids {ids}")
aps = {}
for name, (read, score) in scorers.items():
    with contextlib.redirect_stdout(io.StringIO()):
        coco = read("truth.json")
        run = score(coco, coco.loadRes("detections.json"), "bbox")
        run.evaluate(), run.accumulate(), run.summarize()
    aps[name] = round(float(run.stats[0]), 3)
    print(f"{name} {meta.version(name)}: AP of perfect detections {aps[name]}")
assert 0 in ids, "globox's ids no longer start at 0"
assert aps == {"pycocotools": 0.252, "faster-coco-eval": 0.252, "hotcoco": 1.0}, aps
PY
