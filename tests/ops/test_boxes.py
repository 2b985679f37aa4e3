"""boxes.py against torchvision, and the rows of the known faults of boxes, IoU, NMS."""

import numpy as np
import pytest
import torch
import torchvision.ops as library
from torchvision.models.detection._utils import BoxCoder

from course_utils.evaluation.average_precision import METHODS, evaluate
from course_utils.evaluation.proposal_recall import proposal_recall
from course_utils.lessons.widgets.boxes import nms_steps
from course_utils.ops.boxes import (
    box_area,
    box_intersection,
    box_iou,
    check_boxes,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    giou,
    to_center,
    xywh_to_xyxy,
)
from course_utils.ops.matching import match_boxes
from course_utils.ops.nms import batched_nms, nms
from course_utils.proposals.selective_search import count_votes, spread_out


def random_boxes(count, generator, whole=False):
    corner = torch.rand(count, 2, generator=generator) * 100
    size = 1 + torch.rand(count, 2, generator=generator) * 50
    boxes = torch.cat([corner, corner + size], 1)
    return boxes.round() if whole else boxes


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    "ours, theirs",
    [(box_iou, library.box_iou), (giou, library.generalized_box_iou)],
)
def test_overlap_equals_torchvision(ours, theirs, generator):
    for n, m in (0, 5), (5, 0), (1, 1), (70, 40):
        a, b = random_boxes(n, generator), random_boxes(m, generator)
        assert ours(a, b).shape == (n, m)
        torch.testing.assert_close(ours(a, b), theirs(a, b), rtol=0, atol=1e-5)


def test_intersection_by_counting_pixels(generator):
    corner = torch.randint(0, 20, (12, 2), generator=generator)
    size = torch.randint(1, 15, (12, 2), generator=generator)
    boxes = torch.cat([corner, corner + size], 1)
    painted = torch.zeros(12, 40, 40)
    for pixels, (x1, y1, x2, y2) in zip(painted, boxes.tolist()):
        pixels[y1:y2, x1:x2] = 1
    want = (painted[:5, None] * painted[5:]).sum((2, 3))
    assert torch.equal(box_intersection(boxes[:5], boxes[5:]), want)


@pytest.mark.parametrize("form, ours", [("xywh", xywh_to_xyxy), ("cxcywh", to_center)])
def test_forms_equal_torchvision(form, ours, generator):
    boxes = random_boxes(20, generator)
    other = library.box_convert(boxes, "xyxy", form)
    if form == "xywh":
        torch.testing.assert_close(ours(other), boxes, rtol=0, atol=1e-4)
    else:
        torch.testing.assert_close(torch.stack(ours(boxes), 1), other)


def test_area_and_clip_equal_torchvision(generator):
    boxes = random_boxes(50, generator) - 30
    torch.testing.assert_close(box_area(boxes), library.box_area(boxes))
    clipped = clip_boxes(boxes, (40, 60))
    torch.testing.assert_close(clipped, library.clip_boxes_to_image(boxes, (40, 60)))


