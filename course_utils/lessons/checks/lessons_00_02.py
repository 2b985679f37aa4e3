"""Checks of the exercises of lessons 00 to 02."""

import torch
from torch import nn

from course_utils.lessons.checks import as_tensor, attempted, close, exercise, hint_for
from course_utils.ops.boxes import box_iou


@exercise("00.1 box of a mask")
def box_of_a_mask(function):
    mask = torch.zeros(9, 12, dtype=torch.bool)
    mask[2:5, 3:10] = True  # rows 2..4, columns 3..9
    box = as_tensor(function(mask.clone()))
    if box.shape != (4,):
        return f"give four numbers, shape (4,); yours has shape {tuple(box.shape)}"
    box = box.tolist()
    hints = {
        (3, 2, 10, 5): None,
        (3, 2, 9, 4): "x2 and y2 are one too small: the box is half-open, its right"
        " edge lies behind the last pixel, so add 1 to the largest column and row",
        (2, 3, 5, 10): "x and y are swapped: dimension 0 of a mask counts rows, so it"
        " is y",
        (2, 3, 4, 9): "x and y are swapped, and the far edge is one too small",
        (3, 2, 7, 3): "that is x, y, width, height; the course wants x1, y1, x2, y2",
    }
    sentence = f"for a mask of rows 2..4 and columns 3..9 you gave {box}"
    if hint := hint_for(box, hints, sentence):
        return hint
    dot = torch.zeros(4, 4, dtype=torch.bool)
    dot[1, 2] = True
    if not close(function(dot), [2, 1, 3, 2]):
        return (
            "right for a rectangle, but wrong for the single pixel at row 1, column 2"
        )


@exercise("00.2 semantic map")
def semantic_map(function):
    masks = torch.zeros(2, 3, 4, dtype=torch.bool)
    masks[0, 0, :2] = True
    masks[1, 2, 1:] = True
    labels = torch.tensor([5, 2])
    want = torch.tensor([[5, 5, 0, 0], [0, 0, 0, 0], [0, 2, 2, 2]])
    got = as_tensor(function(masks, labels))
    if got.shape != want.shape:
        return f"the map of a 3 x 4 picture must be 3 x 4, yours is {tuple(got.shape)}"
    if close(got, (want > 0).float() + (want == 2)):
        return "you gave the object's number; a semantic map holds the class label"
    if close(got, (want > 0).float()):
        return "you only mark object or not; write the label of the class"
    if close(got, torch.where(want > 0, want - 1, 0)):
        return "the labels are one too small: they start at 1, 0 is the background"
    if not close(got, want):
        return f"labels 5 and 2 should give {want.tolist()}, yours is {got.tolist()}"


@exercise("00.3 smallest object")
def smallest_object(answer):
    from course_utils.data.catalog import find_data
    from course_utils.data.datasets import VOCDataset

    given = attempted(answer)
    data = VOCDataset(find_data("tabletop"), "test")
    areas = {}
    for objects in data.objects:
        for o in objects:
            x1, y1, x2, y2 = o["box"]
            areas.setdefault(o["name"], []).append((x2 - x1) * (y2 - y1))
    means = {name: sum(values) / len(values) for name, values in areas.items()}
    if given not in data.classes:
        return f"the answer is the name of a class, one of {', '.join(data.classes)}"
    if given == min(means, key=means.get):
        return None
    if given == max(means, key=means.get):
        return "that one is the largest on average"
    if given == min(areas, key=lambda name: min(areas[name])):
        return "that class has the single smallest box; the question is about the mean"
    return f"{given}: mean box area {means[given]:.0f} pixels; there is a smaller one"


@exercise("01.1 from VOC")
def from_voc(function):
    got = as_tensor(function(11, 21, 30, 60)).tolist()
    hints = {
        (10, 20, 30, 60): None,
        (11, 21, 30, 60): "VOC counts its pixels from 1: the first corner moves by one",
        (10, 20, 29, 59): "only the first corner moves: xmax is the last pixel, counted"
        " from 1, which is just where the half-open box ends",
        (11, 21, 31, 61): "you added 1 to the far corner; take 1 from the first"
        " instead",
        (10, 20, 20, 40): "that is x, y, width, height; the course wants x1, y1, x2,"
        " y2",
        (20, 10, 60, 30): "x and y are swapped",
    }
    sentence = f"xmin 11, ymin 21, xmax 30, ymax 60 gave {got}"
    return hint_for(got, hints, sentence)


