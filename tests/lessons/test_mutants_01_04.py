"""Each mutant of lessons 01 to 04 has its symptom, and the right code has not."""

import numpy as np
import pytest
import torch
from torch import nn

from course_utils.data import transforms
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.evaluation import average_precision as ap
from course_utils.evaluation import predict, proposal_recall
from course_utils.lessons.mutants import lessons_01_04
from course_utils.models import backbone
from course_utils.ops import boxes, nms
from course_utils.proposals import grouping, selective_search
from course_utils.training import loop
from tests.helpers.mutants import Symptoms

SYMPTOMS = Symptoms()
symptom = SYMPTOMS.symptom
TWICE = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]])
TWO = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
LABELS = torch.tensor([1, 2])


@symptom("01.1", right=0.9, broken=0.2)
def score_of_the_kept_box():
    scores = torch.tensor([0.2, 0.9])
    return float(scores[nms.nms(TWICE, scores)][0])


@symptom("01.2", right=1, broken=0.5)
def iou_of_a_box_with_itself():
    return float(boxes.box_iou(TWICE, TWICE)[0, 0])


@symptom("01.3", right=240, broken=180)
def furthest_corner_to_the_right():
    wide = torch.tensor([[200.0, 100, 300, 300]])
    return float(boxes.clip_boxes(wide, (180, 240))[0, 2])


@symptom("01.4", right=1, broken=(0, 0.3))
def iou_of_decoded_targets():
    random = torch.Generator().manual_seed(0)
    corner = 100 * torch.rand(200, 2, generator=random)
    truth = torch.cat([corner, corner + 20 + 30 * torch.rand(200, 2)], 1)
    anchors = truth + 8 * torch.rand(200, 4, generator=random)
    stds = boxes.BOX_DELTA_STDS
    found = boxes.decode_boxes(boxes.encode_boxes(truth, anchors, stds), anchors, stds)
    return float(boxes.box_iou(found, truth).diagonal().mean())


@symptom("01.5", right=2, broken=1)
def kept_of_two_classes_in_one_place():
    return len(nms.batched_nms(TWICE, torch.tensor([0.9, 0.8]), LABELS))


@symptom("01.6", right=1, broken=0.532)
def iou_of_a_small_box_with_itself():
    small = torch.tensor([[0.0, 0, 5, 5]])
    return float(boxes.box_iou(small, small))


@symptom("02.1", right=1, broken=0)
def iou_of_mirrored_object_and_box():
    image = torch.zeros(3, 40, 60)
    image[:, 10:20, 5:25] = 1
    target = {"boxes": torch.tensor([[5.0, 10, 25, 20]]), "labels": LABELS[:1]}
    image, target = transforms.flip(image, target)
    y, x = image[0].nonzero().unbind(1)
    seen = torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1])[None]
    return float(boxes.box_iou(seen, target["boxes"]))


