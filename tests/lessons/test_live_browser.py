"""A learner turns a line of NMS round in JupyterLab: explorer and detector follow."""

import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.lessons.notebooks import source_of
from tests.helpers.lab import run_all_cells

pytestmark = pytest.mark.browser

SETUP = """
import course_utils
import numpy as np
import torch
from course_utils.core.compiled import njit
from course_utils.core.settings import REPOSITORY
from course_utils.core.weights import load_weights
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.lessons import live
from course_utils.lessons.widgets.boxes import stepping_nms
from course_utils.models.backbone import SmallResNet
from course_utils.models.faster_rcnn import new_faster_rcnn

live.on()
data = VOCDataset(find_data("tabletop"), "test", first=3)
image, target = data[2]
torch.manual_seed(0)
truth = target["boxes"]
boxes = truth.repeat_interleave(5, 0) + 4 * torch.randn(5 * len(truth), 4)
scores = torch.rand(len(boxes))
model = new_faster_rcnn(SmallResNet(), len(data.classes) + 1).eval()
load_weights(model, REPOSITORY / "data/weights/faster_rcnn.safetensors")
""".strip()
NMS = source_of("course_utils.ops.nms.greedy_nms")
TURNED = NMS.replace("not iou > iou_threshold", "not iou < iou_threshold")
EXPLORE = "stepping_nms(image, boxes, scores, truth)"
DETECT = 'print(len(model([image])[0]["boxes"]), "detections")'
CELLS = (SETUP, NMS, EXPLORE, DETECT, "live.restore()")


def run_cell(page, cell, text=None):
    """Type `text` into a cell, if given, and run it; returns what it printed."""
    editor = cell.locator(".cm-content")
    editor.click()
    if text:
        page.keyboard.press("Control+A")
        page.keyboard.insert_text(text)
    # Its number, as in [5], goes while it runs.
    number = cell.locator(".jp-InputArea-prompt").first
    before = number.inner_text()
    page.keyboard.press("Control+Enter")
    page.wait_for_function(
        "([prompt, old]) => /\\d/.test(prompt.innerText) && prompt.innerText != old",
        arg=[number.element_handle(), before],
        timeout=120_000,
    )
    page.wait_for_timeout(500)
    return "\n".join(cell.locator(".jp-OutputArea-output pre").all_inner_texts())


def moved_picture(page, cell, key):
    """The explorer's picture, as pixels, after a key on its first slider."""
    picture = cell.locator("img.widget-image")
    before = picture.get_attribute("src")
    cell.locator(".noUi-handle").first.focus()
    page.keyboard.press(key)
    page.wait_for_function(
        "([img, old]) => img.src !== old",
        arg=[picture.element_handle(), before],
        timeout=20_000,
    )
    page.wait_for_timeout(500)
    return picture.screenshot()


def test_a_changed_line_of_nms_is_felt_everywhere_and_undone(page, lab):
    home, address = lab
    assert TURNED != NMS
    notebook = new_notebook(cells=[new_code_cell(text) for text in CELLS])
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["kernelspec"] = kernel
    nbformat.write(notebook, home / "notebooks" / "changed.ipynb")
    run_all_cells(page, address, "changed.ipynb")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    _, nms, explorer, detect, restore = (cells.nth(i) for i in range(len(CELLS)))
    explorer.locator("img.widget-image").wait_for(timeout=120_000)
    right_count = run_cell(page, detect)
    right = moved_picture(page, explorer, "ArrowRight")

    said = run_cell(page, nms, TURNED)
    assert "`greedy_nms` is yours from now on" in said
    assert "detections" in right_count and run_cell(page, detect) != right_count
    moved_picture(page, explorer, "ArrowLeft")
    differs = moved_picture(page, explorer, "ArrowRight") != right
    assert differs, "the explorer draws the same picture as before"
    if folder := os.environ.get("COURSE_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/changed_nms.png")

    assert "`greedy_nms` is the course's own again" in run_cell(page, restore)
    assert run_cell(page, detect) == right_count
    moved_picture(page, explorer, "ArrowLeft")
    again = moved_picture(page, explorer, "ArrowRight")
    for _ in range(20):  # on a busy machine the last picture may come late
        if again != right:
            page.wait_for_timeout(500)
            again = explorer.locator("img.widget-image").screenshot()
    same = again == right  # pytest would compare two pictures byte by byte
    assert same, "the explorer draws another picture than before"
