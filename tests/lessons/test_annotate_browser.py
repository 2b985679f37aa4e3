"""A box drawn with the mouse in JupyterLab arrives in Python and in a VOC XML file."""

import json
import os
import time

import numpy as np
import pytest
from PIL import Image

from course_utils.data.labels.read import read_labels
from course_utils.data.voc import read_voc_xml
from tests.helpers.lab import run_all_cells

pytestmark = pytest.mark.browser

CELL = """from course_utils.lessons.widgets.annotate import annotate

annotate("pictures", ["dog", "cat"])"""
SIZE = (320, 240)


def write_pictures(folder):
    """Two pictures; the second is a phone's, stored lying on its side."""
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "a.jpg")
    Image.fromarray(noise).save(folder / "b.jpg", exif=exif)


def write_notebook(path):
    cell = {"cell_type": "code", "source": CELL, "metadata": {}, "id": "a"}
    cell |= {"outputs": [], "execution_count": None}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4}
    path.write_text(json.dumps(notebook | {"nbformat_minor": 5}))


def place(picture):
    """Where a picture stands, once Lab has stopped moving it."""
    picture.scroll_into_view_if_needed()
    before = None
    for _ in range(60):
        shown = picture.bounding_box()
        if shown and shown == before:
            return shown
        before = shown
        picture.page.wait_for_timeout(500)
    raise AssertionError(f"the picture does not stand still: {before}, {shown}")


def draw(page, picture, box, size):
    """Draw a box, in pixels of an image of `size`, with the mouse."""
    shown = place(picture)
    scale = shown["width"] / size[0]
    assert shown["height"] == pytest.approx(scale * size[1], abs=2)
    x1, y1, x2, y2 = (v * scale for v in box)
    page.mouse.move(shown["x"] + x1, shown["y"] + y1)
    page.mouse.down()
    page.mouse.move(shown["x"] + (x1 + x2) / 2, shown["y"] + (y1 + y2) / 2, steps=4)
    page.mouse.move(shown["x"] + x2, shown["y"] + y2, steps=4)
    page.mouse.up()


def wait_for(path):
    for _ in range(600):
        if path.is_file():
            return path
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")


def test_a_box_drawn_with_the_mouse_is_saved(page, lab):
    home, address = lab
    folder = home / "notebooks" / "pictures"
    write_pictures(folder)
    write_notebook(home / "notebooks" / "draw.ipynb")
    page.set_default_timeout(120_000)
    run_all_cells(page, address, "draw.ipynb")
    output = page.locator(".jp-OutputArea-output:has(.widget-vbox)")
    picture = output.locator(".image img")
    picture.wait_for()
    status = output.locator(".widget-html")
    assert "1 of 2: a.jpg" in status.inner_text()

    draw(page, picture, (40, 50, 200, 180), SIZE)
    output.locator(".class-label", has_text="cat").click()
    draw(page, picture, (300, 230, 220, 20), SIZE)  # from the lower right
    page.mouse.click(*(picture.bounding_box()[k] + 12 for k in "xy"))  # no box
    if os.environ.get("COURSE_SCREENSHOTS"):
        page.screenshot(path=f"{os.environ['COURSE_SCREENSHOTS']}/annotate.png")
    output.get_by_role("button", name="Submit").click()
    path = wait_for(folder / "Annotations" / "a.xml")
    dog, cat = read_voc_xml(path)
    assert (dog["name"], cat["name"]) == ("dog", "cat")
    assert dog["box"] == pytest.approx((40, 50, 200, 180), abs=2)
    assert cat["box"] == pytest.approx((220, 20, 300, 230), abs=2)

    status.get_by_text("2 of 2: b.jpg. a.jpg: 2 boxes saved").wait_for()
    page.wait_for_function(
        "img => img.complete && img.naturalHeight === 320",
        arg=picture.element_handle(),
    )
    draw(page, picture, (30, 200, 130, 300), SIZE[::-1])  # upright: 240 x 320
    output.get_by_role("button", name="Submit").click()
    wait_for(folder / "Annotations" / "b.xml")
    _, record = read_labels(folder)
    assert record["size"] == SIZE[::-1] and record["objects"][0]["name"] == "cat"
    box = record["objects"][0]["box"]
    assert box == pytest.approx((30, 200, 130, 300), abs=2)

    output.get_by_role("button", name="Back").click()
    status.get_by_text("1 of 2: a.jpg").wait_for()
    assert output.locator(".image svg rect.movable").count() == 2
    assert page.locator(".jp-RenderedText[data-mime-type*='stderr']").count() == 0
