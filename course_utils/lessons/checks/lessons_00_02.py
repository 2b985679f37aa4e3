"""Checks of the exercises of lesson 02."""

import torch
from torch import nn

from course_utils.lessons.checks import attempted, exercise, hint_for


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
