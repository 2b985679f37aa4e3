"""Each mutant of lessons 05 to 08 has its symptom, and the right code has not."""

import numpy as np
import pytest
import torch

from course_utils.lessons.mutants import lessons_05_08
from course_utils.models import backbone, fast_rcnn, rcnn, rpn
from course_utils.ops import anchors, boxes, matching, postprocess, roi
from course_utils.training import svm
from tests.helpers.mutants import Symptoms

SYMPTOMS = Symptoms()
symptom = SYMPTOMS.symptom
TWO = torch.tensor([[0.0, 0, 20, 20], [40, 40, 60, 60]])
LABELS = torch.tensor([1, 2])


@symptom("05.1", right=(0, 3), broken=(10, 999))
def false_alarms_of_an_svm():
    random = np.random.default_rng(0)
    objects = random.normal((2, 0), 0.1, (50, 2))
    hard = random.normal((2, 3), 0.1, (20, 2))  # too few for the first, random sample
    near = random.normal((-0.5, 0), 0.1, (500, 2))  # right, by less than the margin
    easy = random.normal((-3, 0), 0.1, (3000, 2))
    rows = np.concatenate([objects, hard, near, easy]).astype(np.float32)
    positive, negative = np.arange(50), np.arange(50, len(rows))
    given = {"most": 40, "cost": 1.0, "rounds": 3}
    weight, bias, _ = svm.train_svm(rows, positive, negative, **given)
    values = rcnn.decision_function(rows, weight, bias)[:, 0]
    return int((values[50:] > 0).sum())


@symptom("05.2", right=1, broken=(0, 0.7))
def brightness_of_the_crop_of_a_bright_object():
    image = torch.zeros(3, 40, 80)
    image[:, 10:30, 20:40] = 1
    box = torch.tensor([[20.0, 10, 40, 30]])
    return float(rcnn.warp_regions(image, box, 16, context=0)[..., 2:-2, 2:-2].mean())


@symptom("05.3", right=2, broken=1)
def label_of_a_sure_box():
    scores = torch.tensor([[0.1, 0.9]])
    given = scores, TWO[:1, None].expand(1, 2, 4), (64, 64), 0.5
    return int(postprocess.postprocess_detections(*given)["labels"])


@symptom("06.1", right=1, broken=0)
def feature_of_a_bright_region():
    features = torch.zeros(1, 1, 8, 8)
    features[..., 5:, 5:] = 1
    region = [torch.tensor([[48.0, 48, 60, 60]])]
    return float(roi.roi_align(features, region, 1, 1 / 8))


@symptom("06.2", right=4, broken=4.5)
def place_of_a_region_s_middle():
    ramp = (torch.arange(8.0) + 0.5).expand(1, 1, 8, 8)  # its own x, in cells
    return float(roi.roi_align(ramp, [torch.tensor([[2.0, 2, 6, 6]])], 1))


@symptom("06.3", right=1, broken=0)
def largest_value_in_the_last_cell():
    features = torch.zeros(1, 1, 8, 8)
    features[..., 5, 5] = 1
    return float(roi.roi_pool(features, [torch.tensor([[2.0, 2, 5, 5]])], 1))


SOME = torch.tensor([1] * 100 + [0] * 900)


@symptom("07.1", right=0.25, broken=1)
def share_of_positives_in_a_sample():
    return float((SOME[matching.sample_balanced(SOME, 64)] > 0).float().mean())


@symptom("07.2", right=(0.1, 99), broken=0)
def gradient_of_the_own_class_s_deltas():
    deltas = torch.zeros(1, 2, 4, requires_grad=True)
    losses = fast_rcnn.head_loss(
        torch.zeros(1, 3), deltas, TWO[:1] + 3, LABELS[:1], TWO[:1]
    )
    losses["box"].backward()
    return float(deltas.grad[0, 0].norm())


@symptom("07.3", right=1, broken=(0, 0.8))
def iou_of_boxes_from_perfect_deltas():
    regions = TWO + torch.tensor([4.0, 0, 4, 0])
    deltas = boxes.encode_boxes(TWO, regions, boxes.BOX_DELTA_STDS)
    found = fast_rcnn.score_boxes(torch.zeros(2, 2), deltas[:, None], regions)[1]
    return float(boxes.box_iou(found[:, 0], TWO).diagonal().mean())


@symptom("07.4", right=(0.99, 1), broken=(0, 0.26))
def score_of_one_of_four_equal_regions():
    logits = torch.tensor([[-5.0, 5, -5]] * 4)
    scores, _ = fast_rcnn.score_boxes(logits, torch.zeros(4, 2, 4), TWO[[0, 0, 0, 0]])
    return float(scores[0, 0])


@symptom("07.5", right=1, broken=0)
def share_of_right_labels():
    found, _ = matching.assign_targets(TWO, {"boxes": TWO, "labels": LABELS})
    return float((found == LABELS).float().mean())


@symptom("07.6", right=(1e-3, 999), broken=0)
def gradient_norm_of_the_last_block():
    torch.manual_seed(0)
    net = backbone.freeze(backbone.SmallResNet((4, 8, 8)))
    loss = torch.ones((), requires_grad=True) * net(torch.rand(1, 3, 32, 32)).sum()
    loss.backward()
    grads = [p.grad for p in net.layers[4].parameters()]
    return sum(float(g.norm()) for g in grads if g is not None)


@symptom("08.1", right=2, broken=0.5)
def height_over_width_of_ratio_2():
    x1, y1, x2, y2 = anchors.AnchorGrid((16,), (2.0,))(1, 1)[0].tolist()
    return (y2 - y1) / (x2 - x1)


@symptom("08.2", right=4, broken=0)
def center_of_the_first_anchor():
    x1, _, x2, _ = anchors.AnchorGrid((16,), (1.0,))(3, 3)[0].tolist()
    return (x1 + x2) / 2


@symptom("08.3", right=0, broken=1)
def anchors_of_half_an_object_that_are_background():
    half = torch.tensor([[0.0, 0, 20, 10]])
    match, _ = matching.match_boxes(half, TWO, positive=0.7, negative=0.3)
    return int((match == -1).sum())


@symptom("08.4", right=128, broken=928)
def boxes_in_a_sample_of_128():
    few = torch.where(torch.arange(1000) < 28, 1, 0)
    few[900 + 28 :] = -1
    return len(matching.sample_balanced(few, 128, 0.5))


@symptom("08.5", right=0.693, broken=88.723)
def objectness_loss_of_128_undecided_anchors():
    near = TWO[:1].expand(128, 4)
    labels, none = torch.zeros(128).long(), torch.zeros(128)
    given = none, torch.zeros(128, 4), near, labels, near
    return float(rpn.rpn_loss(*given)["rpn_object"])


@symptom("08.6", right=1, broken=0)
def share_of_deltas_at_their_cell():
    head = rpn.RPNHead(1, 1)
    for layer in head.children():
        torch.nn.init.zeros_(layer.weight)
    head.conv.weight.data[..., 1, 1] = head.objectness.weight.data[:] = 1
    head.deltas.weight.data[:] = 1
    features = torch.zeros(1, 1, 4, 6)
    features[..., 1, 4] = 1  # row 1, column 4
    logits, deltas = head(features)
    return float(deltas[0, logits[0].argmax()].gt(0).float().mean())


@pytest.mark.parametrize("name", SYMPTOMS.cases())
def test_symptom(name, capsys):
    SYMPTOMS.hold(name, capsys)


def test_every_mutant_has_its_measure():
    assert SYMPTOMS.keys() == lessons_05_08.MUTANTS.keys()
