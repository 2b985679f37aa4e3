"""A class shown method by method: a changed method is the package's."""

import pytest
import torch

from course_utils.lessons import live
from course_utils.lessons.notebooks import source_of
from course_utils.models import faster_rcnn, rpn
from course_utils.models.backbone import SmallResNet
from tests.helpers.kernel import live_kernel

METHOD = "course_utils.models.fast_rcnn.FastRCNN.propose"
CELL = source_of(METHOD)
NAMES = """import torch
from torch import Tensor
from course_utils.lessons import live
from course_utils.models.backbone import SmallResNet
from course_utils.models.fast_rcnn import FastRCNN
from course_utils.models.faster_rcnn import FasterRCNN, new_faster_rcnn
from course_utils.models.rpn import RPN
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.matching import assign_targets, sample_balanced
from course_utils.ops.targets import Detections, Target
from course_utils.models.rpn import RPNHead, rpn_loss
from course_utils.proposals.selective_search import selective_search
"""


@pytest.fixture
def kernel():
    with live_kernel() as kernel:
        kernel.run(NAMES)
        yield kernel


def model():
    torch.manual_seed(0)
    return faster_rcnn.new_faster_rcnn(SmallResNet((4, 8, 8)), 3, hidden=8)


def test_a_cell_of_a_method_is_the_packages_text():
    first, second, *_ = CELL.split("\n")
    assert first == "@live.part_of(FastRCNN)" and second == "def propose("
    for wrong in "FastRCNN.nothing", "NoClass.propose":
        with pytest.raises(ValueError, match="no such name"):
            source_of(f"course_utils.models.fast_rcnn.{wrong}")


def test_an_unchanged_method_changes_nothing(kernel):
    before = vars(rpn.RPN)["losses"]
    assert kernel.run(source_of("course_utils.models.rpn.RPN.losses")) == ""
    assert vars(rpn.RPN)["losses"] is before and live.changed() == []
    assert "losses" not in kernel.names


def test_a_changed_method_is_felt_by_what_exists_and_undone(kernel):
    before, detector = vars(rpn.RPN)["losses"], model().train()
    own = source_of("course_utils.models.rpn.RPN.losses")
    changed = own + " | {'mine': 1}"
    assert kernel.run(changed) == (
        "`RPN.losses` is yours from now on; restart the kernel for the course's own."
    )
    target = {"boxes": torch.tensor([[4.0, 4, 30, 30]]), "labels": torch.tensor([1])}
    assert detector([torch.rand(3, 64, 64)], [target])["mine"] == 1
    assert kernel.run(changed) == "" and live.changed() == ["RPN.losses"]
    with live.paused():
        assert vars(rpn.RPN)["losses"] is before
    assert "mine" in detector([torch.rand(3, 64, 64)], [target])
    assert kernel.run("live.restore('RPN.losses')") == (
        "`RPN.losses` is the course's own again."
    )
    assert vars(rpn.RPN)["losses"] is before and live.changed() == []
    kernel.run(changed)
    assert "own again" in kernel.run(own)
    assert vars(rpn.RPN)["losses"] is before


def test_a_changed_constructor_may_call_super(kernel):
    before = vars(rpn.RPN)["__init__"]
    cell = source_of("course_utils.models.rpn.RPN.__init__")
    assert "super().__init__()" in cell
    kernel.run(cell + "\n    self.mine = 5")
    assert model().rpn.mine == 5
    live.restore()
    assert vars(rpn.RPN)["__init__"] is before and not hasattr(model().rpn, "mine")


def test_what_is_no_method_gets_a_line(kernel):
    text = kernel.run("@live.part_of(RPN)\ndef nothing(self):\n    pass")
    assert "the package's RPN has no `nothing`" in text
    kernel.run("class Own:\n    pass")
    text = kernel.run("@live.part_of(Own)\ndef losses(self):\n    pass")
    assert "`Own` is no class of the package" in text
    with pytest.raises(TypeError, match="give the class"):
        live.part_of("RPN")
