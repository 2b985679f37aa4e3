"""Each mutant of lessons 09 to 11 has its symptom, and the right code has not."""

import pytest
import torch
from torch import nn

from course_utils.core.timing import Timer
from course_utils.evaluation import compare, predict
from course_utils.lessons.mutants import lessons_09_11
from course_utils.models import backbone, faster_rcnn, rpn, single_shot
from course_utils.ops import anchors, boxes
from course_utils.training import four_steps
from tests.helpers.mutants import Symptoms

SYMPTOMS = Symptoms()
symptom = SYMPTOMS.symptom
IMAGE = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
TWO = torch.tensor([[4.0, 4, 24, 24], [30, 30, 60, 60]])
TARGET = {"boxes": TWO, "labels": torch.tensor([1, 2])}


def small():
    torch.manual_seed(0)
    return backbone.SmallResNet((4, 8, 8))


@symptom("09.1", right=0, broken=(1e-6, 999))
def gradient_of_the_head_s_losses_in_the_rpn():
    model = faster_rcnn.new_faster_rcnn(small(), 3, sizes=(16, 32), hidden=8).train()
    losses = model([IMAGE], [TARGET])
    (losses["class"] + losses["box"]).backward()
    grads = [p.grad for p in model.rpn.parameters()]
    return sum(float(g.norm()) for g in grads if g is not None)


@symptom("09.2", right=0, broken=(1e-4, 99))
def change_of_the_backbone_from_step_3_on():
    model = faster_rcnn.new_faster_rcnn(small(), 3, sizes=(16, 32), hidden=8)
    kept = []

    def keep(net, epoch):
        kept.append([w.detach().clone() for w in model.backbone.parameters()])

    batches = [([IMAGE], [TARGET])] * 2
    four_steps.train_in_four_steps(model, batches, 1, after_epoch=keep)
    pairs = zip(kept[1], model.backbone.parameters())
    return max(float((a - b.detach()).abs().max()) for a, b in pairs)


@symptom("09.3", right=1, broken=(0, 0.5))
def recall_of_proposals_from_perfect_deltas():
    grid = anchors.AnchorGrid((16, 32))
    net, every = rpn.RPN(8, grid).eval(), grid(8, 8)
    nearest = boxes.box_iou(every, TWO).max(0).indices
    logits, deltas = torch.full((1, len(every)), -9.0), torch.zeros(1, len(every), 4)
    logits[0, nearest] = 9
    stds = boxes.BOX_DELTA_STDS
    deltas[0, nearest] = boxes.encode_boxes(TWO, every[nearest], stds)
    found, _ = net.proposals(logits, deltas, every, [(64, 64)])[0]
    return float((boxes.box_iou(found, TWO).max(0).values > 0.9).float().mean())


class Brightness(nn.Module):
    """Finds a box as wide as its image is bright."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return [{"boxes": image.mean() * torch.ones(1, 4)} for image in images]


@symptom("10.1", right=1, broken=0)
def share_of_images_with_their_own_detections():
    images = [(torch.full((3, 8, 8), float(n)), {}) for n in range(4)]
    found = predict.predict(Brightness(), images)
    own = [float(d["boxes"][0, 0]) == n for n, d in enumerate(found)]
    return sum(own) / len(own)


@symptom("10.2", right=1, broken=0)
def fastest_and_best_is_on_the_front():
    points = {"slow": (90, 0.6), "best": (20, 0.9), "quick": (20, 0.5)}
    return float("best" in compare.pareto_front(points))


class Counted(nn.Module):
    """Each call takes one second, by its own clock."""

    def __init__(self):
        super().__init__()
        self.timer = Timer()

    def forward(self, images):
        seconds = self.timer.seconds
        seconds["regions"] = seconds.get("regions", 0) + 1
        return [{} for _ in images]


@symptom("10.3", right=1, broken=2)
def detections_of_the_best_proposal_of_two():
    scored = torch.ones(2, 1), TWO[:, None]
    model = single_shot.SingleShot(small(), 2)
    return len(compare.detections_from(scored, model, (64, 64), 1, 0.5)["boxes"])


@symptom("10.4", right=1000, broken=3000)
def milliseconds_of_a_call_that_takes_one_second():
    scenes = [(IMAGE, {})] * 5
    times = compare.phase_times({"one": Counted()}, scenes, {"one": (5,)})
    return times["one", 5]["regions"]


@symptom("11.1", right=1, broken=0)
def hardest_negative_is_taken():
    logits = torch.tensor([[0.0], [4], [-4], [-4], [-4], [-4]])
    wanted = torch.tensor([[1.0], [0], [0], [0], [0], [0]])
    return float(single_shot.hard_negative_loss(logits, wanted)[1] > 0)


@symptom("11.2", right=(1e3, 1e9), broken=(0, 1))
def loss_of_a_sure_mistake_over_that_of_a_sure_hit():
    losses = single_shot.focal_loss(torch.tensor([-4.0, 4]), torch.ones(2))
    return float(losses[0] / losses[1])


@symptom("11.3", right=(1, 9), broken=(0, 0.02))
def box_loss_of_one_positive_in_a_thousand():
    labels = torch.zeros(1000).long()
    labels[0] = 1
    every = TWO[:1].expand(1000, 4)
    given = torch.zeros(1000, 2), torch.zeros(1000, 4), every, labels, every + 3
    return float(single_shot.shot_loss(*given)["box"])


@symptom("11.4", right=0.01, broken=0.99)
def first_probability_of_an_object():
    torch.manual_seed(0)
    logits, _ = single_shot.ShotHead(8, 3, 4)(torch.zeros(1, 8, 4, 4))
    return float(logits.detach().sigmoid().mean())


@symptom("11.5", right=56, broken=28)
def center_of_the_last_large_anchor():
    model = single_shot.SingleShot(small(), 3)
    batch = torch.zeros(1, 3, 64, 64)
    x1, _, x2, _ = model.outputs(model.maps(batch))[2][-1].tolist()
    return (x1 + x2) / 2


@pytest.mark.parametrize("name", SYMPTOMS.cases())
def test_symptom(name, capsys):
    SYMPTOMS.hold(name, capsys)


def test_every_mutant_has_its_measure():
    assert SYMPTOMS.keys() == lessons_09_11.MUTANTS.keys()
