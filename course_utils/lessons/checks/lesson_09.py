"""Checks of the exercises of lesson 09."""

import copy
import random

import torch
from torch import nn

from course_utils.lessons import live
from course_utils.lessons.checks import as_tensor, close, exercise, written
from course_utils.lessons.checks.written import same
from course_utils.ops.boxes import decode_boxes


@exercise("09.1 stop the gradient")
def stop_the_gradient(function):
    cases = []
    for count in (1, 0, 7, 3):
        corners = torch.rand(count, 2) * 50
        anchors = torch.cat([corners, corners + 5 + torch.rand(count, 2) * 30], 1)
        cases.append((torch.randn(count, 4) * 0.3 * (count > 1), anchors))
    with live.paused():
        wanted = [decode_boxes(*case) for case in cases]
    for (deltas, anchors), want in zip(cases, wanted):
        count = len(deltas)
        deltas.requires_grad_()
        before = deltas.detach().clone()
        got = function(deltas, anchors.clone())
        if got is None:
            return "your function returns None: is the `return` missing?"
        carries = torch.is_tensor(got) and got.requires_grad
        got = as_tensor(got)
        if count and got.squeeze().shape != want.squeeze().shape:
            return f"for {count} anchors return {count} boxes, a tensor ({count}, 4)"
        if count == 1 and not same(got, anchors):
            return "deltas of 0 leave the anchor where it is: use decode_boxes"
        if not same(got, want):
            return "the boxes are wrong: use decode_boxes(deltas, anchors)"
        if carries:
            return "the boxes still carry a gradient: detach them"
        loss = (deltas * 2).sum()
        if not loss.requires_grad:
            return "the deltas lost their gradient: their own loss still needs it"
        if not torch.equal(deltas.detach(), before):
            return "the given `deltas` were changed; work on a copy"
        loss.backward()
        if not close(deltas.grad, torch.full_like(before, 2)):
            return "the deltas' gradient is another one than that of their own loss"


LOSSES = ("rpn_object", "rpn_box", "class", "box")


def total(*names, weigh=lambda loss: loss):
    """A wrong answer: the sum of some losses."""
    return lambda losses: sum(weigh(losses[name]) for name in names)


written(
    "09.2 all four losses",
    lambda losses: sum(float(v) for v in losses.values()),
    lambda: ({name: torch.rand(()) * random.choice((1, 5)) for name in LOSSES},),
    edges={
        "the losses 1, 2, 4 and 8": (
            {k: torch.tensor(v) for k, v in zip(LOSSES, (1.0, 2.0, 4.0, 8.0))},
        ),
        "an RPN without losses": (
            {k: torch.tensor(v) for k, v in zip(LOSSES, (0.0, 0.0, 0.5, 0.25))},
        ),
        "four losses of 0": ({k: torch.tensor(0.0) for k in LOSSES},),
    },
    mistakes=[
        (total("class", "box"), "the RPN's two losses are missing"),
        (total("rpn_object", "rpn_box"), "the head's two losses are missing"),
        (lambda losses: sum(losses.values()) / 4, "the sum, not the mean"),
        (total("rpn_object", "class"), "the two losses of the boxes are missing"),
        (total("rpn_box", "box"), "the two losses of the classes are missing"),
        (lambda losses: max(losses.values()), "all four count, not only the largest"),
        (total("rpn_object", "rpn_box", "class"), "the loss of the head's boxes is"
         " missing"),
        (total(*LOSSES, weigh=lambda loss: loss**2), "add them as they are, not their"
         " squares"),
        (lambda losses: list(losses.values()), "one number is minimised: add them up"),
        (lambda losses: losses["rpn_object"] * losses["rpn_box"] * losses["class"]
         * losses["box"], "add them; a product would be 0 as soon as one of them is"),
    ],
)  # fmt: skip


@exercise("09.3 freeze the backbone")
def freeze_the_backbone(function):
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5)
    )
    images = torch.rand(4, 2, 7, 9)
    with torch.no_grad():
        net(images * 3)  # batch statistics that are not the initial ones
        want = copy.deepcopy(net).eval()(images)
    frozen = function(net)
    if frozen is None:
        return "your function returns None: is the `return` missing?"
    if not callable(frozen):
        return f"return a network; yours is a {type(frozen).__name__}"
    if not torch.is_grad_enabled():
        return "only the backbone is to be frozen; yours stops all gradients"
    out = frozen(images)
    if not torch.is_tensor(out) or out.shape != want.shape:
        return "the network must give the same feature map as before"
    if out.requires_grad:
        return "its weights still ask for gradients: requires_grad_(False)"
    if not close(out.detach(), want, 1e-5):
        return "in a forward pass it must use the batch statistics it has: eval()"
    frozen.train()  # what model.train() does to each part of a detector
    for _ in range(2):
        out = frozen(images * 5)
    if out.requires_grad:
        return "after the detector's train() its weights ask for gradients again"
    if not close(frozen(images).detach(), want, 1e-5):
        return (
            "the detector's train() thaws the batch statistics: its train() must not"
            " reach them, as in backbone.Frozen"
        )