@exercise("01.2 coverage")
def coverage(function):
    a = torch.tensor([[0.0, 0, 10, 10], [0, 0, 2, 2]])
    b = torch.tensor([[0.0, 0, 5, 10], [5, 5, 15, 15], [20, 20, 30, 30]])
    want = torch.tensor([[0.5, 0.25, 0], [1, 0, 0]])
    got = as_tensor(function(a, b))
    if got.shape != want.shape:
        return (
            f"2 boxes against 3 must give a 2 x 3 result, yours is {tuple(got.shape)}"
        )
    if close(got, box_iou(a, b)):
        return "that is the IoU: divide by the area of the first box, not by the union"
    if close(got, [[1, 0.25, 0], [0.08, 0, 0]]):
        return "you divided by the area of the second box"
    if (got < 0).any() or got[0, 2] > 0:
        return "boxes that do not touch: width and height must not go below 0"
    if not close(got, want):
        return f"expected {want.tolist()}, got {got.tolist()}"


@exercise("01.3 soft NMS")
def soft_nms(function):
    boxes = torch.tensor(
        [[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 5], [50, 50, 60, 60]]
    )
    scores = torch.tensor([0.9, 0.8, 0.6, 0.7])
    before = scores.clone()
    got = as_tensor(function(boxes, scores))
    if not torch.equal(scores, before):
        return "the given scores were changed; work on a copy, scores.clone()"
    if got.shape != scores.shape:
        return "return one score for each box, in the order of the boxes"
    # IoU of 0 and 1 is 0.8, of 0 and 2 is 0.5, of 1 and 2 is 0.625
    hints = {
        (0.9, 0.06, 0.3, 0.7): None,
        (0.9, 0, 0.6, 0.7): "that is hard NMS: no box is removed, scores sink",
        (0.9, 0.16, 0.3, 0.7): "every round has a best box, not only the first",
        (0.9, 0.16, 0.1125, 0.7): "after each round look for the best again: box 2"
        " (0.30) is then above box 1 (0.16)",
        (0.9, 0.4, 0.3, 0.7): "multiply by 1 - IoU; you multiplied by the IoU",
        (0, 0, 0, 0): "a box must not lower its own score",
    }
    rounded = [round(v, 4) for v in got.tolist()]
    return hint_for(got, hints, f"expected [0.9, 0.06, 0.3, 0.7], got {rounded}")


@exercise("02.1 weights of a convolution")
def weights_of_a_convolution(function):
    got = float(attempted(function(3, 32, 5)))
    hints = {
        3 * 32 * 25 + 32: None,
        3 * 32 * 25: "the bias is missing: one number for each output channel",
        3 * 32 * 5 + 32: "the kernel is square: size x size numbers",
        32 * 25 + 32: "each output channel has a kernel for every input channel",
        3 * 32 * 25 + 3: "the bias belongs to the output channels, not the input",
    }
    return hint_for(got, hints, f"3 -> 32 channels with 5 x 5 kernels gave {got:g}")


@exercise("02.2 replace the last layer")
def replace_the_last_layer(function):
    from torchvision.models import resnet18

    network = resnet18()
    changed = attempted(function(network, 8))
    if not isinstance(changed, nn.Module):
        return "return the network itself"
    if changed.fc.__class__ is nn.Linear and changed.fc.out_features == 1000:
        return "the last layer, network.fc, still has 1,000 outputs"
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        shape = tuple(changed.eval()(image).shape)
    if shape == (2, 8):
        return "8 class scores are there; the box needs 4 more numbers"
    if shape == (2, 4):
        return "4 numbers for the box are there; the 8 class scores are missing"
    if shape == (2, 13):
        return "one too many: no background class here, each picture has an object"
    if shape != (2, 12):
        return f"a batch of 2 gave {shape}; expected (2, 12)"


@exercise("02.3 localization accuracy")
def localization_accuracy(function):
    truth = torch.tensor([[0.0, 0, 10, 10]] * 4)
    boxes = torch.tensor([[0.0, 0, 10, 9], [0, 0, 10, 9], [0, 0, 10, 4], [0, 0, 10, 5]])
    labels, found = torch.tensor([1, 2, 3, 4]), torch.tensor([1, 1, 3, 4])
    got = float(attempted(function(boxes, found, truth, labels)))
    hints = {
        0.5: None,
        0.75: "the label or the box alone is not enough: both must be right",
        0.25: "an IoU of exactly 0.5 counts as right: use >=",
        1.0: "right label or right box is not enough: both must be right",
        2.0: "that is a count; divide by the number of pictures",
        50.0: "give a share from 0 to 1, not per cent",
    }
    return hint_for(got, hints, f"2 of 4 are right, so 0.5; you gave {got:g}")
