"""Every row of `make bench` computes something, on both of its sides."""

import pytest
import torch

from bench import roi_layer, rows, sliders
from course_utils.data.catalog import find_data
from course_utils.data.datasets import Scenes, VOCDataset

SIDES = [name for name in dir(rows) if name.startswith("bench_")]


@pytest.mark.slow
@pytest.mark.parametrize("name", SIDES)
def test_both_sides_of_each_bench_row_run(name, monkeypatch):
    names = []

    def once(name, ours, reference, runs=1):
        ours(), reference()
        names.append(name)
        return 1.0

    monkeypatch.setattr(rows, "compare", once)
    getattr(rows, name)()
    assert names


def test_intervals_of_a_difference_leave_0_out_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(roi_layer, "ROUNDS", 5)
    scenes = Scenes(VOCDataset(find_data("tabletop"), "val", first=6))
    right = [t | {"scores": torch.ones(len(t["labels"]))} for t in scenes.targets]
    shifted = [t | {"boxes": t["boxes"] + 4} for t in right]
    same = roi_layer.intervals(right, right, scenes)
    assert same == {"map50": [0, 0], "map": [0, 0]}
    assert roi_layer.intervals(right, shifted, scenes)["map"][0] > 0


@pytest.mark.slow
def test_every_explorer_of_the_slider_bench_is_made():
    for name, make in sliders.explorers().items():
        assert make() is not None, name
