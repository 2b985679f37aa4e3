"""Checks and live cells: a reference never runs on what a learner has changed."""

import gc

import pytest
import torch

from course_utils.lessons import checks, live
from course_utils.lessons.checks.written import Written
from course_utils.lessons.notebooks import source_of
from course_utils.models import fast_rcnn, faster_rcnn, photo_detector
from course_utils.ops import boxes, matching, nms
from course_utils.proposals import segmentation
from tests.helpers.kernel import live_kernel

BROKEN = "def box_iou(a, b):\n    return torch.zeros(len(a), len(b)) + 0.7"
IOU = "paused.1 IoU"
COUNT = "paused.2 how many overlap"
A = torch.tensor([[0.0, 0, 10, 10], [0, 0, 4, 6]])
PICTURE = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
B = torch.tensor([[0.0, 0, 10, 5], [50, 50, 60, 61]])


@pytest.fixture
def kernel():
    with live_kernel() as kernel:
        kernel.run("import torch")
        yield kernel


@pytest.fixture
def exercises(monkeypatch):
    """Two exercises: the course's `box_iou` is in reference, inputs and `accept`."""
    monkeypatch.setattr(checks, "CHECKS", {})

    def draw():
        a, b = torch.rand(3, 4) * 9, torch.rand(2, 4) * 9
        a[:, 2:] += a[:, :2]
        b[:, 2:] += b[:, :2]
        assert boxes.box_iou(a, a).diagonal().allclose(torch.ones(3)), "inputs, too"
        return a, b

    def accept(got, want, a, b):
        assert boxes.box_iou(a, a)[0, 0] == 1
        return torch.equal(torch.as_tensor(got), want)

    checks.written(IOU, lambda a, b: boxes.box_iou(a, b), draw, edges={"two": (A, B)})
    checks.written(
        COUNT,
        lambda a, b: (matching.box_iou(a, b) > 0.1).sum(),
        draw,
        edges={"two": (A, B)},
        mistakes=[
            (lambda a, b: (boxes.box_iou(a, b) > 0.6).sum(), "the limit is 0.1"),
            (lambda a, b: torch.tensor(len(a) * len(b)), "all pairs"),
        ],
        accept=accept,
    )


def by_hand(a, b):
    low = torch.maximum(a[:, None, :2], b[:, :2])
    size = (torch.minimum(a[:, None, 2:], b[:, 2:]) - low).clamp(min=0)
    both = size.prod(2)
    area = [(v[:, 2:] - v[:, :2]).prod(1) for v in (a, b)]
    return both / (area[0][:, None] + area[1] - both)


def test_within_package_and_kernel_are_the_courses_own(kernel):
    course = boxes.box_iou
    kernel.run(BROKEN)
    theirs = boxes.box_iou
    with live.paused():
        assert boxes.box_iou is matching.box_iou is course
        assert kernel.names["box_iou"] is course and live.changed() == []
        assert nms.nms(A, torch.tensor([0.5, 0.9]), 0.3).tolist() == [1, 0]
    assert live.changed() == ["box_iou"]
    assert boxes.box_iou is matching.box_iou is kernel.names["box_iou"] is theirs
    assert boxes.box_iou is not course
    live.restore()
    assert boxes.box_iou is course


def test_afterwards_all_changes_are_back_also_of_compiled_code_and_constants(kernel):
    source = source_of("course_utils.ops.boxes.box_area")
    kernel.run("from torch import Tensor")
    kernel.run("from course_utils.models.fast_rcnn import BOX_DELTA_STDS")
    kernel.run("BOX_DELTA_STDS = (1, 1, 1, 1)")
    kernel.run(BROKEN)
    kernel.run(source.replace("return", "return 2 *"))
    kernel.run("def overlap_one_box(*args):\n    return 0.25")
    before = live.changed()
    for _ in range(2):
        with live.paused():
            assert boxes.box_area(A[:1]).item() == 100
        assert live.changed() == before
    assert boxes.box_area(A[:1]).item() == 200
    assert boxes.box_iou(A, B)[0, 0].item() == pytest.approx(0.7)


def test_afterwards_the_learners_are_back_after_an_error_and_when_nested(kernel):
    kernel.run(BROKEN)
    with pytest.raises(KeyError), live.paused():
        raise KeyError
    assert live.changed() == ["box_iou"]
    with live.paused(), live.paused():
        assert boxes.box_iou(A, A)[0, 0] == 1
    assert boxes.box_iou(A, A)[0, 0] != 1
    with live.paused():
        pass
    assert kernel.run(BROKEN) == "", "the same definition is no news"


def test_without_live_cells_nothing_happens():
    assert live.LIVE is None
    with live.paused():
        assert boxes.box_iou(A, A)[0, 0] == 1


def test_a_broken_box_iou_changes_nothing_that_a_check_accepts(kernel, exercises):
    def judged(answer, name):
        verdict = checks.judge(name, answer)
        kernel.run(BROKEN)
        assert live.changed() == ["box_iou"]
        now = checks.judge(name, answer)
        live.restore()
        return verdict, now

    def count(a, b):
        return (by_hand(a, b) > 0.1).sum()

    right = (True, "right")
    assert judged(by_hand, IOU) == (right, right)
    assert judged(count, COUNT) == (right, right)
    verdict, now = judged(lambda a, b: torch.zeros(len(a), len(b)) + 0.7, IOU)
    assert not verdict[0] and not now[0]
    verdict, now = judged(lambda a, b: (by_hand(a, b) > 0.6).sum(), COUNT)
    assert verdict == (False, "the limit is 0.1") and now[1].startswith(verdict[1])


