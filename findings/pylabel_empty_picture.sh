#!/usr/bin/env bash
# pylabel: a picture without objects makes the object before it appear twice in COCO.
#
# Guess: a picture without objects is listed among the images and has no annotations.
# Seen: while it writes the empty picture it appends the previous annotation once more, id,
# Matters: negatives are common and useful. Each adds a second truth that no detector can
#   hit (the first detection takes one, the next is a duplicate): perfect ones score below 1.
# Versions: pylabel 0.1.55, pandas 2.3.3, pycocotools 2.0.11, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq pylabel==0.1.55 pandas==2.3.3 pycocotools==2.0.11
env/bin/python -W ignore - <<'PY'
import contextlib
import importlib.metadata as meta
import io
import json
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pylabel import importer

one = {"category_id": 1, "iscrowd": 0, "area": 400, "segmentation": []}
content = {
    "images": [
        {"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 80} for i in (1, 2, 3, 4)
    ],
    "categories": [{"id": 1, "name": "zebra", "supercategory": ""}],
    "annotations": [  # none in picture 3
        one | {"id": i, "image_id": image, "bbox": [10 * i, 20, 20, 20]}
        for i, image in ((1, 1), (2, 2), (3, 4))
    ],
}
Path("truth.json").write_text(json.dumps(content))
read = importer.ImportCoco("truth.json", path_to_images=".")
read.export.ExportToCoco("out.json", cat_id_index=1)
print(*(f"{p} {meta.version(p)}" for p in ("pylabel", "pandas", "pycocotools")))
rows, aps = [], []
for name in "truth.json", "out.json":
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()  # the same annotations with ids of their own from 1
        coco.dataset = json.loads(Path(name).read_text())
        written = [(a["id"], a["image_id"]) for a in coco.dataset["annotations"]]
        distinct = {a["id"]: a for a in coco.dataset["annotations"]}.values()
        perfect = [
            {k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.9}
            for a in distinct
        ]
        for number, a in enumerate(coco.dataset["annotations"], 1):
            a["id"] = number
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(perfect), "bbox")
        run.evaluate(), run.accumulate(), run.summarize()
    rows.append(written)
    aps.append(round(float(run.stats[0]), 3))
    print(f"{name}: (id, image_id) {rows[-1]}, AP of perfect detections {aps[-1]}")
assert [len(r) for r in rows] == [3, 4] and len(set(rows[1])) == 3, rows
assert aps == [1.0, 0.752], aps
PY
