#!/usr/bin/env bash
# YOLO labels of a phone's photo (EXIF orientation 6): the readers scale by different frames.
#
# Guess: all take the picture as it is shown (as its labels were drawn), or all as stored.
# Seen: for a stored 100 x 80 that is shown as 80 x 100, supervision gives upright pixels and an
#   upright box; globox, labelformat and pylabel give the box in the stored frame. datumaro
#   reports the upright size and box, and hands over the stored, lying pixels beside them.
# Matters: upright is what browsers and most label tools show. Through the other readers each
#   turned photo trains with a box in another place, without a warning.
# Versions: supervision 0.31.2, datumaro 1.13.12, globox 2.9.0, labelformat 0.1.17, pylabel
#   0.1.55 with pandas 2.3.3, pillow 13.0.0, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq supervision==0.31.2 datumaro==1.13.12 globox==2.9.0 \
    labelformat==0.1.17 pylabel==0.1.55 pandas==2.3.3 pillow==13.0.0
env/bin/python -W ignore - 2>errors <<'PY' || { cat errors; exit 1; }
import importlib.metadata as meta
from pathlib import Path

import supervision
from datumaro import Dataset
from globox import AnnotationSet
from labelformat.formats import YOLOv8ObjectDetectionInput
from PIL import Image
from pylabel import importer

for folder in "images", "labels", "darknet/obj_train_data":
    Path(folder).mkdir(parents=True)
turned = Image.Exif()
turned[0x112] = 6  # stored lying, shown turned by a quarter
for folder in "images", "darknet/obj_train_data":
    Image.new("RGB", (100, 80)).save(f"{folder}/a.jpg", exif=turned)
for folder in "labels", "darknet/obj_train_data":
    Path(folder, "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
Path("data.yaml").write_text("path: .\ntrain: images\nval: images\nnames: [zebra]\n")
Path("darknet/obj.data").write_text("names = data/obj.names\ntrain = data/train.txt\n")
Path("darknet/obj.names").write_text("zebra\n")
Path("darknet/train.txt").write_text("data/obj_train_data/a.jpg\n")

got = {}
read = supervision.DetectionDataset.from_yolo("images", "labels", "data.yaml")
_, pixels, found = read[0]
got["supervision"] = found.xyxy[0]
assert pixels.shape == (100, 80, 3)
item = next(iter(Dataset.import_from("darknet", "yolo")))
x, y, w, h = item.annotations[0].get_bbox()
got["datumaro"] = x, y, x + w, y + h
stored = item.media.data.shape[:2]
read = AnnotationSet.from_yolo_v5(Path("labels"), image_folder=Path("images"))
got["globox"] = next(iter(read)).boxes[0].ltrb
read = YOLOv8ObjectDetectionInput(Path("data.yaml"), input_split="train")
box = next(iter(read.get_labels())).objects[0].box
got["labelformat"] = box.xmin, box.ymin, box.xmax, box.ymax
row = importer.ImportYoloV5("labels", cat_names=["z"], path_to_images="../images").df.iloc[0]
got["pylabel"] = [row[f"ann_bbox_{key}"] for key in ("xmin", "ymin", "xmax", "ymax")]
for tool, box in got.items():
    got[tool] = tuple(round(float(n), 2) for n in box)
    print(f"{tool} {meta.version(tool)}: {got[tool]}")
print("datumaro's (height, width):", item.media.size, "of its pixels:", stored)
upright, lying = (32, 40, 48, 60), (40, 32, 60, 48)
assert got["supervision"] == got["datumaro"] == upright
assert got["globox"] == got["labelformat"] == got["pylabel"] == lying
assert tuple(item.media.size) == (100, 80) and stored == (80, 100)
PY
