"""Scores: hand-worked cases of VOC and COCO, and pycocotools on random detections."""

import contextlib
import io
import math
import warnings

import numpy as np
import pytest
import torch

from bench.references import to_coco
from course_utils.core.timing import Timer
from course_utils.evaluation.average_precision import (
    COCO_IOUS,
    average_precision,
    evaluate,
    precision_recall,
    score_class,
)
from course_utils.evaluation.mistakes import sort_mistakes

METHODS = ("all-point", "11-point", "coco")


def objects(*boxes, labels=None, difficult=None):
    n = len(boxes)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels or [1] * n, dtype=torch.int64),
        "difficult": torch.tensor(difficult or [False] * n, dtype=torch.bool),
    }


def found(*pairs, labels=None):
    """Detections from (box, score) pairs."""
    detected = objects(*[box for box, _ in pairs], labels=labels)
    detected["scores"] = torch.tensor(
        [score for _, score in pairs], dtype=torch.float32
    )
    return detected


def place(i):
    """The i-th of many boxes that do not overlap."""
    return (20 * i, 0, 20 * i + 10, 10)


def ap50(detections, targets, method, classes=("dog",)):
    result = evaluate(detections, targets, classes, method)
    return result["ap50"][classes[0]]


@pytest.mark.parametrize(
    "total, hits, wanted",
    [
        (3, 2, (2 / 3, 7 / 11, 67 / 101)),
        (10, 3, (0.3, 4 / 11, 31 / 101)),
        # pycocotools compares 7 / 10 with linspace's 0.7000000000000001; so do we
        (10, 7, (0.7, 8 / 11, 70 / 101)),
        (1, 1, (1, 1, 1)),
    ],
)
def test_perfect_detections_of_some_objects(total, hits, wanted):
    # pitfall: evaluation: method and last recall point
    target = objects(*[place(i) for i in range(total)])
    detected = found(*[(place(i), 0.9 - 0.01 * i) for i in range(hits)])
    for method, value in zip(METHODS, wanted):
        assert ap50([detected], [target], method) == pytest.approx(value, abs=1e-9)


