"""Lesson 10's explorer: the Pareto plot by hand, and whose number the slider moves."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from course_utils.lessons.widgets import compare
from tests.helpers.explorers import at_all_settings

POINTS = {"slow": (200, 0.9), "quick": (20, 0.8), "beaten": (50, 0.7)}


def test_labels_are_moved_apart_and_no_further():
    assert compare.label_heights([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    far = [0.9, 0.1, 0.5]
    assert compare.label_heights(far, 0.1) == pytest.approx(far)
    assert compare.label_heights([], 0.1).tolist() == []
    heights = np.random.default_rng(0).random(7)
    places = compare.label_heights(heights, 0.2)
    order = np.argsort(heights)
    assert (np.argsort(places) == order).all()
    assert (np.diff(places[order]) > 0.2 - 1e-9).all()


def test_the_front_is_a_staircase_over_a_logarithmic_time():
    spans = {name: (score - 0.05, score + 0.05) for name, (_, score) in POINTS.items()}
    ax = compare.draw_pareto(POINTS, Figure().subplots(), (0.5, 1), spans)
    front, *bars = ax.lines
    assert ax.get_xscale() == "log" and front.get_drawstyle() == "steps-post"
    x, y = front.get_data()
    assert list(y) == [0.5, 0.8, 0.9, 0.9] and list(x[:3]) == [20, 20, 200]
    assert x[3] > 200, "what is slower is not better"
    assert [list(bar.get_ydata()) for bar in bars] == [list(s) for s in spans.values()]
    assert {text.get_text() for text in ax.texts} == POINTS.keys()
    assert ax.get_legend() is None, "the names stand at the points"


def test_a_detector_without_proposals_keeps_its_number(monkeypatch):
    asked = []

    def note(scored, model, size, num_proposals, nms_iou):
        asked.append(num_proposals)
        return {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(),
                "scores": torch.zeros(0)}  # fmt: skip

    monkeypatch.setattr(compare, "detections_from", note)
    explorer = at_all_settings()
    explorer.set(count=9)
    assert asked == [5, 5, 30, 9, 9, 30]