def test_coding_equals_torchvision_and_inverts(generator):
    boxes, anchors = random_boxes(200, generator), random_boxes(200, generator)
    stds = (0.1, 0.1, 0.2, 0.2)
    coder = BoxCoder(tuple(1 / s for s in stds))
    deltas = encode_boxes(boxes, anchors, stds)
    reference = coder.encode_single(boxes, anchors)
    torch.testing.assert_close(deltas, reference, rtol=1e-5, atol=1e-5)
    decoded = decode_boxes(deltas, anchors, stds)
    reference = coder.decode_single(deltas, anchors)
    torch.testing.assert_close(decoded, reference, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(decoded, boxes, rtol=0, atol=1e-3)


def test_decode_takes_deltas_by_class(generator):
    anchors, deltas = random_boxes(6, generator), torch.randn(6, 3, 4)
    by_class = decode_boxes(deltas, anchors[:, None])
    for k in range(3):
        assert torch.equal(by_class[:, k], decode_boxes(deltas[:, k], anchors))


def test_nms_equals_torchvision_on_500_sets(generator):
    for i in range(500):
        count = i % 60
        boxes = random_boxes(count, generator, whole=i % 2 == 0)
        scores = torch.rand(count, generator=generator)
        if i % 3 == 0 and count:  # duplicates and ties
            pick = torch.randint(count, (count,), generator=generator)
            boxes, scores = boxes[pick], (scores * 5).round()
        for threshold in 0.25, 0.5, 0.75:
            want = library.nms(boxes, scores, threshold)
            got = nms(boxes, scores, threshold)
            assert got.dtype == torch.int64
            if i % 3 == 0:  # the library leaves the order among ties open
                order = scores.argsort(descending=True, stable=True)
                want = order[
                    library.nms(boxes[order], -torch.arange(count).float(), threshold)
                ]
            assert torch.equal(got, want), (i, threshold)
            for most in 0, 1, 7, 500:
                assert torch.equal(nms(boxes, scores, threshold, most), want[:most])


def test_batched_nms_equals_torchvision(generator):
    for _ in range(100):
        boxes, scores = random_boxes(80, generator), torch.rand(80, generator=generator)
        labels = torch.randint(4, (80,), generator=generator)
        want = library.batched_nms(boxes, scores, labels, 0.4)
        assert torch.equal(batched_nms(boxes, scores, labels, 0.4), want)


@pytest.mark.parametrize(
    "box, words",
    [
        ([5, 5, 5, 9], "x2 must be > x1"),
        ([30, 30, 10, 10], "swap the corners"),
        ([5, 5, float("nan"), 29], "NaN"),
        ([5, 5, float("inf"), 29], "infinity"),
    ],
)
def test_bad_box_is_named(box, words):
    # pitfall: boxes: box without area or with swapped corners
    with pytest.raises(ValueError) as error:
        check_boxes([[0, 0, 9, 9], box], "image dog.jpg")
    assert "image dog.jpg: box 1 = " in str(error.value) and words in str(error.value)
    with pytest.raises(ValueError, match="box 0"):
        encode_boxes(torch.tensor([box]), torch.tensor([[0, 0, 9, 9]]))


def test_wrong_shape_is_named_and_empty_is_fine():
    with pytest.raises(ValueError, match=r"\(4,\).*\[\[x1, y1, x2, y2\]\]"):
        check_boxes([0, 0, 9, 9])
    for empty in ([], torch.zeros(0), torch.zeros(0, 4)):
        assert check_boxes(empty).shape == (0, 4)


def test_box_without_area_overlaps_nothing():
    # pitfall: boxes: box without area or with swapped corners
    flat = torch.tensor([[5.0, 5, 5, 9], [30, 30, 10, 10], [0, 0, 40, 40]])
    for overlap in box_iou(flat, flat), giou(flat, flat):
        assert overlap.isfinite().all()
    assert box_iou(flat, flat).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert nms(flat, torch.tensor([3.0, 2, 1]), 0.5).tolist() == [0, 1, 2]


def test_half_precision_does_not_overflow():
    # pitfall: boxes: half precision
    boxes = torch.tensor([[0, 0, 400, 400]] * 2, dtype=torch.float16)
    assert box_iou(boxes, boxes).tolist() == [[1, 1], [1, 1]]
    assert giou(boxes, boxes).tolist() == [[1, 1], [1, 1]]
    assert nms(boxes, torch.tensor([1, 0.5], dtype=torch.float16)).tolist() == [0]


def test_no_plus_one():
    # pitfall: boxes: plus one
    a, b = torch.tensor([[0, 0, 4, 4]]), torch.tensor([[2, 2, 6, 6]])
    assert box_iou(a, b).item() == pytest.approx(4 / 28)
    assert box_iou(a / 10, b / 10).item() == pytest.approx(4 / 28)  # any unit


def test_threshold_is_strict():
    # pitfall: boxes: IoU equal to the threshold
    boxes = torch.tensor([[0.0, 0, 1, 2], [0, 0, 1, 1]])  # IoU exactly 0.5
    assert nms(boxes, torch.tensor([1.0, 0.9]), 0.5).tolist() == [0, 1]
    assert nms(boxes, torch.tensor([1.0, 0.9]), 0.4999).tolist() == [0]


def exact_nms(boxes, scores, tenths):
    """NMS by its docstring, in whole numbers: no rounding anywhere."""
    rows = boxes.long().tolist()
    waiting = sorted(range(len(rows)), key=lambda i: -scores[i])
    keep = []
    while waiting:
        best, *waiting = waiting
        keep.append(best)
        a, left = rows[best], []
        for i in waiting:
            b = rows[i]
            w = max(0, min(a[2], b[2]) - max(a[0], b[0]))
            h = max(0, min(a[3], b[3]) - max(a[1], b[1]))
            areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
            if 10 * w * h <= tenths * (sum(areas) - w * h):
                left.append(i)
        waiting = left
    return keep


@pytest.mark.parametrize("tenths", range(1, 10))
def test_iou_equal_to_the_threshold_on_paper(tenths):
    # pitfall: boxes: IoU equal to the threshold
    pair = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, tenths]])
    limit = tenths / 10
    assert nms(pair, torch.tensor([0.9, 0.8]), limit).tolist() == [0, 1]
    assert nms(pair, torch.tensor([0.9, 0.8]), limit - 1e-6).tolist() == [0]
    assert nms_steps(pair, torch.tensor([0.9, 0.8]), limit) == [(0, []), (1, [])]
    match, iou = match_boxes(pair[1:], pair[:1], limit, limit)
    assert match.tolist() == [0], "at least the limit is positive"
    assert (box_iou(pair[:1], pair[1:]) > limit).tolist() == [[False]]
    votes = count_votes(pair.numpy(), np.array([0, 1]), limit)
    assert votes.tolist() == pytest.approx([1 + limit] * 2)
    order = spread_out(pair[[0, 0, 1]].numpy(), (limit, 1.0))
    assert order.tolist() == [0, 2, 1], "at most the limit comes first"
    target = {"boxes": pair[:1], "labels": torch.tensor([1])}
    target["difficult"] = torch.tensor([False])
    recall = proposal_recall([pair[1:]], [target], 9, (limit, limit + 1e-6))
    assert list(recall.values())[:2] == [1, 0]
    detected = {"boxes": pair[1:], "labels": torch.tensor([1])}
    detected |= {"scores": torch.tensor([0.9])}
    for method in METHODS:
        found = evaluate([detected], [target], ["dog"], method, (limit,))
        assert found["map"] == pytest.approx(1)