def test_every_tenth_of_recall_counts_in_11_points():
    for total in range(1, 60):
        for hits in range(total + 1):
            recall = np.arange(1, hits + 1) / total
            value = average_precision(np.ones(hits), recall, "11-point")
            wanted = (10 * hits // total + 1) / 11 if hits else 0
            assert value == pytest.approx(wanted)


def test_second_hit_on_an_object_is_false():
    # pitfall: evaluation: second hit on an object
    a, b = place(0), place(1)
    detected = found((a, 0.9), (a, 0.8), (b, 0.7))
    for method, value in zip(METHODS[:2], (0.83333, 0.84848)):
        got = ap50([detected], [objects(a, b)], method)
        assert got == pytest.approx(value, abs=1e-5)


def test_nothing_found_and_nothing_there():
    # pitfall: evaluation: no detections or no objects
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate([found()], [objects(place(0))], ["dog", "cat"])
        assert result["ap50"]["dog"] == 0.0 and math.isnan(result["ap50"]["cat"])
        assert result["map"] == 0.0
        detected = found((place(0), 0.9), (place(1), 0.9), labels=[1, 2])
        result = evaluate([detected], [objects(place(0))], ["dog", "cat"])
        assert result["map"] == result["map50"] == 1.0
        assert math.isnan(result["ap"]["cat"]) and result["objects"]["cat"] == 0
        assert result["detections"]["cat"] == 1, "the false alarm is reported"
        for nothing in evaluate([found()], [objects()], ["dog"]), evaluate([], [], "a"):
            assert math.isnan(nothing["map"]) and math.isnan(nothing["map50"])


@pytest.mark.parametrize("method", METHODS)
def test_difficult_objects_neither_count_nor_cost(method):
    # pitfall: evaluation: difficult objects
    a, b = place(0), place(1)
    target = objects(a, b, difficult=[False, True])
    assert ap50([found((a, 0.9))], [target], method) == 1.0
    assert ap50([found((b, 0.95), (a, 0.9))], [target], method) == 1.0
    assert ap50([found((b, 0.95), (b, 0.94), (a, 0.9))], [target], method) == 1.0


def test_voc_looks_only_at_the_nearest_object_coco_at_the_next_too():
    target = objects((0, 0, 10, 10), (2, 0, 12, 10))
    detected = found(((0, 0, 10, 10), 0.9), ((0.4, 0, 10.4, 10), 0.8))
    assert ap50([detected], [target], "all-point") == 0.5
    assert ap50([detected], [target], "coco") == 1.0


def test_coco_prefers_an_ordinary_object_to_a_nearer_difficult_one():
    for order in ([False, True], [True, False]):
        boxes = [(2, 0, 12, 10), (0, 0, 10, 10)][:: 1 if order[1] else -1]
        target = objects(*boxes, difficult=order)
        assert ap50([found(((0, 0, 10, 10), 0.9))], [target], "coco") == 1.0
        assert ap50([found(((0, 0, 10, 10), 0.9))], [target], "all-point") == 0.0


def test_iou_equal_to_the_threshold_is_right():
    detected = found(((0, 0, 10, 5), 0.9))
    assert ap50([detected], [objects((0, 0, 10, 10))], "all-point") == 1.0


def test_ties_keep_the_order_of_images_and_boxes():
    target = [objects(place(0)), objects(place(0))]
    right, wrong = found((place(0), 0.5)), found((place(3), 0.5))
    assert ap50([right, wrong], target, "all-point") == 0.5
    assert ap50([wrong, right], target, "all-point") == pytest.approx(0.25)


def test_precision_recall_by_hand():
    scores = np.array([0.2, 0.9, 0.5, 0.7])
    right = np.array([1, 1, -1, 0])
    precision, recall, order = precision_recall(scores, right, 4)
    assert precision.tolist() == pytest.approx([1, 0.5, 2 / 3])
    assert recall.tolist() == [0.25, 0.25, 0.5] and order.tolist() == [0.9, 0.7, 0.2]


def random_scene(generator, classes, images, difficult=0.0):
    """Random objects, and detections near and far from them."""
    targets, detections = [], []
    for _ in range(images):
        n = int(torch.randint(0, 7, (1,), generator=generator))
        corner = 150 * torch.rand(n, 2, generator=generator)
        size = 10 + 60 * torch.rand(n, 2, generator=generator)
        boxes = torch.cat([corner, corner + size], 1)
        labels = torch.randint(1, classes + 1, (n,), generator=generator)
        hard = torch.rand(n, generator=generator) < difficult
        targets.append({"boxes": boxes, "labels": labels, "difficult": hard})
        many = boxes.repeat(4, 1)
        moved = many + 6 * torch.randn(many.shape, generator=generator)
        moved[:, 2:] = torch.maximum(moved[:, 2:], moved[:, :2] + 1)
        other = torch.randint(1, classes + 1, (4 * n,), generator=generator)
        stay = torch.rand(4 * n, generator=generator) < 0.8
        scores = torch.rand(4 * n, generator=generator)
        scores = (scores * 20).round() / 20  # many ties
        labels = torch.where(stay, labels.repeat(4), other)
        detections.append({"boxes": moved, "labels": labels, "scores": scores})
    return detections, targets


@pytest.mark.parametrize("seed", range(8))
def test_same_ap_as_pycocotools_at_every_iou(seed):
    generator = torch.Generator().manual_seed(seed)
    classes = 1 + seed % 4
    detections, targets = random_scene(generator, classes, 40)
    precision = to_coco(detections, targets, classes).eval["precision"]
    reference = precision[:, :, :, 0, -1].mean(1)  # (T, K), over the 101 points
    names = [str(k) for k in range(classes)]
    for t, least in enumerate(COCO_IOUS):
        result = evaluate(detections, targets, names, iou_thresholds=(least,))
        ours = np.array(list(result["ap"].values()))
        assert np.abs(ours - reference[t]).max() < 1e-6
    result = evaluate(detections, targets, names)
    assert result["map"] == pytest.approx(reference.mean(), abs=1e-6)
    assert result["map50"] == pytest.approx(reference[0].mean(), abs=1e-6)


@pytest.mark.parametrize("seed", range(200))
def test_same_ap_as_pycocotools_with_crowds_ties_and_empty_pictures(seed):
    # pitfall: evaluation: crowds
    # pitfall: evaluation: order of equal scores
    generator = torch.Generator().manual_seed(1000 + seed)
    classes = 1 + seed % 3
    detections, targets = random_scene(generator, classes, 8)
    whole = seed % 2 == 0  # then many IoUs are equal, too
    for detected, target in zip(detections, targets):
        n = len(target["boxes"])
        target["iscrowd"] = torch.rand(n, generator=generator) < 0.3
        wide = torch.tensor([-15.0, -15, 25, 25]) * target["iscrowd"][:, None]
        target["boxes"] = target["boxes"] + wide
        target["difficult"] = target["iscrowd"].clone()
        if seed % 3 == 0:  # the flag of a crowd is enough
            del target["difficult"]
        for part in (detected, target) if whole else ():
            part["boxes"] = part["boxes"].round()
    for i, j in (0, 1), (2, 3):  # pictures without objects, without detections, or both
        targets[i] = {k: v[:0] for k, v in targets[i].items()}
        detections[j] = {k: v[:0] for k, v in detections[j].items()}
    detections[2] = {k: v[:0] for k, v in detections[2].items()}
    precision = to_coco(detections, targets, classes).eval["precision"]
    names = [str(k) for k in range(classes)]
    for most, limit in enumerate((1, 10, 100)):
        reference = precision[:, :, :, 0, most].mean(1)  # (T, K)
        reference[reference < 0] = math.nan  # a class without objects
        for least, wanted in zip(COCO_IOUS, reference):
            found = evaluate(
                detections,
                targets,
                names,
                iou_thresholds=(least,),
                max_detections=limit,
            )
            ours = np.array(list(found["ap"].values()))
            np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-6)
        found = evaluate(detections, targets, names, max_detections=limit)
        ours = np.array(list(found["ap"].values()))
        np.testing.assert_allclose(ours, reference.mean(0), rtol=0, atol=1e-6)