def test_the_answer_itself_uses_what_is_the_learners_and_hears_so(kernel, exercises):
    kernel.run("from course_utils.ops.boxes import box_iou")
    kernel.run("def answer(a, b):\n    return box_iou(a, b)")
    answer = kernel.names["answer"]
    assert checks.judge(IOU, answer) == (True, "right")
    kernel.run(BROKEN)
    right, sentence = checks.judge(IOU, answer)
    assert not right and "(in use here: your own box_iou; see live.restore)" in sentence
    live.restore()
    assert checks.judge(IOU, answer) == (True, "right")


def test_a_broken_to_center_changes_no_check_of_a_lesson(kernel):
    name = "09.1 stop the gradient"
    before = boxes.decode_boxes(torch.zeros(1, 4), A[:1])

    def answer(deltas, anchors, gt_boxes, size):
        low, sides = anchors[:, :2], anchors[:, 2:] - anchors[:, :2]
        moved = deltas.detach()
        middle = low + sides / 2 + moved[:, :2] * sides
        sides = sides * moved[:, 2:].exp()
        found = torch.cat([middle - sides / 2, middle + sides / 2], 1)
        found = boxes.clip_boxes(found, size)
        real = (found[:, 2:] - found[:, :2] >= 1).all(1)
        return torch.cat([found[real], gt_boxes])

    kernel.run("from torch import Tensor")
    kernel.run("def to_center(boxes):\n    return (boxes * 0).unbind(-1)")
    assert boxes.decode_boxes(torch.zeros(1, 4), A[:1]).tolist() != before.tolist()
    assert checks.judge(name, answer) == (True, "right")
    assert checks.judge(name, lambda *given: given[1] * 0)[0] is False


def test_a_check_leaves_no_copies_of_the_learners_code(kernel, exercises):
    kernel.run(BROKEN)

    def copies():
        gc.collect()
        names = [getattr(o, "__name__", "") for o in gc.get_objects() if callable(o)]
        return names.count("box_iou")

    checks.judge(IOU, by_hand)
    before = copies()
    for _ in range(3):
        checks.judge(IOU, by_hand)
    assert copies() == before


def test_written_checks_call_the_reference_within_the_pause(kernel):
    seen = []
    check = Written(
        lambda x: seen.append(live.changed()) or x, lambda: (1,), {"one": (1,)}
    )
    kernel.run(BROKEN)
    assert check(lambda x: seen.append(live.changed()) or x) is None
    assert seen.count(["box_iou"]) == check.rounds + 1 == seen.count([])


def test_a_changed_class_its_subclasses_and_objects_are_back(kernel):
    course = fast_rcnn.RegionHead
    kernel.run("from course_utils.models.fast_rcnn import RegionHead")
    kernel.run("class RegionHead(RegionHead):\n    more = 1")
    theirs, mine = fast_rcnn.RegionHead, photo_detector.PhotoHead(8, 3, hidden=8)
    with live.paused():
        assert fast_rcnn.RegionHead is faster_rcnn.RegionHead is course
        assert photo_detector.PhotoHead.__mro__[1] is course
        assert not hasattr(mine, "more")
    assert fast_rcnn.RegionHead is faster_rcnn.RegionHead is theirs
    assert photo_detector.PhotoHead.__mro__[1:3] == (theirs, course)
    assert mine.more == 1


@pytest.mark.slow
def test_compiled_code_within_compiled_code_is_back(kernel):
    def pieces():
        return int(segmentation.felzenszwalb(PICTURE, min_size=1).max()) + 1

    kernel.run("import numpy as np")
    kernel.run("from course_utils.core.compiled import njit")
    before = pieces()
    kernel.run("@njit\ndef find_root(parent, i):\n    return i % 7")
    inner = pieces()
    kernel.run("def join_pixels(*args):\n    return np.arange(400)")
    assert pieces() == 400
    with live.paused():
        assert pieces() == before
    assert pieces() == 400 and live.changed() == ["find_root", "join_pixels"]
    live.restore("join_pixels")
    assert pieces() == inner != before
    live.restore("find_root")
    assert pieces() == before


def test_a_change_that_cannot_be_given_back_loses_no_other(kernel, monkeypatch):
    kernel.run(BROKEN)
    kernel.run("def nms(*args):\n    return 7")
    give_back = live.LIVE.give_back

    def fails(change, **how):
        if change.name == "nms":
            raise TypeError("no way back")
        return give_back(change, **how)

    monkeypatch.setattr(live.LIVE, "give_back", fails)
    with pytest.raises(TypeError, match="no way back"), live.paused():
        pass
    monkeypatch.undo()
    assert sorted(live.changed()) == ["box_iou", "nms"]
    assert boxes.box_iou(A, A)[0, 0] != 1 and nms.nms(1) == 7
