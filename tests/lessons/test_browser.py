"""Lessons in real JupyterLab in headless Chromium: sliders appear, pictures move."""

import json
import os

import pytest

from tests.helpers.lab import run_all_cells

pytestmark = pytest.mark.browser

# Lessons run up to their last explorer, on few images, so that no training takes long.
EXPLORERS = {
    "00_start_here": ["five_tasks"],
    "01_boxes": ["two_boxes", "stepping_nms"],
    "02_classify_and_localize": ["training_film", "loss_weights"],
    "03_region_proposals": ["segments", "hierarchy", "proposals_that_find"],
    "04_measuring_detectors": ["walk_the_curve"],
    "05_rcnn": ["stage_viewer"],
    "06_roi_pooling": ["region_over_map"],
    "07_fast_rcnn": ["side_by_side"],
    "08_region_proposal_network": [
        "anchors_at_a_cell",
        "which_are_positive",
        "best_proposals",
    ],
    "09_faster_rcnn": ["every_stage"],
    "10_speed_and_accuracy": ["speed_and_accuracy"],
    "11_single_shot": ["what_cells_say", "one_or_two_stages"],
    "12_real_photos": ["one_or_two_stages", "every_stage"],
    "13_your_own_images": ["one_or_two_stages"],
}
FEW_IMAGES = """
from course_utils.data.datasets import VOCDataset


def only_a_few(read):
    def few(self, root, split, classes=None, first=None, ids=None):
        read(self, root, split, classes, min(first or LIMIT, LIMIT), ids)

    return few


VOCDataset.__init__ = only_a_few(VOCDataset.__init__)
"""


def called(cell, explorers):
    """Name of the explorer that a code cell ends with, or None."""
    last = "".join(cell["source"]).strip().split("\n")[-1]
    return next((name for name in explorers if f"{name}(" in last), None)


def up_to_the_last_explorer(path, explorers):
    """Cut a copied lesson down; returns (the explorers' names by cell, its file)."""
    notebook = json.loads(path.read_text())
    # Some lessons take pictures, or a mean of steps, further on than the others.
    limit = "100" if path.stem[:2] in ("00", "01", "06", "07", "12") else "40"
    text = FEW_IMAGES.replace("LIMIT", limit)
    first = {"cell_type": "code", "source": text, "metadata": {}, "id": "few"}
    kept = [first] + [c for c in notebook["cells"] if c["cell_type"] == "code"]
    for cell in kept:
        cell["outputs"], cell["execution_count"] = [], None
    where = {i: called(cell, explorers) for i, cell in enumerate(kept)}
    where = {i: name for i, name in where.items() if name}
    notebook["cells"] = kept[: max(where) + 1]
    target = path.with_name(f"{path.stem}_few.ipynb")
    target.write_text(json.dumps(notebook))
    return where, target


def move_first_slider(cell):
    """Move an explorer's first slider three steps and wait for another picture."""
    picture = cell.locator("img.widget-image").last
    before = picture.get_attribute("src")
    handle = cell.locator(".widget-vbox:has(img.widget-image) .noUi-handle").first
    handle.scroll_into_view_if_needed()
    handle.focus()
    # Some explorers open at the end of a slider.
    ends = [handle.get_attribute(f"aria-value{end}") for end in ("now", "max")]
    for _ in range(3):
        handle.press("ArrowLeft" if float(ends[0]) == float(ends[1]) else "ArrowRight")
    cell.page.wait_for_function(
        "([img, old]) => img.src !== old",
        arg=[picture.element_handle(), before],
        timeout=20_000,
    )


@pytest.mark.parametrize("lesson", EXPLORERS)
def test_first_slider_moves_the_picture(page, lab, lesson):
    home, address = lab
    path = home / "notebooks" / f"{lesson}.ipynb"
    explorers, notebook = up_to_the_last_explorer(path, EXPLORERS[lesson])
    assert set(explorers.values()) == set(EXPLORERS[lesson])
    run_all_cells(page, address, notebook.name)
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    last = cells.nth(max(explorers)).locator("img.widget-image")
    trouble = page.locator(".jp-RenderedText[data-mime-type*='stderr']")
    last.or_(trouble).first.wait_for(timeout=300_000)
    assert trouble.all_inner_texts() == []
    for number, explorer in explorers.items():
        move_first_slider(cells.nth(number))
        if folder := os.environ.get("COURSE_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/{lesson}_{explorer}_{number}.png")
    assert trouble.all_inner_texts() == []


FAILS_AT_THREE = """\
from course_utils.lessons.widgets import Explorer, empty_figure, slider

def draw(step):
    if step == 3:
        raise ValueError("no picture for 3")
    figure, (ax,) = empty_figure(400, 200)
    ax.bar(range(step + 1), 1)
    return figure

Explorer(draw, step=slider("step", 0, 5, 2))"""


def test_an_error_shows_and_marks_the_old_picture(page, lab):
    # pitfall: widgets: a handler that raises
    home, address = lab
    cell = {"cell_type": "code", "source": FAILS_AT_THREE, "metadata": {}, "id": "a"}
    cell |= {"outputs": [], "execution_count": None}
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata}
    path = home / "notebooks" / "fails.ipynb"
    path.write_text(json.dumps(notebook | {"cells": [cell]}))
    run_all_cells(page, address, path.name)
    picture, error = page.locator("img.widget-image"), page.locator(".explorer-error")
    picture.wait_for(timeout=120_000)
    handle = page.locator(".noUi-handle")
    opacity = "img => getComputedStyle(img).opacity"
    for moved, shown, dimmed in (False, 0, "1"), (True, 1, "0.35"), (True, 0, "1"):
        if moved:
            handle.press("ArrowRight")
        page.wait_for_function(
            "n => document.querySelectorAll('.explorer-error').length === n", arg=shown
        )
        assert picture.evaluate(opacity) == dimmed
        if shown:
            assert "ValueError: no picture for 3" in error.inner_text()
            assert "old picture: step = 2" in error.inner_text()
        if folder := os.environ.get("COURSE_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/fails_{shown}.png")
