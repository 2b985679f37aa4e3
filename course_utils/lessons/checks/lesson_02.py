"""Checks of the exercises of lesson 02."""

import torch
import torch.nn.functional as F

from course_utils.lessons.checks import NotAttempted, exercise, written
from course_utils.ops.boxes import box_iou


def multi_task_loss(logits, numbers, labels, boxes, size, weight):
    height, width = size
    there = labels > 0
    wanted = boxes / torch.tensor([width, height, width, height])
    error = F.smooth_l1_loss(numbers[there], wanted[there], reduction="sum")
    box_loss = error / (4 * max(1, int(there.sum())))
    return F.cross_entropy(logits, labels) + weight * box_loss


def loss_inputs(count=None, empty=False):
    count = count or int(torch.randint(2, 7, ()))
    size = tuple(torch.randint(40, 300, (2,)).tolist())
    corner = 30 * torch.rand(count, 2)
    boxes = torch.cat([corner, corner + 2 + 60 * torch.rand(count, 2)], 1)
    labels = torch.randint(0, 4, (count,)) * (not empty)
    if not empty:
        labels[0], labels[-1] = 0, 2  # one without an object, one with
    weight = float(0.5 + 3 * torch.rand(()))
    return torch.randn(count, 4), torch.randn(count, 4), labels, boxes, size, weight


def changed_loss(swap=False, scale=True, all_boxes=False, per=None, mean=None):
    """The loss with one thing done wrong."""

    def loss(logits, numbers, labels, boxes, size, weight):
        height, width = size[::-1] if swap else size
        there = torch.ones_like(labels) > 0 if all_boxes else labels > 0
        sides = torch.tensor([width, height, width, height]).float()
        wanted = (boxes / sides if scale else boxes)[there]
        error = F.smooth_l1_loss(numbers[there], wanted, reduction=mean or "sum")
        if mean is None:
            error = error / (len(labels) if per == "all" else max(1, int(there.sum())))
            error = error if per == "sum" else error / 4
        return F.cross_entropy(logits, labels) + weight * error

    return loss


def other_weight(logits, numbers, labels, boxes, size, weight):
    return multi_task_loss(logits, numbers, labels, boxes, size, 1.0)


def weight_on_the_class(logits, numbers, labels, boxes, size, weight):
    right = multi_task_loss(logits, numbers, labels, boxes, size, weight)
    return right / weight + (weight - 1 / weight) * F.cross_entropy(logits, labels)


def labels_from_one(logits, numbers, labels, boxes, size, weight):
    there = labels > 0
    box = multi_task_loss(logits, numbers, labels, boxes, size, weight)
    box = box - F.cross_entropy(logits, labels)
    return F.cross_entropy(logits[there], labels[there] - 1) + box


written(
    "02.1 multi-task loss",
    multi_task_loss,
    loss_inputs,
    edges={"no object anywhere": loss_inputs(3, empty=True)},
    mistakes=[
        (
            changed_loss(all_boxes=True),
            "a picture without an object has no box: only rows with a label above 0"
            " count in the box loss",
        ),
        (
            changed_loss(swap=True),
            "width and height are swapped: x goes with the width, and size is (height,"
            " width)",
        ),
        (
            changed_loss(scale=False),
            "the boxes are in pixels, the network's numbers are shares of the size:"
            " divide x by the width and y by the height",
        ),
        (
            changed_loss(mean="mean"),
            "with no object at all the mean of nothing is NaN; the box loss is then 0",
        ),
        (
            changed_loss(per="all"),
            "the box loss is a mean over the pictures with an object, not over all",
        ),
        (
            changed_loss(per="sum"),
            "take the mean over the four numbers of a box, not their sum",
        ),
        (other_weight, "`weight` is not used: it multiplies the box loss"),
        (weight_on_the_class, "`weight` belongs to the box loss, not to the class"),
        (
            labels_from_one,
            "the class loss counts every picture, and here label 0, no object, is a"
            " class of its own",
        ),
    ],
)


def order(boxes):
    return (boxes[:, 0] + boxes[:, 2]).argsort(stable=True)


def localization_accuracy(boxes, labels, true_boxes, true_labels, threshold):
    mine, true = order(boxes), order(true_boxes)
    overlap = box_iou(boxes[mine], true_boxes[true]).diagonal()
    right = (overlap >= threshold) & (labels[mine] == true_labels[true])
    return right.float().mean().item()


def accuracy_inputs():
    count = int(torch.randint(2, 6, ()))
    corner = torch.stack([40 * torch.randperm(count), torch.randint(50, (count,))], 1)
    true = torch.cat([corner, corner + torch.randint(12, 70, (count, 2))], 1).float()
    shift = torch.randint(-9, 10, (count, 4)) * (torch.rand(count, 1) < 0.6)
    boxes = true + shift
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    labels = torch.randint(1, 4, (count,))
    if torch.rand(()) < 0.4:  # two detections on one object
        boxes[0], labels[0] = true[1] + 1, labels[1]
    given = torch.where(torch.rand(count) < 0.7, labels, labels % 3 + 1)
    turn = torch.randperm(count)
    threshold = (0.5, 0.6, 0.75)[int(torch.randint(3, ()))]
    return boxes[turn], given[turn], true, labels, threshold


