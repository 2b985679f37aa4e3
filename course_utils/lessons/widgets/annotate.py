"""Lesson 13: draw boxes on pictures of your own, saved as VOC XML."""

import base64
import functools
import html
import io
from pathlib import Path

import ipywidgets
from PIL import Image

from course_utils.data.images import look_at, read_pixels
from course_utils.lessons import plot
from course_utils.lessons.widgets import (
    empty_figure,
    error_figure,
    error_text,
    picture_of,
)
from course_utils.lessons.widgets.album import SHOWN_BY_BROWSERS, Album, drawn_boxes


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
        detected = drawn_boxes(drawn, (image.shape[2], image.shape[1]))
        names = self.album.names(drawn)
        colors = [plot.color_of(names.index(name) + 1) for name in detected["names"]]
        figure, (ax,) = empty_figure(560, 450)
        plot.show_image(image, ax, self.album.image.name)
        plot.draw_boxes(detected["boxes"], detected["names"], colors, ax)
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
    `read.read_voc_labels(folder)`. Raises ValueError for a folder without images and
    ImportError, with what to install, without jupyter_bbox_widget. Lesson 13.
    """
    return Annotator(Album(folder, classes, out))
