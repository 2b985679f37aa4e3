"""Checks of the exercises of lessons 06 to 09."""

import torch
from torch import nn

from course_utils.lessons.checks import as_tensor, attempted, close, exercise, hint_for


@exercise("06.1 in cells")
def in_cells(function):
    got = as_tensor(function(torch.tensor([4.0, 10.0, 44.0, 61.0]), 8)).tolist()
    hints = {
        (1, 1, 6, 8): None,
        (0, 1, 6, 8): "halves round away from zero: 0.5 to 1; torch.round gives 0",
        (0, 1, 5, 7): "round, do not cut off: 5.5 becomes 6",
        (1, 1, 5, 7): "the last cell is included: do not subtract 1",
        (1, 1, 7, 9): "do not add 1 to the last cell: it is included already",
        (32, 80, 352, 488): "from pixels to cells: divide by the stride",
        (0.5, 1.25, 5.5, 7.625): "whole cells are asked for: round",
    }
    return hint_for(got, hints, f"the box 4, 10, 44, 61 with stride 8 gave {got}")


@exercise("06.2 bilinear")
def bilinear(function):
    grid = torch.tensor([[0.0, 10, 20], [100, 110, 120], [200, 210, 260]])
    got = float(attempted(function(grid, 0.25, 1.5)))
    hints = {
        40.0: None,
        152.5: "x and y are swapped: the first number is the row",
        20.0: "that is the nearest cell; take shares of four",
        10.0: "that is one cell; take shares of four",
        90.0: "the shares are swapped: a point nearer to a cell takes more of it",
    }
    if hint := hint_for(got, hints, f"at row 0.25, column 1.5 you gave {got:g}"):
        return hint
    try:
        edge = float(function(grid, 2.0, 2.0))
    except IndexError:
        return "at the last cell there is no next one; take that cell itself"
    if abs(edge - 260) > 1e-3:
        return f"at the last cell its own value, 260, is right; you gave {edge:g}"


@exercise("06.3 average pooling")
def average_pool(function):
    features = torch.arange(24.0).view(2, 3, 4)
    edges = [0, 1], [2, 3], [0, 1, 4], [2, 4, 4]
    got = as_tensor(function(features, *edges))
    if got.shape != (2, 2, 3):
        return f"2 channels, 2 rows and 3 columns of bins; yours: {tuple(got.shape)}"
    want = torch.tensor([[2.5, 4.0], [6.5, 8.0]])
    if got.isnan().any():
        return "the mean of an empty bin is 0/0; give 0 there"
    if close(got[0, :, :2], torch.tensor([[5.0, 7.0], [9.0, 11.0]])):
        return "that is the maximum; take the mean"
    if close(got[0, :, :2], want * torch.tensor([4.0, 6.0])):
        return "that is the sum; divide by the number of cells"
    if not close(got[0, :, :2], want):
        return f"bin (0, 0) of channel 0 is 2.5; yours is {got[0, 0, 0]:g}"
    if not close(got[1, :, :2], want + 12):
        return "channel 1 is wrong: take the mean over cells, not over channels"
    if got[:, :, 2].abs().max() > 0:
        return "an empty bin gives 0"


@exercise("07.1 smooth L1")
def smooth_l1(function):
    got = as_tensor(function(torch.tensor([0.0, 0.5, 1.0, -3.0])))
    hints = {
        (0, 0.125, 0.5, 2.5): None,
        (0, 0.5, 1, 3): "that is L1; below 1 the loss is a parabola",
        (0, 0.125, 0.5, 4.5): "that is half the square; from 1 on it is a line",
        (0, 0.25, 1, 2.5): "the parabola is half the square",
        (0, 0.125, 1, 3): "the two pieces must meet at 1: subtract 0.5",
        (0, 0.125, 0.5, -3.5): "take the absolute value: -3 costs as much as 3",
    }
    rounded = [round(v, 3) for v in got.tolist()]
    return hint_for(got, hints, f"for errors 0, 0.5, 1, -3 you gave {rounded}")


@exercise("07.2 weights of a compressed layer")
def compressed_weights(function):
    got = float(attempted(function(6272, 256, 32)))
    hints = {
        32 * (6272 + 256) + 256: None,
        32 * (6272 + 256): "the biases of the second layer are missing",
        6272 * 256 + 256: "that is the layer before",
        32 * (6272 + 256) + 256 + 32: "only the second of the two layers has biases",
        6272 * 256 * 32: "two layers: d_in x rank and rank x d_out",
    }
    return hint_for(got, hints, f"6,272 to 256 with rank 32 gave {got:g}")