@pytest.mark.parametrize("tenths", range(1, 10))
def test_nms_keeps_to_its_docstring_where_ious_are_equal(tenths, generator):
    # pitfall: boxes: IoU equal to the threshold
    for _ in range(60):
        corner = torch.randint(0, 4, (30, 2), generator=generator)
        size = torch.randint(0, 11, (30, 2), generator=generator)
        boxes = torch.cat([corner, corner + size], 1).float()
        scores = torch.randint(0, 20, (30,), generator=generator) / 20
        want = exact_nms(boxes, scores, tenths)
        assert nms(boxes, scores, tenths / 10).tolist() == want
        steps = nms_steps(boxes, scores, tenths / 10)
        assert [best for best, _ in steps] == want


def test_nms_equals_torchvision_where_no_iou_is_the_threshold(generator):
    # pitfall: boxes: IoU equal to the threshold
    for _ in range(500):
        boxes, scores = random_boxes(40, generator), torch.rand(40, generator=generator)
        overlap = box_iou(boxes.double(), boxes.double())
        for threshold in [n / 10 for n in range(1, 10)]:
            if ((overlap - threshold).abs() > 1e-6).all():
                want = library.nms(boxes, scores, threshold)
                assert torch.equal(nms(boxes, scores, threshold), want)


@pytest.mark.parametrize("threshold", [0.1, 0.2, 0.3, 0.4, 0.6, 0.8])
def test_nms_equals_torchvision_at_the_threshold_in_one_precision(threshold):
    # pitfall: boxes: IoU equal to the threshold
    # torchvision compares the IoU in the
    # boxes' precision with a threshold of 64 bits: it agrees where both have 64.
    pair = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, round(10 * threshold)]])
    scores = torch.tensor([0.9, 0.8])
    for box_type in torch.float32, torch.float64:
        got = nms(pair.to(box_type), scores.to(box_type), threshold)
        want = library.nms(pair.double(), scores.double(), threshold)
        assert got.tolist() == want.tolist() == [0, 1]


