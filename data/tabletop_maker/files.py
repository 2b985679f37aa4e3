"""Files of the data set, in the layout of Pascal VOC; see ``data/make_tabletop.py``."""

import os
import xml.etree.ElementTree as ET

import numpy as np
from PIL import Image

from .camera import HEIGHT, WIDTH
from .layout import SEED, sample_scene
from .rendering import render_scene


def write_scene(out, split, index, seed=SEED, overwrite=False):
    """Render a scene and write its three files; a complete one is kept."""
    name = f"{split}_{index:04d}"
    jpg = out / "JPEGImages" / f"{name}.jpg"
    png = out / "SegmentationObject" / f"{name}.png"
    xml = out / "Annotations" / f"{name}.xml"
    if not overwrite and all(path.exists() for path in (jpg, png, xml)):
        return
    image, mask, objects = render_scene(sample_scene(split, index, seed))
    image, mask = Image.fromarray(image), Image.fromarray(mask)
    mask.putpalette(voc_palette())
    how = {"quality": 90, "subsampling": 2, "optimize": True}
    write_whole(jpg, lambda path: image.save(path, "JPEG", **how))
    write_whole(png, lambda path: mask.save(path, "PNG", optimize=True))
    write_text(xml, annotation(name, objects))


def write_split(out, split):
    """List the scenes of a split that are in the folder, one a line."""
    names = [path.stem for path in (out / "Annotations").glob(f"{split}_*.xml")]
    names = sorted(n for n in names if n.removeprefix(f"{split}_").isdigit())
    path = out / "ImageSets" / "Main" / f"{split}.txt"
    write_text(path, "".join(f"{name}\n" for name in names))


def write_text(path, text):
    """Write a text file that is whole or not there."""
    write_whole(path, lambda p: p.write_text(text, encoding="utf-8"))


def write_whole(path, save):
    """Call save(temporary path), then rename, so that no half file is ever left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}_{path.name}")
    save(temporary)
    os.replace(temporary, path)


def voc_palette():
    """The 256 colours of the Pascal VOC masks as a flat list."""
    # Bits 0, 3, 6 of k fill red from the top, and so on.
    bits = np.arange(256)[:, None, None] >> np.arange(9).reshape(3, 3) & 1
    return (bits << np.array([[7], [6], [5]])).sum(1).ravel().tolist()


def annotation(name, objects):
    """VOC XML text; boxes count from 1 and include their last pixel."""
    root = ET.Element("annotation")
    add(root, folder="tabletop", filename=name + ".jpg")
    add(add(root, source=None), database="tabletop (Mitsuba 3)")
    add(add(root, size=None), width=WIDTH, height=HEIGHT, depth=3)
    add(root, segmented=1)
    for o in objects:
        node = add(root, object=None)
        add(node, name=o["name"], pose="Unspecified")
        add(node, **{flag: o[flag] for flag in ("truncated", "occluded", "difficult")})
        x1, y1, x2, y2 = o["box"]
        add(add(node, bndbox=None), xmin=x1 + 1, ymin=y1 + 1, xmax=x2, ymax=y2)
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode") + "\n"


def add(node, **children):
    """Add elements with these texts to an XML node; returns the last of them."""
    for tag, text in children.items():
        child = ET.SubElement(node, tag)
        child.text = None if text is None else str(text)
    return child
