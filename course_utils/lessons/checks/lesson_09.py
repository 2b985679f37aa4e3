"""Checks of the exercises of lesson 09."""

import random

import torch

from course_utils.lessons import live
from course_utils.lessons.checks import as_tensor, close, exercise, written
from course_utils.lessons.checks.written import same
from course_utils.ops.boxes import clip_boxes, decode_boxes


def regions(deltas, anchors, gt_boxes, size, clip=True, drop=True, join=True):
    """The right regions, or without a part those of a wrong answer."""
    boxes = decode_boxes(deltas.detach(), anchors)
    boxes = clip_boxes(boxes, size) if clip else boxes
    if drop:
        boxes = boxes[(boxes[:, 2:] - boxes[:, :2] >= 1).all(1)]
    return torch.cat([boxes, gt_boxes]) if join else boxes


def some_boxes(count, size):
    corners = torch.rand(count, 2) * torch.tensor([size[1], size[0]])
    return torch.cat([corners, corners + 5 + torch.rand(count, 2) * 30], 1)


def what_is_wrong(got, given):
    """The sentence for regions that are not the right ones."""
    if same(got, regions(*given, join=False)):
        return "the ground-truth boxes join the proposals: add them at the end"
    if same(got, regions(*given, drop=False)):
        return "drop proposals with less than one pixel of width or height"
    if same(got, regions(*given, clip=False)):
        return "clip the proposals to the image, size is (height, width)"
    if same(got, regions(*given, clip=False, drop=False)):
        return "clip the proposals to the image, and drop those without area"
    moved, anchors, gt_boxes, size = given
    if same(got, regions(torch.zeros_like(moved), anchors, gt_boxes, size)):
        return "these are the anchors: move them, by decode_boxes(deltas, anchors)"
    if same(got, torch.cat([gt_boxes, regions(*given, join=False)])):
        return "the proposals come first, the ground-truth boxes last"
    return "the boxes are wrong: decode_boxes(deltas, anchors), then clip and drop"


@exercise("09.1 stop the gradient")
def stop_the_gradient(function):
    cases = []
    for count, objects in (6, 2), (1, 1), (0, 3), (7, 0), (9, 4):
        size = random.randint(50, 70), random.randint(90, 140)
        deltas = torch.randn(count, 4) * 0.3
        if count > 5:  # one beyond the border, one too thin
            deltas[1, 0], deltas[2, 2] = 30, -8
        cases.append((deltas, some_boxes(count, size), some_boxes(objects, size), size))
    with live.paused():
        wanted = [regions(*given) for given in cases]
    for given, want in zip(cases, wanted):
        deltas, anchors, gt_boxes, size = given
        asked = deltas.clone().requires_grad_()
        got = function(asked, anchors.clone(), gt_boxes.clone(), size)
        if got is None:
            return "your function returns None: is the `return` missing?"
        carries = torch.is_tensor(got) and got.requires_grad
        got = as_tensor(got)
        if not same(got, want):
            with live.paused():
                return what_is_wrong(got, given)
        if carries:
            return "the boxes still carry a gradient: detach them"
        loss = (asked * 2).sum()
        if not loss.requires_grad:
            return "the deltas lost their gradient: their own loss still needs it"
        if not torch.equal(asked.detach(), deltas):
            return "the given `deltas` were changed; work on a copy"
        loss.backward()
        if not close(asked.grad, torch.full_like(deltas, 2)):
            return "the deltas' gradient is another one than that of their own loss"


PARTS = {1: ("backbone", "rpn"), 2: ("backbone", "head"), 3: ("rpn",), 4: ("head",)}
NAMES = (
    *("backbone.layers.0.weight", "backbone.layers.4.conv1.weight", "backbone.bias"),
    *("rpn.head.conv.weight", "rpn.head.deltas.bias", "rpn.head.objectness.weight"),
    *("head.fc1.weight", "head.logits.bias", "head.deltas.weight"),
)


def learning_weights(step, names):
    return [name for name in names if name.split(".")[0] in PARTS[step]]


def by_parts(parts, belongs=lambda name, part: name.split(".")[0] == part):
    """A wrong answer: other parts learn, or names are told apart in another way."""
    return lambda step, names: [
        name for name in names if any(belongs(name, part) for part in parts[step])
    ]


def everything():
    return dict.fromkeys(PARTS, ("backbone", "rpn", "head"))


written(
    "09.2 what learns in each step",
    learning_weights,
    lambda: (random.randint(1, 4), random.sample(NAMES, random.randint(1, len(NAMES)))),
    edges={f"step {step} and all weights": (step, list(NAMES)) for step in PARTS}
    | {"step 3 and no weights": (3, []), "step 4 and an RPN": (4, list(NAMES[3:6]))},
    mistakes=[
        (by_parts(everything()), "all parts at once is joint training: in each step"
         " only one of RPN and head learns"),
        (by_parts(PARTS | {3: PARTS[1], 4: PARTS[2]}), "from step 3 on the backbone"
         " is frozen: both parts have to fit the one they share"),
        (by_parts(PARTS | {4: PARTS[2]}), "the backbone is frozen in step 4 too: the"
         " RPN of step 3 was trained on it"),
        (by_parts(PARTS | {3: PARTS[1]}), "the backbone is frozen in step 3: the head"
         " of step 2 was trained on it"),
        (by_parts(PARTS | {1: ("rpn",), 2: ("head",)}), "in steps 1 and 2 each network"
         " trains a backbone of its own"),
        (by_parts({1: PARTS[2], 2: PARTS[1], 3: PARTS[4], 4: PARTS[3]}), "the RPN comes"
         " first: the head needs its proposals"),
        (by_parts(PARTS | {3: PARTS[4], 4: PARTS[3]}), "in step 3 the RPN learns, in"
         " step 4 the head"),
        (by_parts(PARTS, lambda name, part: part in name), "`rpn.head.…` belongs to"
         " the RPN: look at the first part of the name"),
        (lambda step, names: sorted({*names} - {*learning_weights(step, names)}),
         "these are the weights that stand still"),
        (lambda step, names: list(PARTS[step]), "return the names of the weights, not"
         " of the parts"),
        (lambda *given: [n for n in learning_weights(*given) if "weight" in n],
         "biases learn too"),
    ],
)  # fmt: skip

COUNTS = (10, 20, 50, 100, 300)  # that the question asks about


@exercise("09.4 decide the number of proposals")
def decide_the_number(answer):
    value = as_tensor(answer)
    if value.numel() != 1 or float(value) not in COUNTS:
        return f"give one of {', '.join(map(str, COUNTS))}"
    if float(value) < 50:
        return (
            "it costs more than 0.005 of mAP on val: measure it, and that with 300"
            " proposals"
        )
    if float(value) > 50:
        return "a smaller number loses less than 0.005 of mAP on val, and saves time"
