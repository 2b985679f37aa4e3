#!/usr/bin/env bash
# LabelImg: a box drawn from the picture's edge is written a pixel inside, in YOLO as well.
#
# Guess: LabelImg counts from 0 (its other boxes say so), so the edge is 0.
# Seen: 0 and only 0 becomes 1, the rest stays. A full frame of 100 x 80 becomes 1 1 100 80
#   in VOC and centre .505 .50625, size .99 .9875 in YOLO, which has no rule about 1.
# Matters: neither "counts from 0" nor "counts from 1" reads its VOC files right, and a YOLO
#   file opened and saved again is not what it was: an object cut off by the edge, the case
#   where a detector must learn to reach the edge, is labelled as if it stopped before it.
# Versions: labelImg 1.8.6, PyQt5 5.15.11, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq labelImg==1.8.6 PyQt5==5.15.11 pillow==13.0.0
QT_QPA_PLATFORM=offscreen env/bin/python -W ignore - <<'PY'
import importlib.metadata as meta
import xml.etree.ElementTree as ET
from pathlib import Path

from libs.labelFile import LabelFile
from PIL import Image

W, H = 100, 80
Image.new("RGB", (W, H)).save("a.jpg")
print("labelImg", meta.version("labelImg"))
got = {}
for x1, y1, x2, y2 in (0, 0, W, H), (2, 2, W, H):
    points = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]  # as its window hands them over
    shapes = [{"label": "zebra", "points": points, "difficult": 0}]
    LabelFile().save_pascal_voc_format("a.xml", shapes, "a.jpg", None)
    LabelFile().save_yolo_format("a.txt", shapes, "a.jpg", None, ["zebra"])
    box = ET.parse("a.xml").find("object/bndbox")
    voc = [int(box.findtext(key)) for key in ("xmin", "ymin", "xmax", "ymax")]
    yolo = [float(word) for word in Path("a.txt").read_text().split()[1:]]
    got[x1] = voc, yolo
    print(f"drawn {(x1, y1, x2, y2)}: VOC {voc}, YOLO {yolo}")
assert got[0] == ([1, 1, W, H], [0.505, 0.50625, 0.99, 0.9875]), got
assert got[2] == ([2, 2, W, H], [0.51, 0.5125, 0.98, 0.975]), got
PY