@exercise("07.3 own class's box")
def own_class_box(function):
    deltas = torch.arange(24.0).view(3, 2, 4)
    got = as_tensor(function(deltas, torch.tensor([2, 0, 1])))
    if got.shape == (3, 4):
        return "background (label 0) has no box: leave its row out"
    if got.shape != (2, 4):
        return f"two regions are not background; yours has shape {tuple(got.shape)}"
    hints = {
        ((4, 5, 6, 7), (16, 17, 18, 19)): None,
        ((0, 1, 2, 3), (20, 21, 22, 23)): "class 1 stands at 0: subtract 1",
        ((4, 5, 6, 7), (8, 9, 10, 11)): "the deltas are those of the background row",
    }
    return hint_for(got, hints, f"for labels 2, 0, 1 you gave {got.int().tolist()}")


@exercise("08.1 number of anchors")
def number_of_anchors(function):
    got = float(attempted(function(180, 240, 8, 4, 3)))
    hints = {
        23 * 30 * 12: None,
        22 * 30 * 12: "180 / 8 is 22.5: the last half cell counts, round up",
        22.5 * 30 * 12: "cells are whole: round up",
        180 * 240 * 12: "anchors stand at cells, not at pixels",
        23 * 30 * 7: "each size comes in each ratio: multiply",
        23 * 30: "each cell has sizes x ratios anchors",
    }
    return hint_for(got, hints, f"180 x 240, stride 8, 4 sizes, 3 ratios gave {got:g}")


@exercise("08.2 label anchors")
def label_anchors(function):
    ious = torch.tensor([[0.8, 0], [0.5, 0.1], [0.2, 0.6], [0.1, 0.4], [0, 0]])
    got = as_tensor(function(ious, 0.7, 0.3)).tolist()
    hints = {
        (1, -1, 1, -1, 0): None,
        (1, -1, -1, -1, 0): "object 1 has no anchor: its best, 2, is positive too",
        (1, 0, 1, 0, 0): "between the limits an anchor is ignored: -1",
        (1, 0, 0, 0, 0): "between the limits -1, and the best of each object is 1",
        (1, 1, 1, 1, 0): "positive from the upper limit on, not from the lower one",
    }
    sentence = f"expected one label for each of 5 anchors, got {got}"
    if hint := hint_for(got, hints, sentence):
        return hint
    alone = torch.tensor([[0.8, 0.0], [0.1, 0.0]])
    if as_tensor(function(alone, 0.7, 0.3)).tolist() != [1, 0]:
        return "an object that no anchor touches (IoU 0 with all) makes none positive"


@exercise("08.3 objectness is not a class")
def objectness_targets(function):
    labels = torch.tensor([3, 0, -1, 1])
    got = as_tensor(function(labels)).tolist()
    hints = {
        (1, 0, 1): None,
        (3, 0, 1): "the RPN only asks: object or not? Every class is 1",
        (1, 0, 0, 1): "-1 is no background: leave it out",
        (1, 0, -1, 1): "-1 is left out of the loss: leave it out here too",
        (1, 0, 1, 1): "-1 is no object: leave it out",
    }
    return hint_for(got, hints, f"labels 3, 0, -1, 1 gave {got}")


@exercise("09.1 stop the gradient")
def stop_the_gradient(function):
    anchors = torch.tensor([[0.0, 0, 10, 10]])
    deltas = torch.zeros(1, 4, requires_grad=True)
    got = attempted(function(deltas, anchors))
    if not torch.is_tensor(got) or got.shape != (1, 4):
        return "return the boxes, a tensor (1, 4)"
    if not close(got.detach(), anchors):
        return "deltas of 0 leave the anchor where it is: use decode_boxes"
    if got.requires_grad:
        return "the boxes still carry a gradient: detach them"
    if not deltas.requires_grad:
        return "the deltas lost their gradient: their own loss still needs it"


@exercise("09.2 all four losses")
def all_four_losses(function):
    losses = {"rpn_object": 1.0, "rpn_box": 2.0, "class": 4.0, "box": 8.0}
    got = float(attempted(function({k: torch.tensor(v) for k, v in losses.items()})))
    hints = {
        15.0: None,
        12.0: "the RPN's two losses are missing",
        3.0: "the head's two losses are missing",
        3.75: "the sum, not the mean",
    }
    return hint_for(got, hints, f"losses 1, 2, 4 and 8 gave {got:g}")


@exercise("09.3 freeze the backbone")
def freeze_the_backbone(function):
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.ReLU())
    head = nn.Linear(1, 1)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    attempted(function(net))
    net(torch.rand(2, 1, 3, 3) + 5)
    if any(p.requires_grad for p in net.parameters()):
        return "its weights still ask for gradients: requires_grad_(False)"
    changed = [k for k, v in net.state_dict().items() if not torch.equal(v, before[k])]
    if changed:
        return f"{changed[0]} changed in a forward pass: batch norm needs eval()"
    if not all(p.requires_grad for p in head.parameters()):
        return "only the backbone is to be frozen"