AREAS = ((0, 700), (700, 2000), (2000, math.inf), (0, math.inf))


@pytest.mark.parametrize("seed", range(20))
def test_ap_by_size_and_average_recall_as_pycocotools(seed):
    generator = torch.Generator().manual_seed(seed)
    classes = 1 + seed % 3
    detections, targets = random_scene(generator, classes, 15)
    judge = to_coco(detections, targets, classes)
    judge.params.areaRng = [[low, min(high, 1e10)] for low, high in AREAS]
    judge.params.areaRngLbl = ["small", "medium", "large", "all"]
    with contextlib.redirect_stdout(io.StringIO()):
        judge.evaluate()
        judge.accumulate()
    names = [str(k) for k in range(classes)]
    for a, areas in enumerate(AREAS):
        for m, most in enumerate((1, 10, 100)):
            ours = evaluate(
                detections, targets, names, max_detections=most, areas=areas
            )
            for key, wanted in (
                ("map", judge.eval["precision"][:, :, :, a, m]),
                ("ar", judge.eval["recall"][:, :, a, m]),
            ):
                known = wanted[wanted > -1]
                mean = known.mean() if known.size else math.nan
                assert ours[key] == pytest.approx(mean, abs=1e-6, nan_ok=True)


def test_sizes_are_told_by_hand():
    small, large = (0, 0, 10, 10), (50, 0, 90, 40)
    target = objects(small, large)
    detected = found((small, 0.9), ((0, 50, 8, 58), 0.8), (large, 0.7))
    sizes = {"small": (0, 100), "large": (100.5, math.inf)}
    scores = {
        name: evaluate([detected], [target], ["dog"], "all-point", areas=areas)
        for name, areas in sizes.items()
    }
    assert scores["small"]["map"] == 1.0, "the false alarm comes after the hit"
    assert scores["large"]["map"] == 1.0, "the small false alarm does not count"
    assert scores["large"]["objects"] == {"dog": 1}
    assert evaluate([detected], [target], ["dog"], "all-point")["map"] < 1


def test_a_crowd_takes_many_detections():
    # pitfall: evaluation: crowds
    target = objects(place(0), (100, 0, 160, 60))
    target["iscrowd"] = torch.tensor([False, True])
    inside = ((110, 10, 120, 20), 0.9), ((130, 30, 140, 40), 0.8)
    detected = found(*inside, (place(0), 0.7))
    assert ap50([detected], [target], "coco") == 1.0
    # VOC knows no crowds: the two overlap the difficult object too little
    for method, value in ("all-point", 1 / 3), ("11-point", 1 / 3):
        assert ap50([detected], [target], method) == pytest.approx(value)
    whole = found(((100, 0, 160, 60), 0.9), ((100, 0, 160, 59), 0.8), (place(0), 0.7))
    for method in METHODS:
        assert ap50([whole], [target], method) == 1.0
    mistakes = sort_mistakes(whole, target)
    assert (mistakes["right"], mistakes["missed"]) == ([2], [])
    assert not mistakes["twice"] + mistakes["place"] + mistakes["background"]