@pytest.mark.parametrize(
    "ours, theirs",
    [(box_iou, library.box_iou), (giou, library.generalized_box_iou)],
)
def test_gradients_equal_torchvision(ours, theirs, generator):
    grads = []
    boxes = random_boxes(40, generator), random_boxes(30, generator)
    weights = torch.rand(40, 30, generator=generator)
    for function in ours, theirs:
        a, b = (part.clone().requires_grad_() for part in boxes)
        (weights * function(a, b)).sum().backward()
        grads.append(torch.cat([a.grad, b.grad]))
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("flat", [(1, 1, 5, 1), (1, 1, 1, 5), (2, 2, 2, 2)])
def test_giou_pulls_a_box_without_area_open(flat):
    # pitfall: boxes: gradient at a box without area
    truth = torch.tensor([[0.0, 0, 4, 4]])
    box = torch.tensor([flat], dtype=torch.float32, requires_grad=True)
    before = giou(box, truth)
    before.sum().backward()
    after = giou(box.detach() + 0.05 * box.grad, truth)
    assert box.grad.any() == (flat != (2, 2, 2, 2)), "a point has none"
    assert (after - before).item() == pytest.approx(
        0.05 * (box.grad**2).sum().item(), abs=0.02
    )


@pytest.mark.parametrize("function", [box_iou, giou])
@pytest.mark.parametrize(
    "flat", [(1, 1, 5, 1), (1, 1, 1, 5), (2, 2, 2, 2), (5, 5, 1, 1), (0, 0, 0, 0)]
)
def test_gradients_at_boxes_without_area_are_finite(function, flat):
    # pitfall: boxes: gradient at a box without area
    others = torch.tensor([flat, (0, 0, 4, 4), (2, 2, 2, 2)], dtype=torch.float32)
    for left, right in (others[:1], others), (others, others[:1]):
        a, b = left.clone().requires_grad_(), right.clone().requires_grad_()
        overlap = function(a, b)
        if function is box_iou:
            assert not overlap.any(), "the value stays 0"
        overlap.sum().backward()
        assert a.grad.isfinite().all() and b.grad.isfinite().all()


def test_gradients_of_coding_are_finite():
    # pitfall: boxes: gradient at a box without area
    deltas = torch.tensor([[0, 0, 125.0, 125], [0, 0, -200, -200], [0, 0, 0, 0]])
    deltas.requires_grad_()
    anchors = torch.tensor([[0.0, 0, 16, 16], [0, 0, 16, 16], [3, 3, 3, 3]])
    anchors.requires_grad_()
    decode_boxes(deltas, anchors).sum().backward()
    assert deltas.grad.isfinite().all() and anchors.grad.isfinite().all()
    boxes = torch.tensor([[0.0, 0, 1e-3, 500]], requires_grad=True)
    encode_boxes(boxes, torch.tensor([[0.0, 0, 16, 16]])).sum().backward()
    assert boxes.grad.isfinite().all()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"boxes": torch.zeros(4)}, r"boxes of shape \(4,\): give \(N, 4\)"),
        ({"boxes": torch.zeros(2, 5)}, r"boxes of shape \(2, 5\)"),
        ({"boxes": [[0, 0, 1, 1]] * 2}, "boxes: list given; give a tensor"),
        ({"scores": torch.ones(2, 1)}, r"scores of shape \(2, 1\): give \(N,\)"),
        ({"scores": torch.ones(2) * 1j}, "scores: torch.complex64 given"),
        ({"scores": torch.ones(2, device="meta")}, "on cpu, scores on meta: move one"),
        ({"labels": torch.ones(3)}, "2 boxes but 3 labels"),
        ({"labels": torch.ones(2, 1)}, r"labels of shape \(2, 1\)"),
        ({"labels": None}, "labels: NoneType given"),
        ({"labels": torch.ones(2, device="meta")}, "labels on meta"),
    ],
)
def test_bad_input_of_nms_is_one_line(change, words):
    # pitfall: boxes: bad input of NMS
    given = {"boxes": torch.tensor([[0.0, 0, 9, 9]] * 2), "scores": torch.ones(2)}
    given |= {"labels": torch.ones(2)} | change
    with pytest.raises(ValueError, match=words) as error:
        batched_nms(**given)
    assert "\n" not in str(error.value)
    if "labels" not in change:
        given.pop("labels")
        with pytest.raises(ValueError, match=words):
            nms(**given)