def changed_accuracy(sort="both", strict=False, either=False, box_only=False, edge=0):
    """The accuracy with one thing done wrong."""

    def accuracy(boxes, labels, true_boxes, true_labels, threshold):
        key = (lambda b: b[:, 0].argsort(stable=True)) if edge else order
        mine, true = key(boxes), key(true_boxes)
        if sort == "none":
            mine = true = torch.arange(len(boxes))
        overlap = box_iou(boxes[mine], true_boxes[true]).diagonal()
        good = overlap > threshold if strict else overlap >= threshold
        same = labels[mine] == true_labels[true]
        if sort == "boxes":
            same = labels == true_labels
        right = good if box_only else good | same if either else good & same
        return right.float().mean().item()

    return accuracy


def best_partner(boxes, labels, true_boxes, true_labels, threshold):
    overlap, best = box_iou(boxes, true_boxes).max(1)
    right = (overlap >= threshold) & (labels == true_labels[best])
    return right.float().mean().item()


def count_of_right(*args):
    return localization_accuracy(*args) * len(args[0])


BOX = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
HALF = torch.tensor([[0.0, 0, 10, 5], [20, 0, 30, 4]])
# by left edges the first box comes first, by centers the second
NESTED = torch.tensor([[0.0, 0, 50, 9], [5, 0, 9, 9]])
TWO = torch.tensor([1, 2])
written(
    "02.2 localization accuracy",
    localization_accuracy,
    accuracy_inputs,
    edges={
        "an IoU equal to the threshold": (HALF, TWO, BOX, TWO, 0.5),
        "detections in another order": (BOX.flip(0), TWO.flip(0), BOX, TWO, 0.5),
        "a wide box around a small one": (
            torch.tensor([[6.0, 0, 50, 9], [5, 0, 9, 9]]),
            TWO,
            NESTED,
            TWO,
            0.5,
        ),
        "two detections on one object": (
            torch.tensor([[21.0, 0, 31, 10], [22, 0, 32, 10]]),
            TWO.flip(0),
            BOX,
            TWO,
            0.5,
        ),
    },
    mistakes=[
        (changed_accuracy(strict=True), "an IoU equal to the threshold counts: use >="),
        (
            changed_accuracy(sort="none"),
            "pair them from left to right: sort detections and objects by their"
            " centers' x first",
        ),
        (
            changed_accuracy(sort="boxes"),
            "the labels must be sorted along with their boxes",
        ),
        (changed_accuracy(edge=1), "sort by the center, not by the left edge"),
        (
            changed_accuracy(either=True),
            "label and box must both be right",
        ),
        (changed_accuracy(box_only=True), "the label must be right, too"),
        (
            best_partner,
            "that pairs each box with the object it overlaps most; here the pairs go"
            " from left to right",
        ),
        (count_of_right, "that is a count; divide by the number of objects"),
    ],
)


def first_good(curve, margin=0.01):
    """Number of epochs, from 1, of the first value within `margin` of the best."""
    return next(n for n, v in enumerate(curve, 1) if v >= max(curve) - margin)


@exercise("02.4 how many epochs")
def how_many_epochs(answer):
    form = "answer with (curve, epochs): the IoU after each epoch, and your choice"
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        return form
    if answer[0] is None or answer[0] is ... or answer[1] in (None, ...):
        raise NotAttempted
    try:
        curve, epochs = [float(v) for v in answer[0]], int(answer[1])
    except (TypeError, ValueError):
        return form
    if len(curve) < 8:
        return f"a curve of {len(curve)} epochs is too short: measure at least 8"
    if not all(0 <= v <= 1 for v in curve):
        return "a mean IoU lies between 0 and 1; record localize_scores(...)[1]"
    if max(curve) - min(curve) < 0.02:
        return "that curve is flat: is it recorded anew after each epoch?"
    if max(curve) < 0.3:
        return "the best mean IoU is below 0.3: did the model train on train_maps?"
    right, best = first_good(curve), curve.index(max(curve)) + 1
    if epochs == right:
        return None
    if epochs == right - 1:
        return "epochs are counted from 1: curve[0] was measured after one epoch"
    if epochs == best:
        return "that is the best epoch; the first within 0.01 of it comes earlier"
    if epochs == len(curve):
        return "the last epoch is not the question: the first within 0.01 of the best"
    return (
        f"after {epochs} epochs the IoU is {curve[epochs - 1]:.3f}, the best is"
        f" {max(curve):.3f}: look for the first within 0.01 of it"
        if 1 <= epochs <= len(curve)
        else f"the curve has {len(curve)} epochs, yours is {epochs}"
    )