@pytest.mark.parametrize("method", METHODS)
def test_flags_may_be_missing(method):
    target = objects(place(0), place(1))
    bare = {k: target[k] for k in ("boxes", "labels")}
    detected = found((place(0), 0.9))
    wanted = evaluate([detected], [target], ["dog"], method)
    assert evaluate([detected], [bare], ["dog"], method) == wanted
    assert sort_mistakes(detected, bare)["missed"] == [1]


@pytest.mark.parametrize("method", METHODS)
def test_equal_scores_as_a_group(method):
    # pitfall: evaluation: order of equal scores
    hit, miss, target = (place(0), 0.9), (place(5), 0.9), objects(place(0))
    for order in [hit, miss], [miss, hit]:
        result = evaluate([found(*order)], [target], ["dog"], method, ties="group")
        assert result["ap"]["dog"] == pytest.approx(0.5)
    first, last = (
        ap50([found(*o)], [target], method) for o in ([hit, miss], [miss, hit])
    )
    assert (first, last) == (1.0, 0.5), "in the order given"
    with pytest.raises(ValueError, match="ties 'best': choose one of order, group"):
        evaluate([found(hit)], [target], ["dog"], method, ties="best")


@pytest.mark.parametrize("method", METHODS)
def test_no_order_matters_for_a_group(method):
    # pitfall: evaluation: order of equal scores
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        detections, targets = random_scene(generator, 2, 10, 0.2)
        for part in detections + targets:
            part["boxes"] = part["boxes"].round()
        scores = []
        for _ in range(3):
            result = evaluate(detections, targets, ["a", "b"], method, ties="group")
            scores.append(list(result["ap"].values()))
            order = torch.randperm(10, generator=generator).tolist()
            for parts in detections, targets:
                parts[:] = [parts[i] for i in order]
                for i, part in enumerate(parts):
                    rows = torch.randperm(len(part["boxes"]), generator=generator)
                    parts[i] = {k: v[rows] for k, v in part.items()}
        np.testing.assert_allclose(scores[1:], [scores[0]] * 2, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "corners",  # of two objects and two detections, all 10 x 10
    [
        [(1, 4), (3, 1), (1, 2), (0, 6)],
        [(3, 6), (5, 2), (3, 7), (4, 4)],
        [(5, 4), (5, 0), (5, 2), (3, 1)],
    ],
)
def test_equal_scores_that_compete_for_objects(method, corners):
    # pitfall: evaluation: order of equal scores
    boxes, seen = [(x, y, x + 10, y + 10) for x, y in corners], set()
    for true in boxes[:2], boxes[1::-1]:
        for seem in boxes[2:], boxes[:1:-1]:
            detected, target = found(*[(box, 0.9) for box in seem]), objects(*true)
            given = [detected], [target], ["dog"], method, (0.5,)
            seen.add(evaluate(*given, ties="group")["map"])
    assert len(seen) == 1


def test_a_group_without_ties_changes_nothing():
    detections, targets = random_scene(torch.Generator().manual_seed(2), 2, 20, 0.2)
    for detected in detections:
        detected["scores"] = torch.rand(len(detected["scores"]))
    for method in METHODS:
        given = detections, targets, ["a", "b"], method
        assert evaluate(*given, ties="group") == evaluate(*given)


def test_most_detections_of_an_image():
    # pitfall: evaluation: most detections of an image
    box = place(0)
    detected = found(*[(place(9), 0.9)] * 120, (box, 0.5))
    given = [detected], [objects(box)], ["dog"]
    assert ap50([detected], [objects(box)], "coco") == 0.0
    for method in "all-point", "11-point":
        assert ap50([detected], [objects(box)], method) == pytest.approx(1 / 121)
        assert evaluate(*given, method, max_detections=120)["map"] == 0.0
    assert evaluate(*given, max_detections=121)["map"] == pytest.approx(1 / 121)
    assert evaluate(*given, max_detections=7)["detections"] == {"dog": 7}
    for wrong in 0, -1:
        with pytest.raises(ValueError, match=f"max_detections = {wrong}: give 1"):
            evaluate(*given, max_detections=wrong)


