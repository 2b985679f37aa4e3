"""Convolutional backbones: images in, feature maps out."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.core.precision import mixed_precision


def conv_bn(c_in: int, c_out: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and batch normalisation: (B, c_in, H, W) -> (B, c_out, H', W').

    Source: Ioffe and Szegedy 2015. Lesson 02.
    """
    conv = nn.Conv2d(c_in, c_out, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out))


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut around them.

    (B, c_in, H, W) -> (B, c_out, H / stride, W / stride).
    Source: ResNet, He et al. 2016, figure 2 and section 3.3. Lesson 02.
    """

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = conv_bn(c_in, c_out, stride=stride)
        self.conv2 = conv_bn(c_out, c_out)
        same = c_in == c_out and stride == 1
        self.shortcut = nn.Identity() if same else conv_bn(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(torch.relu(self.conv1(x)))
        # Every `stride`-th cell is taken first: on some processors PyTorch 2.14 crashes
        # while it trains a 1 x 1 convolution that strides itself.
        if self.stride > 1:
            x = F.avg_pool2d(x, 1, self.stride)
        return torch.relu(y + self.shortcut(x))


class Layers(nn.Sequential):
    """Layers one after the other, trained in `mixed_precision` where that is faster.

    The first `frozen` of them stay in evaluation mode, see `freeze`. Lesson 02.
    """

    frozen = 0

    def train(self, mode: bool = True) -> "Layers":
        super().train(mode)
        for layer in list(self)[: self.frozen]:
            layer.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        with mixed_precision(self.training, x.device):
            x = super().forward(x)
        return x.float()


class SmallResNet(nn.Module):
    """Our own backbone: (B, 3, H, W) in 0..1 -> (B, C, H / 8, W / 8). Lesson 02."""

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 128)) -> None:
        super().__init__()
        stem, middle, top = widths
        self.out_channels = top
        self.layers = Layers(
            conv_bn(3, stem, stride=2),
            nn.ReLU(),
            ResidualBlock(stem, middle, stride=2),
            ResidualBlock(middle, top, stride=2),
            ResidualBlock(top, top),
        )
        self.to(memory_format=torch.channels_last)  # a fifth faster on a CPU

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(2 * images - 1)


def freeze(backbone: SmallResNet, layers: int = 4) -> SmallResNet:
    """Let a `SmallResNet` learn only what comes after its first `layers`.

    By default that is the last block. Of the first ones neither weights nor batch
    statistics change, and training goes faster: no gradients are worked out for them.
    Returns the backbone. Source: Fast R-CNN, section 4.5. Lesson 07.
    """
    backbone.requires_grad_(True)
    backbone.layers[:layers].requires_grad_(False)
    backbone.layers.frozen = layers
    return backbone.train(backbone.training)


class Frozen(nn.Module):
    """A network that learns nothing: no gradients, batch statistics as they are.

    Its weights stay those of `net`, whatever happens around it. Lesson 02.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.eval()

    def train(self, mode: bool = True) -> "Frozen":
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Any:
        return self.net(images)
