"""The README's table of detectors, from made-up figures of lesson 10."""

import json

import pytest

from course_utils.lessons import readme

FIGURES = {
    "map50 R-CNN": 0.9,
    "low map50 R-CNN": 0.87,
    "high map50 R-CNN": 0.9249,
    "map R-CNN": 0.65,
    "low map R-CNN": 0.625,
    "high map R-CNN": 0.6751,
    "map50 Fast R-CNN": 0.95,
    "map Fast R-CNN": 0.7,
    "map50 Faster R-CNN": 0.951,
    "map Faster R-CNN": 0.76,
    "ms proposals R-CNN": 50.0,
    "ms regions R-CNN": 250.0,
    "ms proposals Fast R-CNN": 50.0,
    "ms backbone Fast R-CNN": 10.0,
    "ms regions Fast R-CNN": 15.0,
    "ms backbone Faster R-CNN": 15.0,
    "ms proposals Faster R-CNN": 5.0,
}


@pytest.fixture
def table(tmp_path, monkeypatch):
    path = tmp_path / "10_speed_and_accuracy.json"
    path.write_text(json.dumps(FIGURES | {"seconds": 200.0}))
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    return readme.results_table().splitlines()


def test_scores_stand_with_their_intervals(table):
    row = "| R-CNN | 0.900 [0.870, 0.925] | 0.650 [0.625, 0.675] | 300.0 |"
    assert table[2].startswith(row)
    assert table[3].startswith("| Fast R-CNN | 0.950 | 0.700 | 75.0 |")


def test_a_phase_that_a_detector_has_not_is_no_zero(table):
    assert table[2].endswith("| 300.0 | 50.0 | – | 250.0 | – |")
    assert len({line.count("|") for line in table[:5]}) == 1 and "0.0 |" not in (
        table[2].replace("50.0 |", "").replace("300.0 |", "")
    )


def test_factors_with_and_without_proposals(table):
    assert table[-3:] == [
        "- R-CNN to Fast R-CNN: 4.0 times as fast, 10.0 times with proposals left out",
        "- Fast R-CNN to Faster R-CNN: 3.8 times as fast, 1.7 times with proposals left"
        " out",
        "- R-CNN to Faster R-CNN: 15.0 times as fast, 16.7 times with proposals left"
        " out",
    ]
