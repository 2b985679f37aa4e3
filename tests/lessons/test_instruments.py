"""Instruments show what is there, and no fault of the package reaches them."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from course_utils.lessons import instruments
from course_utils.lessons.mutants import mystery
from course_utils.training import loop


@pytest.fixture(autouse=True)
def tidy():
    yield
    mystery.give_back()
    plt.close("all")


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.rand(()))

    def forward(self, images, targets):
        return {"fit": ((self.w * images[0] - targets[0]) ** 2).mean()}


def train():
    x, model = torch.rand(9), Line()
    sgd = torch.optim.SGD(model.parameters(), 0.3)
    return loop.fit(model, [([x], [3 * x])] * 30, 1, optimizer=sgd)


def test_loss_curves_run_both_from_one_seed_and_leave_the_numbers_alone():
    state = torch.get_rng_state()
    right, now = instruments.loss_curves(train).lines
    assert right.get_label() == "the course's own" and now.get_label() == "now"
    assert list(right.get_ydata()) == list(now.get_ydata())
    assert torch.equal(torch.get_rng_state(), state)
    mystery("02.2")
    right_again, now = instruments.loss_curves(train, "fit").lines
    assert list(right_again.get_ydata()) == list(right.get_ydata())
    assert now.get_ydata()[-1] > 10 * right.get_ydata()[-1]
    assert mystery.name == "02.2"


def test_smoothed():
    assert instruments.smoothed([4, 2, 0], 2)[1] == [4, 3, 1]


class Two:
    classes = ["cup", "book"]

    def __len__(self):
        return 2

    def __getitem__(self, i):
        box = torch.rand(1, 4) + torch.tensor([2, 2, 9, 9])
        target = {"boxes": box, "labels": torch.tensor([i + 1])}
        return torch.rand(3, 12, 16), target


def test_targets_are_drawn_with_their_names():
    axes = instruments.targets_on_pictures(Two(), count=8)
    assert [ax.texts[0].get_text() for ax in axes] == ["cup", "book"]
    assert all(len(ax.collections) == 1 for ax in axes)


def test_samples_by_label():
    labels = [torch.tensor([0, 0, 2]), torch.tensor([-1])]
    ax = instruments.samples_by_label(labels, ["cup", "book"])
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["ignored", "background", "book"]
    assert [bar.get_width() for bar in ax.patches] == [1, 2, 1]
    assert ax.get_xscale() == "linear"
    many = torch.zeros(50).long()
    many[0] = 1
    assert instruments.samples_by_label(many).get_xscale() == "log"
    instruments.samples_by_label(many[:0])


def test_recall_is_measured_without_the_package():
    objects = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    found, targets = [objects[:1] + 1, objects[:0]], [{"boxes": objects}] * 2
    right = list(instruments.recall_at_ious(found, targets).lines[0].get_ydata())
    assert right[0] == 0.25 and right[-1] == 0  # IoU 81 / 119
    mystery("01.2")
    ax = instruments.recall_at_ious({"a": found, "b": [objects] * 2}, targets)
    assert list(ax.lines[0].get_ydata()) == right
    assert set(ax.lines[1].get_ydata()) == {1}


def test_gradient_norms_name_what_gets_none():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    net[1].requires_grad_(False)
    net[0].weight.grad = torch.ones(2, 2)
    loss = net[1](net[0](torch.ones(1, 2))).sum()
    ax = instruments.gradient_norms(net, loss, depth=1)
    assert [bar.get_width() > 0 for bar in ax.patches] == [True, False, False]
    assert [text.get_text() for text in ax.texts] == ["no gradient"] * 2
    assert net[0].weight.grad.sum() == 4
    loss.backward()  # the graph is still there