class Line(nn.Module):
    """Learns y = 3 x."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))

    def forward(self, images, targets):
        return {"fit": ((self.w * images[0] - targets[0]) ** 2).mean()}


@symptom("02.2", right=(0, 0.05), broken=(0.3, 99))
def loss_after_training():
    x = torch.linspace(-1, 1, 9)
    batches = [([x], [3 * x])] * 10
    model = Line()
    sgd = torch.optim.SGD(model.parameters(), 0.3)
    history = loop.fit(model, batches, 6, optimizer=sgd)
    return history[-1]["loss"]


@symptom("02.3", right=1, broken=0)
def accuracy_of_the_truth_given_from_right_to_left():
    target = {"boxes": TWO, "labels": LABELS}
    turned = {"boxes": TWO.flip(0), "labels": LABELS.flip(0)}
    return predict.localize_scores([turned], [(None, target)])[0]


@symptom("02.4", right=(0, 0.01), broken=(0.99, 1))
def rate_of_the_last_step():
    return loop.cosine_schedule(99, 100)


@symptom("02.5", right=0, broken=(0.01, 99))
def change_of_features_by_another_image():
    torch.manual_seed(0)
    net = backbone.SmallResNet((4, 8, 8)).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        return float((net(images)[:1] - net(images[:1])).abs().max())


def tabletop(count):
    data = VOCDataset(find_data("tabletop"), "val")
    return [data[i] for i in range(count)]


@symptom("03.1", right=(0.74, 1), broken=(0, 0.68))
def best_overlap_of_selective_search():
    images, targets = zip(*tabletop(8))
    all_four = {"strategies": ((1, 1, 1, 1),)}
    found = [selective_search.selective_search(i, 50, **all_four) for i in images]
    return proposal_recall.proposal_recall(found, targets, 50)["mabo"]


@symptom("03.2", right=240, broken=180)
def right_end_of_the_last_window():
    windows = selective_search.sliding_windows((180, 240), [60], [1])
    return float(windows[:, 2].max())


@symptom("03.3", right=1, broken=0)
def second_join_is_that_of_the_most_similar():
    # Region 1 has two pixels and joins region 0 first. Then 2 is nearer to 3 than to
    # the two together, if the two pixels count as two.
    color = np.array([[1, 0], [0.97, 0.03], [0.96, 0.04], [0.928, 0.072]], np.float32)
    places = np.arange(4, dtype=np.int32)
    rows = np.stack([places, 0 * places, places + 1, 0 * places + 1], 1)
    sizes = np.array([100, 2, 50, 50], np.int32)
    touching = np.zeros((4, 4), np.bool_)
    for a, b in (0, 1), (0, 2), (2, 3):
        touching[a, b] = touching[b, a] = True
    only_color = np.array([1, 0, 0, 0], np.float32)
    given = color, np.zeros_like(color), rows, sizes, touching, only_color
    joined, _ = grouping.group_regions(*given)
    assert joined[4].tolist() == [0, 0, 2, 1]
    return float(joined[5].tolist() == [2, 0, 4, 1])


@symptom("03.4", right=6, broken=5)
def width_of_a_region_that_fills_the_image():
    codes = np.zeros((8, 6, 3), np.uint8)
    labels = np.zeros((8, 6), np.int64)
    return grouping.describe_regions(labels, 1, codes, codes)[2][0, 2]


TARGET = {"boxes": TWO, "labels": LABELS, "difficult": torch.tensor([False, False])}


@symptom("03.5", right=0.5, broken=1)
def recall_of_the_first_proposal():
    return proposal_recall.proposal_recall([TWO], [TARGET], 1)[0.5]


@symptom("04.1", right=1, broken=2)
def recall_of_an_object_found_twice():
    found = {"boxes": TWICE, "labels": LABELS[[0, 0]], "scores": torch.tensor([2, 1.0])}
    scores, verdicts, objects = ap.score_class([found], [TARGET], 1, (0.5,), "coco")
    return ap.precision_recall(scores, verdicts[0], objects)[1].max()


@symptom("04.2", right=1, broken=2)
def objects_to_find_of_two_with_one_difficult():
    one_hard = {**TARGET, "labels": LABELS[[0, 0]], "difficult": LABELS > 1}
    found = {"boxes": TWO[:1], "labels": LABELS[:1], "scores": torch.ones(1)}
    return ap.evaluate([found], [one_hard], ["a"])["objects"]["a"]


@symptom("04.3", right=1, broken=0.5)
def ap_where_the_surest_is_right():
    scores, right = np.array([0.9, 0.1]), np.array([1, 0])
    curve = ap.precision_recall(scores, right, 1)
    return ap.average_precision(*curve[:2], "all-point")


@symptom("04.4", right=0.25, broken=1)
def recall_of_one_in_four():
    return ap.precision_recall(np.array([0.9]), np.array([1]), 4)[1][-1]


@pytest.mark.parametrize("name", SYMPTOMS.cases("03.1"))
def test_symptom(name, capsys):
    SYMPTOMS.hold(name, capsys)


def test_every_mutant_has_its_measure():
    assert SYMPTOMS.keys() == lessons_01_04.MUTANTS.keys()
