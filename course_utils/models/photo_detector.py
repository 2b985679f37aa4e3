"""Detectors of real photographs: the course's parts over a frozen ImageNet backbone."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from course_utils.core.settings import REPOSITORY
from course_utils.core.weights import load_weights, save_weights
from course_utils.data.feature_maps import SHAPES, SIDE, split_maps, to_square
from course_utils.models.fast_rcnn import FastRCNN, RegionHead
from course_utils.models.faster_rcnn import FasterRCNN
from course_utils.models.imagenet import imagenet_backbone
from course_utils.models.rpn import RPN
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.roi import roi_align
from course_utils.ops.targets import Detections

# Anchors: sides from 31 to 326 pixels of the square.
SIZES = tuple(share * SIDE for share in (0.08, 0.16, 0.32, 0.56, 0.85))


class Neck(nn.Module):
    """Both maps of the backbone as one: (B, C, 24, 24), a cell for 16 pixels.

    Each is reduced to C channels by a 1 x 1 convolution; the coarse one is enlarged;
    the mean of the coarse map, which says what the photograph is about, is added
    everywhere. Source: the lateral links of FPN, Lin et al. 2017, section 3. Lesson 12.
    """

    def __init__(self, channels: int = 192) -> None:
        super().__init__()
        self.out_channels = channels
        fine, coarse = SHAPES[0][0], SHAPES[1][0]
        self.fine_mean = nn.Buffer(torch.zeros(fine, 1, 1))
        self.fine_std = nn.Buffer(torch.ones(fine, 1, 1))
        self.fine = nn.Conv2d(fine, channels, 1)
        self.coarse_mean = nn.Buffer(torch.zeros(coarse, 1, 1))
        self.coarse_std = nn.Buffer(torch.ones(coarse, 1, 1))
        self.coarse = nn.Conv2d(coarse, channels, 1)
        self.whole = nn.Conv2d(coarse, channels, 1)
        self.norm = nn.GroupNorm(16, channels)

    def standardise(self, maps: np.ndarray, count: int = 64) -> "Neck":
        """Take each channel's mean and deviation from `count` rows of `frozen_maps`."""
        chosen = np.linspace(0, len(maps) - 1, min(count, len(maps))).astype(int)
        parts = split_maps(torch.from_numpy(maps[chosen]))
        for name, part in zip(("fine", "coarse"), parts):
            std, mean = torch.std_mean(part, (0, 2, 3), keepdim=True)
            getattr(self, f"{name}_mean").copy_(mean[0])
            getattr(self, f"{name}_std").copy_(std[0] + 1e-3)
        return self

    def forward(self, maps: list[Tensor]) -> Tensor:
        fine, coarse = maps
        fine = (fine - self.fine_mean) / self.fine_std
        coarse = (coarse - self.coarse_mean) / self.coarse_std
        up = F.interpolate(self.coarse(coarse), fine.shape[2:], mode="nearest")
        whole = self.whole(coarse.mean((2, 3), keepdim=True))
        return torch.relu(self.norm(self.fine(fine) + up + whole))


