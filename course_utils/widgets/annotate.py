"""Lesson 13: draw boxes on pictures of your own, saved as VOC XML."""

import base64
import contextlib
import functools
import html
import io
import math
import shutil
from collections import Counter
from pathlib import Path

import ipywidgets
import torch
from PIL import Image

from course_utils import plot
from course_utils.boxes import clip_boxes
from course_utils.data import read_pixels
from course_utils.export import write_voc_xml
from course_utils.frame import upright_boxes
from course_utils.images import look_at
from course_utils.label_files import SUFFIXES, find_files, place_of
from course_utils.labels import voc_record
from course_utils.voc import FLAGS, folder_first_pixel, parse_voc, rule_of
from course_utils.widgets import empty_figure, error_figure, error_text, picture_of

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
        ValueError for a file that can not be read.
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
        answer = box_answer(drawn, (width, height))
        names = self.names(drawn)
        if not all(answer["names"]):
            raise ValueError("a box has no class; choose one, then press C")
        labels = [names.index(name) + 1 for name in answer["names"]]
        path.parent.mkdir(parents=True, exist_ok=True)
        backup = path.with_name(path.name + ".bak")
        if path.is_file() and not backup.exists():
            shutil.copy2(path, backup)
        answer |= {"labels": labels}
        size, name = (width, height), self.image.name
        write_voc_xml(path, size, answer, names, name, first_pixel=rule)
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


def box_answer(drawn, size):
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


def browser_bytes(path):
    """An image file's bytes as every browser shows them upright."""
    picture = look_at(path)
    if picture.format in SHOWN_BY_BROWSERS and picture.orientation == 1:
        return Path(path).read_bytes()
    buffer, pixels = io.BytesIO(), read_pixels(path).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def told(handler):
    """A method of `Annotator` for the page to call: errors go to its status line."""

    @functools.wraps(handler)
    def safe(self, *values):
        try:
            return handler(self, *values)
        except Exception as error:  # a page would hear nothing of it
            self.say(error_text(error))

    return safe


class Annotator:
    """The widget on an `Album`: Submit saves and goes on, Skip goes on, Back goes back.

    As a cell's last line it shows itself; where widgets do not run, a picture of the
    present image and its boxes stands in. ``album``, ``widget`` (the BBoxWidget) and
    ``status`` (its line of text) are open to code. Lesson 13.
    """

    def __init__(self, album):
        try:
            from jupyter_bbox_widget import BBoxWidget
        except ImportError:
            raise ImportError(
                "jupyter_bbox_widget is missing: pip install jupyter_bbox_widget, then"
                " restart JupyterLab"
            ) from None
        self.album, self.widget = album, BBoxWidget(label=album.classes[0])
        self.status = ipywidgets.HTML()
        back = ipywidgets.Button(description="Back", icon="arrow-left")
        back.on_click(lambda _: self.go(-1))
        self.shown = None  # the place in the album of the picture in the widget
        self.left, self.loaded = [], []  # boxes of the picture before, and of this one
        self.widget.observe(self.refuse_late_boxes, "bboxes")
        self.widget.on_submit(self.submit)
        self.widget.on_skip(lambda: self.go(1))
        self.box = ipywidgets.VBox([self.status, self.widget, back])
        self.show("; ".join(album.unreadable))

    def show(self, said=""):
        """Bring the present image and its boxes into the widget, with a line said.

        If that fails, the error takes the picture's place, and nothing is saved on it.
        """
        self.shown, self.left, self.loaded = None, self.widget.bboxes, []
        try:
            picture, drawn, said = self.read(said)
            self.widget.selected_index = -1
            self.widget.bboxes = []
            self.widget.classes = self.album.names(drawn)
            self.loaded, self.widget.image_bytes = drawn, picture
            self.widget.bboxes = drawn
            self.shown = self.album.at
        except Exception as error:  # whatever reading files may meet
            said = f"{said}. NOT shown: {error_text(error)}".removeprefix(". ")
            lines = {"lines": said.split("\n")}
            self.widget.bboxes = []
            self.widget.image_bytes = picture_of(error_figure, lines)[0]
        self.say(said)

    def read(self, said):
        """The present picture's bytes and boxes, and what to say."""
        picture = browser_bytes(self.album.image)
        try:
            return picture, self.album.load(), said
        except ValueError as error:
            return picture, [], f"{error}; draw the boxes anew"

    @told
    def refuse_late_boxes(self, change):
        """Put right what the page sends when it has not heard of the next picture yet.

        A busy page sends the boxes of the picture before once more, after Submit.
        """
        if self.left and change["new"] == self.left and self.left != self.loaded:
            self.widget.bboxes = list(self.loaded)

    def say(self, text):
        """Put a line above the picture: where we are, and `text`."""
        at, images = self.album.at + 1, self.album.images
        line = f"{at} of {len(images)}: {self.album.image.name}"
        self.status.value = html.escape(f"{line}. {text}" if text else line)

    @told
    def go(self, step):
        """Go on by `step` images without saving."""
        if self.album.move(step):
            self.show()
        else:
            self.say("there are no more images on this side")

    @told
    def submit(self):
        """Save the boxes now drawn and go on; what cannot be saved stays."""
        if self.shown != self.album.at:
            self.say("NOT saved: this picture could not be shown; Skip goes on")
            return
        try:
            count = self.album.save(self.widget.bboxes)
        except (ValueError, OSError) as error:
            self.say(f"NOT saved: {error}")
            return
        except Exception as error:  # nothing that was drawn may be lost
            self.say(f"NOT saved: {error_text(error)}")
            return
        boxes = "1 box" if count == 1 else f"{count} boxes"
        said = f"{self.album.image.name}: {boxes} saved"
        if self.album.move(1):
            self.show(said)
        else:
            self.say(f"{said}. That was the last image; labels are in {self.album.out}")

    @property
    def png(self):
        """A picture of the present image with its boxes, as PNG bytes."""
        if self.shown is None:
            said = html.unescape(self.status.value).split("\n")
            return picture_of(error_figure, {"lines": said})[0]
        return picture_of(self.still, {})[0]

    def still(self):
        """A Figure of the present image with its boxes."""
        image, drawn = read_pixels(self.album.image), self.widget.bboxes
        answer = box_answer(drawn, (image.shape[2], image.shape[1]))
        names = self.album.names(drawn)
        colors = [plot.color_of(names.index(name) + 1) for name in answer["names"]]
        figure, (ax,) = empty_figure(560, 450)
        plot.show_image(image, ax, self.album.image.name)
        plot.draw_boxes(answer["boxes"], answer["names"], colors, ax)
        return figure

    def _repr_mimebundle_(self, include=None, exclude=None):
        bundle = dict(self.box._repr_mimebundle_())
        bundle["image/png"] = base64.b64encode(self.png).decode()
        return bundle


def annotate(folder, classes, out=None):
    """Draw boxes on all images of a folder with the mouse; Submit saves VOC XML.

    The keys 1, 2 ... choose the class, Enter submits, Space goes on without saving.

    classes: their names. out: the folder for the XML files; by default the images' own
    if there are XML files already, else its Annotations/. Boxes that are there already
    can be changed; the older file is kept with .bak at its name. Read the result with
    `labels.read_voc_labels(folder)`. Raises ValueError for a folder without images and
    ImportError, with what to install, without jupyter_bbox_widget. Lesson 13.
    """
    return Annotator(Album(folder, classes, out))
