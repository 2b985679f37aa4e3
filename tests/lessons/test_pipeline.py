"""The picture of a pipeline shows what really goes through the detector."""

import matplotlib.pyplot as plt
import pytest
import torch

from course_utils.lessons.pipeline import PARTS, pipeline, pipeline_steps
from course_utils.models.backbone import SmallResNet
from course_utils.models.fast_rcnn import FastRCNN, RegionHead
from course_utils.models.faster_rcnn import new_faster_rcnn
from course_utils.models.rcnn import RCNN, RegionNet
from course_utils.models.single_shot import SingleShot

IMAGE = torch.rand(3, 64, 96)
CLASSES = ["a", "b"]


def small():
    torch.manual_seed(0)
    return SmallResNet((4, 8, 16))


DETECTORS = {
    "R-CNN": lambda: RCNN(RegionNet(small(), 3), 3, num_proposals=20),
    "Fast": lambda: FastRCNN(small(), RegionHead(16, 3, 7, 8), num_proposals=20),
    "Faster": lambda: new_faster_rcnn(small(), 3, hidden=8),
    "single": lambda: SingleShot(small(), 3, num_proposals=20),
}
SHAPES = {
    "R-CNN": {"warped crops": (3, 72, 72), "features": (144,), "SVM scores": (2,)},
    "Fast": {
        "feature map": (8, 12),
        "pooled regions": (16, 7, 7),
        "box deltas": (2, 4),
    },
    "Faster": {"feature map": (8, 12), "proposals": (4,), "class logits": (3,)},
    "single": {"best anchors": (4,), "probabilities": (2,)},
}


@pytest.mark.parametrize("name", DETECTORS)
def test_panels_have_the_shapes_of_what_goes_through(name):
    model = DETECTORS[name]().eval()
    before, names = model([IMAGE])[0], set(vars(model))
    shown = {
        title: tuple(shape) for title, shape, _ in pipeline_steps(model, IMAGE, CLASSES)
    }
    assert list(shown)[0] == "image" and list(shown)[-1] == "detections"
    assert shown["detections"] == tuple(before["boxes"].shape)
    for title, end in SHAPES[name].items():
        assert shown[title][-len(end) :] == end, title
    figure = pipeline(model, IMAGE, CLASSES)
    assert [ax for ax in figure.axes if ax.get_title()], "titles"
    plt.close(figure)
    # Nothing of the recording stays.
    assert set(vars(model)) == names
    assert not any(
        model.get_submodule(p)._forward_hooks for p in PARTS if has(model, p)
    )
    after = model([IMAGE])[0]
    assert all(torch.equal(before[key], after[key]) for key in before)


def has(model, part):
    return part in dict(model.named_modules())