class Prepare(nn.Module):
    """What a detector does with a list of images before its neck sees them.

    Photographs (3, H, W) go through the frozen backbone; rows of `frozen_maps` are
    taken as they are. Gives two maps, and [(384, 384)] for each image. The backbone
    moves with the detector, but is not among what is saved of it: it comes with a pip
    package. Lesson 12.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def state_dict(  # type: ignore[override]
        self, *args: Any, destination: dict | None = None, **settings: Any
    ) -> dict:
        """Nothing."""
        return {} if destination is None else destination

    def _load_from_state_dict(self, state_dict, prefix, *others):
        """Let the backbone, which PyTorch asks next, find its own weights to keep."""
        own = self.backbone.state_dict()
        state_dict.update({f"{prefix}backbone.{key}": own[key] for key in own})

    def forward(
        self, images: list[Tensor]
    ) -> tuple[list[Tensor], list[tuple[int, int]]]:
        if images[0].ndim == 1:
            maps = split_maps(torch.stack(images))
        else:
            maps = self.backbone(torch.stack([to_square(image) for image in images]))
        return maps, [(SIDE, SIDE)] * len(images)


class PhotoHead(RegionHead):
    """A `RegionHead` with dropout, and one box for all classes. Lesson 12."""

    def __init__(
        self,
        channels: int,
        num_classes: int,
        pool_size: int = 7,
        hidden: int = 512,
        dropout: float = 0.4,
    ) -> None:
        super().__init__(channels, num_classes, pool_size, hidden)
        self.dropout = nn.Dropout(dropout)
        self.deltas = nn.Linear(hidden, 4)
        nn.init.normal_(self.deltas.weight, std=0.001)
        nn.init.zeros_(self.deltas.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        x = self.dropout(torch.relu(self.fc1(pooled.flatten(1))))
        x = self.dropout(torch.relu(self.fc2(x)))
        logits = self.logits(x)
        return logits, self.deltas(x)[:, None].expand(-1, logits.shape[1] - 1, -1)


def in_pixels(detections: list[Detections], images: list[Tensor]) -> list[Detections]:
    """Detections in the 384 x 384 square, as pixels of the photographs. Lesson 12."""
    for detected, image in zip(detections, images):
        detected["boxes"] = boxes_in_pixels(detected["boxes"], image)
    return detections


def boxes_in_pixels(boxes: Tensor, image: Tensor) -> Tensor:
    """Boxes (..., 4) in the square, as pixels of the photograph (3, H, W).

    Where the image is a row of `frozen_maps`, they stay as they are. Lesson 12.
    """
    if image.ndim != 3:
        return boxes
    height, width = image.shape[1:]
    scale = torch.tensor([width, height, width, height]) / SIDE
    return boxes * scale.to(boxes.device)


class PhotoFasterRCNN(FasterRCNN):
    """The `FasterRCNN` of lesson 09 for photographs.

    backbone: a frozen `imagenet_backbone`; sizes: of the anchors, in pixels of the
    square; images: (3, H, W) of any size or rows of `frozen_maps`, in training rows
    only. Detections are in pixels of the image given, those of rows in pixels of the
    square. Lesson 12.
    """

    prepare: Prepare
    mixed = False  # in bfloat16 lesson 12 took 3.7 GB instead of 1.5

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        channels: int = 192,
        hidden: int = 512,
        sizes: Sequence[float] = SIZES,
    ) -> None:
        rpn = RPN(
            channels,
            AnchorGrid(sizes, stride=16),
            positive=0.65,
            positive_fraction=0.25,
            pre_nms_top_n=500,
            post_nms_top_n_train=150,
            post_nms_top_n_test=150,
        )
        rpn.mixed = False
        head = PhotoHead(channels, num_classes, hidden=hidden)
        super().__init__(
            Neck(channels), rpn, head, stride=16, nms_iou=0.4, prepare=Prepare(backbone)
        )

    def detections(
        self, images: list[Tensor], proposals: list[Tensor] | None = None
    ) -> list[Detections]:
        return in_pixels(super().detections(images, proposals), images)

    def score_regions(self, image: Tensor) -> tuple[Tensor, Tensor]:
        scores, boxes = super().score_regions(image)
        return scores, boxes_in_pixels(boxes, image)


class PhotoFastRCNN(FastRCNN):
    """The `FastRCNN` of lesson 07 over the same neck, for rows of `frozen_maps` only.

    Its proposals, in pixels of the square, are given to `detections`. Lesson 12.
    """

    mixed = False  # as PhotoFasterRCNN

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        channels: int = 192,
        hidden: int = 512,
    ) -> None:
        super().__init__(
            Neck(channels),
            PhotoHead(channels, num_classes, hidden=hidden),
            stride=16,
            pool=roi_align,
            nms_iou=0.4,
            prepare=Prepare(backbone),
        )


def start_from(model: nn.Module, trained: nn.Module) -> list[str]:
    """Give `model` all weights of `trained` that fit; returns the names left fresh.

    Two detectors of different classes differ in the last layer only. Lesson 13.
    """
    own, theirs = model.state_dict(), trained.state_dict()
    fits = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(fits, strict=False)
    return sorted(own.keys() - fits.keys())


def save_detector(
    model: PhotoFasterRCNN, path: str | Path, classes: Sequence[str], half: bool = True
) -> None:
    """Write a `PhotoFasterRCNN` to one safetensors file, with its class names.

    The frozen backbone is left out: it comes with a pip package. half: as float16, 10
    MB. Lesson 13.
    """
    about = {"classes": list(classes), "sizes": list(model.rpn.grid.sizes)}
    about = {key: json.dumps(value) for key, value in about.items()}
    save_weights(model.state_dict(), path, half, about)


def load_detector(path: str | Path) -> tuple[PhotoFasterRCNN, list[str]]:
    """(model in evaluation mode, class names) from a file of `save_detector`.

    path: the file, or ``"voc2007"`` for the detector of 20 classes that comes with the
    course. Raises ValueError, naming the file, if it holds no such detector, and
    FileNotFoundError. Lesson 13.
    """
    if str(path) == "voc2007":
        path = REPOSITORY / "data" / "weights" / "voc2007.safetensors"
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            channels = file.get_slice("backbone.norm.weight").get_shape()[0]
            hidden = file.get_slice("head.fc2.weight").get_shape()[0]
        classes, sizes = (json.loads(about[key]) for key in ("classes", "sizes"))
    except (SafetensorError, KeyError, IsADirectoryError) as error:
        raise ValueError(
            f"{path} holds no detector of photos.save_detector ({error})"
        ) from None
    settings = len(classes) + 1, channels, hidden, sizes
    model = PhotoFasterRCNN(imagenet_backbone(), *settings)
    if not load_weights(model, path):
        raise ValueError(f"{path}: its weights do not fit {len(classes)} classes")
    return model.eval(), classes
