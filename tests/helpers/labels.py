"""Small label files and data sets, made by hand."""

import json
import zlib

import numpy as np
from PIL import Image

SIZE = (64, 48)  # width, height
STAMP = "<source><database>The VOC2007 Database</database></source>"
DOG = ("dog", 11, 6, 40, 30)  # as VOC writes it; box (10, 5, 40, 30)


def save_image(path, size=SIZE, orientation=None, seed=None):
    """An image of noise, its own for each path unless a seed is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32(bytes(path)) if seed is None else seed
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3))
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(noise.astype(np.uint8)).save(path, exif=exif)
    return path


def voc(objects, size=SIZE, filename="x.jpg"):
    """The text of a VOC XML file of (name, xmin, ymin, xmax, ymax), counted from 1."""
    text = f"<annotation><filename>{filename}</filename>{STAMP}"
    text += f"<size><width>{size[0]}</width>"
    text += f"<height>{size[1]}</height><depth>3</depth></size>"
    for name, *corners in objects:
        tags = zip(("xmin", "ymin", "xmax", "ymax"), corners)
        inner = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
        text += f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"
    return text + "</annotation>"


def labelled(path, *objects, size=SIZE, **image):
    """An image file with its XML beside it; returns the image's path."""
    save_image(path, size, **image)
    path.with_suffix(".xml").write_text(voc(objects, size))
    return path


def coco(images, annotations, names=("dog", "cat")):
    categories = [{"id": 7 + i, "name": name} for i, name in enumerate(names)]
    return json.dumps(
        {"images": images, "annotations": annotations, "categories": categories}
    )


OBJECT = (
    "<object><name>dog</name>{}<bndbox><xmin>11</xmin><ymin>21</ymin>"
    "<xmax>30</xmax><ymax>60</ymax></bndbox></object>"
)


def write_data(root, annotations, size=(64, 80)):
    """A data set of one image for each text in `annotations`, {image id: XML body}."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for image_id, body in annotations.items():
        xml = f"<annotation>{body}</annotation>"
        (root / "Annotations" / f"{image_id}.xml").write_text(xml)
        pixels = np.full((*size, 3), 128, np.uint8)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{image_id}.jpg")
    names = "\n".join(annotations) + "\n"
    (root / "ImageSets" / "Main" / "train.txt").write_text(names)
    return root
