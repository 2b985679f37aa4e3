"""Intervals: the quick resampling against a plain one, and what they must say."""

import math

import numpy as np
import pytest
import torch

from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.evaluation.average_precision import evaluate
from course_utils.evaluation.intervals import (
    Interval,
    draw_images,
    interval_of,
    map_differences,
    map_intervals,
    resampled_maps,
    share_interval,
)
from course_utils.lessons.widgets.metrics import pretend_detector


def scenes(count, seed=0):
    dataset = VOCDataset(find_data("tabletop"), "val", first=count)
    targets = [dataset.target(i) for i in range(count)]
    names = dataset.classes
    return pretend_detector(targets, len(names) + 1, (180, 240), seed), targets, names


@pytest.mark.parametrize("method", ["coco", "all-point", "11-point"])
def test_resampling_equals_scoring_the_repeated_images(method):
    detections, targets, names = scenes(12)
    for i in 3, 5:  # an image without detections, an image without objects
        part = (detections, targets)[i == 5]
        part[i] = {k: v[:0] for k, v in part[i].items() if k != "image_id"}
    draws = draw_images(12, rounds=15, seed=1)
    quick = resampled_maps(detections, targets, names, draws, method)
    for r, times in enumerate(draws):
        again = np.repeat(np.arange(12), times)
        repeated = [detections[i] for i in again], [targets[i] for i in again]
        slow = evaluate(*repeated, names, method)
        assert quick["map50"][r] == pytest.approx(slow["map50"], abs=1e-12)
        assert quick["map"][r] == pytest.approx(slow["map"], abs=1e-12)


def test_each_round_draws_as_many_images_as_there_are():
    draws = draw_images(40, 500)
    assert draws.shape == (500, 40) and (draws.sum(1) == 40).all()
    assert draws.std() == pytest.approx(math.sqrt(1 - 1 / 40), abs=0.02)
    assert np.array_equal(draws, draw_images(40, 500))
    assert not np.array_equal(draws, draw_images(40, 500, seed=1))


def test_interval_holds_the_value_and_is_as_wide_as_other_images_differ():
    detections, targets, names = scenes(200)
    found = map_intervals(detections, targets, names)
    score = evaluate(detections, targets, names)
    for key in "map", "map50":
        assert found[key].value == pytest.approx(score[key], abs=1e-12)
        assert found[key].low < score[key] < found[key].high
    half = map_intervals(detections[:50], targets[:50], names)["map"]
    ratio = (half.high - half.low) / (found["map"].high - found["map"].low)
    assert 1.5 < ratio < 2.7, "a quarter of the images, about twice as wide"


def test_difference_is_narrower_than_the_two_and_turns_its_sign():
    detections, targets, names = scenes(100)
    worse = [{**d, "boxes": d["boxes"] + 1.0} for d in detections]
    ahead = map_differences(detections, worse, targets, names)["map"]
    alone = map_intervals(detections, targets, names)["map"]
    assert ahead.low > 0 and ahead.high - ahead.low < alone.high - alone.low
    back = map_differences(worse, detections, targets, names)["map"]
    assert back == pytest.approx((-ahead.value, -ahead.high, -ahead.low))
    same = map_differences(detections, detections, targets, names)["map"]
    assert same == (0, 0, 0)


def test_share_draws_whole_images():
    hits = torch.tensor([1.0, 1, 0, 1]).repeat(50)
    alone = share_interval(hits, torch.arange(200))
    assert alone.value == 0.75 and alone.low < 0.75 < alone.high
    # The deviation of a share is sqrt(p (1 - p) / n), 0.0306 here.
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * 0.0306, rel=0.1)
    alike = share_interval(hits, torch.arange(200) // 4)  # three of four in each
    assert alike == (0.75, 0.75, 0.75)
    two = share_interval([1] * 50 + [0] * 50, [0] * 50 + [7] * 50)
    assert two == (0.5, 0, 1)


def test_bad_input_and_text():
    assert str(Interval(0.5, 0.4, 0.61)) == "0.500 [0.400, 0.610]"
    assert all(map(math.isnan, interval_of(0.5, np.array([math.nan]))[1:]))
    with pytest.raises(ValueError, match="0 images, 9 rounds: give 1 or more"):
        draw_images(0, 9)
    with pytest.raises(ValueError, match="2 hits, 1 images: one each"):
        share_interval([1, 0], [3])
