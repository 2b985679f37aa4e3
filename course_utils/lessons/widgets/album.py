"""The folder of images and labels behind the annotator."""

import contextlib
import math
import shutil
from collections import Counter
from pathlib import Path

import torch

from course_utils.data.frame import upright_boxes
from course_utils.data.images import look_at
from course_utils.data.labels.export import write_voc_xml
from course_utils.data.labels.files import SUFFIXES, find_files, place_of
from course_utils.data.labels.read import voc_record
from course_utils.data.voc import FLAGS, folder_first_pixel, parse_voc, rule_of
from course_utils.ops.boxes import clip_boxes

SHOWN_BY_BROWSERS = ("JPEG", "PNG", "GIF", "WEBP")


class Album:
    """The images of a folder and their VOC XML files: what `annotate` works on.

    folder: with the images. classes: the names to draw. out: the folder of the XML; by
    default the images' own if XML lies there already, else its Annotations/. Unreadable
    images are named in ``unreadable`` and left out; raises ValueError if none is left.

    ``at`` is the place in ``images`` of the present one; it starts at the first without
    labels, or at 0. Lesson 13.
    """

    def __init__(self, folder, classes, out=None):
        folder = Path(folder)
        self.classes, self.images, self.unreadable = list(classes), [], []
        for path in find_files(folder, SUFFIXES):
            try:
                look_at(path)
                self.images.append(path)
            except ValueError as error:
                self.unreadable.append(str(error))
        if not self.images:
            raise ValueError(f"{folder}: no image that can be read")
        inner, self.folder = folder / "Annotations", folder
        beside = any(p.suffix.lower() == ".xml" for p in folder.iterdir())
        beside = beside and not inner.is_dir()
        self.out = Path(out) if out else folder if beside else inner
        # Files that do not say from which number they count do it like the others.
        files = self.out.is_dir() and folder_first_pixel(self.out)
        self.first_pixel = files or (1, "assumed")
        self.stems = Counter(self.stem(path) for path in self.images)
        there = [self.xml(path).is_file() for path in self.images]
        self.at = 0 if all(there) else there.index(False)

    @property
    def image(self):
        """The path of the present image."""
        return self.images[self.at]

    def stem(self, image):
        """An image's name and place, images/day/ without images/, in small letters."""
        place = place_of(image.with_suffix(""), self.folder)
        return tuple(part.casefold() for part in place)

    def xml(self, image):
        """The label file of an image: a.xml, or a.jpg.xml if there is a.png, too."""
        alone = self.stems[self.stem(image)] == 1
        name = f"{image.stem if alone else image.name}.xml"
        return self.out.joinpath(*place_of(image, self.folder)[:-1], name)

    def move(self, step):
        """Go on by `step` images; False, and no move, at either end."""
        there = 0 <= self.at + step < len(self.images)
        self.at += step * there
        return there

    def load(self):
        """The present image's boxes as the widget has them: x, y, width, height, label.

        From its XML file, turned upright with the picture; empty without one. Raises
        ValueError for a file that cannot be read.
        """
        path = self.xml(self.image)
        if not path.is_file():
            return []
        file = parse_voc(path)
        record = voc_record(self.image, path, file, None, self.first_pixel)
        boxes = upright_boxes(record, look_at(self.image))
        return [
            {
                "x": x1,
                "y": y1,
                "width": x2 - x1,
                "height": y2 - y1,
                "label": o["name"].strip(),
                "difficult": o["difficult"],
            }
            | {flag: True for flag in FLAGS if o.get(flag)}
            for (x1, y1, x2, y2), o in zip(boxes, record["objects"])
        ]

    def save(self, drawn):
        """Write `drawn`, boxes as the widget has them, as the present image's XML.

        Boxes are clipped to the image and rounded to whole pixels, but not those of an
        older file that were not touched; a mere click, under 1 pixel wide or high, is
        no box. An older file is kept beside it with .bak at its name, the first one for
        good. Returns how many boxes were written. Raises ValueError for one without a
        class.
        """
        width, height = look_at(self.image).upright
        path, there, rule = self.xml(self.image), [], self.first_pixel[0]
        if path.is_file():
            with contextlib.suppress(ValueError):  # an unreadable one is drawn anew
                there = self.load()
                rule = rule_of(parse_voc(path), None, self.first_pixel)[0]
        drawn = [
            d if corners_of(d) in map(corners_of, there) else whole(d) for d in drawn
        ]
        detected = drawn_boxes(drawn, (width, height))
        names = self.names(drawn)
        if not all(detected["names"]):
            raise ValueError("a box has no class; choose one, then press C")
        labels = [names.index(name) + 1 for name in detected["names"]]
        path.parent.mkdir(parents=True, exist_ok=True)
        backup = path.with_name(path.name + ".bak")
        if path.is_file() and not backup.exists():
            shutil.copy2(path, backup)
        detected |= {"labels": labels}
        size, name = (width, height), self.image.name
        write_voc_xml(path, size, detected, names, name, first_pixel=rule)
        return len(labels)

    def names(self, drawn):
        """The classes, and after them what other names `drawn` has."""
        return list(dict.fromkeys([*self.classes, *(d["label"] for d in drawn)]))


def corners_of(drawn):
    return tuple(float(drawn[key]) for key in ("x", "y", "width", "height"))


def whole(drawn):
    """A box as the widget has it with its corners on whole pixels; a click as it is."""
    x, y, w, h = corners_of(drawn)
    if min(abs(w), abs(h)) < 1:
        return drawn
    x1, y1, x2, y2 = (math.floor(v + 0.5) for v in (x, y, x + w, y + h))
    return drawn | {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}


def drawn_boxes(drawn, size):
    """Boxes as the widget has them -> dict of boxes (N, 4), names and flags.

    Drawn from the right or upwards they have a negative width or height. size: (width,
    height) of the image, to which they are clipped; what is under 1 pixel is left out.
    """
    if not drawn:
        return {"boxes": torch.zeros(0, 4), "names": []}
    x, y, w, h = torch.tensor(
        [[float(d[key]) for key in ("x", "y", "width", "height")] for d in drawn]
    ).unbind(1)
    corners = torch.stack([x, y, x + w, y + h], 1).view(-1, 2, 2)
    corners = torch.cat([corners.amin(1), corners.amax(1)], 1)
    boxes = clip_boxes(corners, size[::-1])
    keep = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
    kept = [d for d, k in zip(drawn, keep.tolist()) if k]
    flags = [flag for flag in FLAGS if any(flag in d for d in kept)]
    return {
        "boxes": boxes[keep],
        "names": [d["label"] for d in kept],
        **{flag: [bool(d.get(flag)) for d in kept] for flag in flags},
    }