def test_nothing_given_is_changed():
    # pitfall: training: targets changed in place
    detections, targets = random_scene(torch.Generator().manual_seed(1), 2, 5, 0.3)
    before = [{k: v.clone() for k, v in d.items()} for d in detections + targets]
    evaluate(detections, targets, ["a", "b"])
    for old, new in zip(before, detections + targets):
        assert all(torch.equal(old[k], new[k]) for k in old)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"scores": torch.tensor([math.nan])}, "NaN or infinite"),
        ({"labels": torch.tensor([3])}, r"not all in 1..2"),
        ({"labels": torch.tensor([0])}, "0 is the background"),
        ({"scores": torch.zeros(2)}, r"number \[1, 1, 2\]"),
        ({"scores": torch.zeros(1, 1)}, r"scores have shape \(1, 1\), not \(N,\)"),
        ({"scores": ["high"]}, "scores are <U4, they must be numbers"),
        ({"scores": torch.ones(1, device="meta")}, "scores are no tensor of numbers"),
        ({"boxes": torch.zeros(4)}, r"boxes have shape \(4,\), not \(N, 4\)"),
        ({"boxes": torch.zeros(1, 5)}, r"boxes have shape \(1, 5\)"),
        ({"boxes": [[0, 1], [2]]}, "boxes are no tensor of numbers"),
        ({"boxes": torch.ones(1, 4) * 1j}, "boxes are complex64, they must be"),
        ({"labels": torch.tensor([1.0])}, "labels are float32, they must be whole"),
        ({"labels": torch.tensor([True])}, "labels are bool, they must be whole"),
    ],
)
def test_bad_answers_are_named(change, words):
    # pitfall: evaluation: bad input
    detected = found((place(0), 0.9)) | change
    target = objects(place(0)) | {"image_id": "000007"}
    with pytest.raises(ValueError, match=words) as error:
        evaluate([detected], [target], ["dog", "cat"])
    assert "000007" in str(error.value) and "\n" not in str(error.value)


def test_bad_targets_and_missing_keys_are_named():
    # pitfall: evaluation: bad input
    detected, target = found((place(0), 0.9)), objects(place(0))
    for change, words in (
        (
            {"difficult": torch.tensor([0.5])},
            "difficult are float32, they must be True",
        ),
        ({"iscrowd": torch.zeros(2, dtype=torch.bool)}, r"number \[1, 1, 1, 2\]"),
        ({"labels": torch.tensor([2])}, "not all in 1..1"),
    ):
        with pytest.raises(ValueError, match=rf"target 0 \(image 0\): .*{words}"):
            evaluate([detected], [target | change], ["dog"])
    with pytest.raises(ValueError, match=r"detections 0 \(image 0\): has no scores"):
        evaluate([objects(place(0))], [target], ["dog"])


def test_arrays_lists_and_half_precision_are_scored():
    # pitfall: evaluation: bad input
    detected, target = found((place(0), 0.5)), objects(place(0))
    for form in (
        lambda v: v.numpy(),
        lambda v: v.tolist(),
        lambda v: v.bfloat16() if v.is_floating_point() else v,
        lambda v: v.clone().requires_grad_() if v.is_floating_point() else v.int(),
    ):
        other = {key: form(value) for key, value in detected.items()}
        assert evaluate([other], [target], ["dog"])["map"] == pytest.approx(1)


def test_numbers_of_images_and_unknown_methods():
    with pytest.raises(ValueError, match="2 detections for 1 images"):
        evaluate([found(), found()], [objects()], ["dog"])
    with pytest.raises(ValueError, match="choose one of coco"):
        evaluate([found((place(0), 1))], [objects(place(0))], ["dog"], "voc")


def test_score_class_gives_one_verdict_for_each_iou():
    detected = found(((0, 0, 10, 6), 0.5), ((0, 0, 10, 10), 0.4))
    scores, verdicts, total = score_class(
        [detected], [objects((0, 0, 10, 10))], 1, (0.5, 0.75), "coco"
    )
    assert scores.tolist() == pytest.approx([0.5, 0.4]) and total == 1
    assert verdicts.tolist() == [[1, 0], [0, 1]]


def test_timer_adds_up_phases_even_after_an_error():
    timer = Timer()
    for _ in range(2):
        with timer("a"):
            pass
    with contextlib.suppress(KeyError), timer("b"):
        raise KeyError
    assert set(timer.seconds) == {"a", "b"} and timer.seconds["a"] > 0