def test_large_finite_boxes_are_taken():
    huge = torch.tensor([[0, 0, 3e38, 3e38]] * 3)  # their sum is infinite
    assert nms(huge[:, [0, 1, 2, 3]] / 1e20, torch.ones(3)).tolist() == [0]
    assert nms(huge, torch.tensor([3e38, 2e38, 1e38])).tolist() == [0, 1, 2]


def test_ties_go_to_the_lowest_index():
    # pitfall: boxes: equal scores and input order
    same = torch.tensor([[0.0, 0, 10, 10]] * 3)
    assert nms(same, torch.ones(3), 0.5).tolist() == [0]
    labels = torch.tensor([2, 1, 2])
    assert batched_nms(same, torch.ones(3), labels, 0.5).tolist() == [0, 1]


def test_input_order_does_not_matter(generator):
    # pitfall: boxes: equal scores and input order
    pair = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 11]])
    assert nms(pair, torch.tensor([0.1, 0.9]), 0.3).tolist() == [1]
    boxes, scores = random_boxes(40, generator), torch.rand(40, generator=generator)
    kept = nms(boxes, scores, 0.3)
    shuffle = torch.randperm(40, generator=generator)
    again = shuffle[nms(boxes[shuffle], scores[shuffle], 0.3)]
    assert torch.equal(again, kept)


def test_no_box_gives_an_empty_index():
    # pitfall: boxes: no box or a NaN score
    none = torch.zeros(0, 4), torch.zeros(0)
    for got in nms(*none, 0.5), batched_nms(*none, torch.zeros(0), 0.5):
        assert got.shape == (0,) and got.dtype == torch.int64


def test_non_finite_score_or_box_is_named():
    # pitfall: boxes: no box or a NaN score
    boxes = torch.tensor([[0.0, 0, 10, 10]] * 2)
    with pytest.raises(ValueError, match=r"scores\[0\] = nan"):
        nms(boxes, torch.tensor([float("nan"), 0.9]))
    boxes[1, 2] = float("inf")
    with pytest.raises(ValueError, match=r"boxes\[1\]"):
        nms(boxes, torch.tensor([0.5, 0.9]))
    with pytest.raises(ValueError, match="2 boxes but 3 scores"):
        nms(boxes, torch.ones(3))


def test_wild_size_delta_stays_finite():
    # pitfall: anchors: wild size delta
    anchor = torch.tensor([[0.0, 0, 16, 16]])
    box = decode_boxes(torch.tensor([[0.0, 0, 125, 125]]), anchor)
    torch.testing.assert_close(box, torch.tensor([[-492.0, -492, 508, 508]]))
    assert clip_boxes(box, (50, 60)).tolist() == [[0, 0, 60, 50]]


def test_nothing_is_changed_in_place(generator):
    # pitfall: training: targets changed in place
    boxes, scores = random_boxes(9, generator), torch.rand(9, generator=generator)
    before = boxes.clone(), scores.clone()
    nms(boxes, scores), clip_boxes(boxes, (20, 20)), check_boxes(boxes)
    decode_boxes(encode_boxes(boxes, boxes + 1, (0.1,) * 4), boxes)
    assert torch.equal(boxes, before[0]) and torch.equal(scores, before[1])
