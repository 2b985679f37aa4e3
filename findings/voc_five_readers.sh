#!/usr/bin/env bash
# One VOC XML, five readers: the boxes are a pixel apart, and one begins at -1.
#
# Guess: VOC's rule (pixels count from 1, the last one is inside) is known to every reader,
#   or to none; in either case the tools agree about one file.
# Seen: supervision takes 1 off xmin and ymin, so a full frame written from 0 (as by Label
#   Studio, globox, pylabel, pascal-voc-writer) starts at -1. datumaro by default,
#   globox, labelformat and pylabel take the numbers as they stand, so a file by VOC's own
#   rule loses a row and a column of every box. None looks at the file to see which it is.
# Matters: train through one tool and score through another and each box is off by a pixel:
#   IoU at most .90 for a box of 20 x 20, gone at the strict thresholds of COCO's AP.
# Versions: supervision 0.31.2, datumaro 1.13.12, globox 2.9.0, labelformat 0.1.17, pylabel
#   0.1.55 with pandas 2.3.3, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq supervision==0.31.2 datumaro==1.13.12 globox==2.9.0 \
    labelformat==0.1.17 pylabel==0.1.55 pandas==2.3.3
env/bin/python -W ignore - 2>errors <<'PY' || { cat errors; exit 1; }
import importlib.metadata as meta
from pathlib import Path

import supervision
from datumaro import Dataset
from globox import AnnotationSet
from labelformat.formats import PascalVOCObjectDetectionInput
from PIL import Image
from pylabel import importer

for folder in "Annotations", "JPEGImages", "ImageSets/Main":
    Path(folder).mkdir(parents=True)
Image.new("RGB", (100, 80)).save("JPEGImages/a.jpg")
Path("ImageSets/Main/train.txt").write_text("a\n")
FRAME = "<size><width>100</width><height>80</height><depth>3</depth></size>"
FILE = Path("Annotations/a.xml")


def boxes(values):
    box = "".join(
        f"<{key}>{n}</{key}>" for key, n in zip(("xmin", "ymin", "xmax", "ymax"), values)
    )
    thing = f"<object><name>cat</name><bndbox>{box}</bndbox></object>"
    head = "<folder>JPEGImages</folder><filename>a.jpg</filename>"
    FILE.write_text(f"<annotation>{head}{FRAME}{thing}</annotation>")
    read = supervision.DetectionDataset.from_pascal_voc("JPEGImages", "Annotations")
    yield "supervision", next(iter(read.annotations.values())).xyxy[0]
    read = Dataset.import_from(".", "voc_detection")
    x, y, w, h = next(iter(read)).annotations[0].get_bbox()
    yield "datumaro", (x, y, x + w, y + h)
    yield "globox", next(iter(AnnotationSet.from_pascal_voc("Annotations"))).boxes[0].ltrb
    read = PascalVOCObjectDetectionInput(Path("Annotations"), category_names="cat")
    box = next(iter(read.get_labels())).objects[0].box
    yield "labelformat", (box.xmin, box.ymin, box.xmax, box.ymax)
    row = importer.ImportVOC("Annotations", "../JPEGImages").df.iloc[0]
    yield "pylabel", [row[f"ann_bbox_{key}"] for key in ("xmin", "ymin", "xmax", "ymax")]


for values in (0, 0, 100, 80), (11, 21, 31, 41):
    print("xmin ymin xmax ymax in the file:", *values)
    for tool, box in boxes(values):
        box = tuple(float(n) for n in box)
        print(f"  {tool} {meta.version(tool)}: {box}")
        taken = 1 if tool == "supervision" else 0
        assert box == (values[0] - taken, values[1] - taken, *values[2:]), (tool, box)
PY
