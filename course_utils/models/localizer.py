"""Classification + localization: what, and where, when the number is known."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.core.devices import check_images
from course_utils.ops.boxes import clip_boxes, decode_boxes, encode_boxes, to_center
from course_utils.ops.targets import (
    Detections,
    Target,
    check_labels,
    check_targets,
    image_name,
)

# Divides the deltas of a box against its cell's anchor, so that the network's four
# numbers are about as large as its class scores.
CELL_DELTA_STDS = (0.3, 0.3, 0.5, 0.5)


class Classifier(nn.Module):
    """One label for a picture: backbone, mean over all cells, linear layer.

    model(images, targets) gives the loss ``class`` in training mode; model(images) in
    evaluation mode a list of ``labels`` (1,) and ``scores`` (1,). Lesson 02.
    """

    def __init__(self, backbone: nn.Module, channels: int, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.last = nn.Linear(channels, num_classes - 1)

    def forward(
        self, images: list[Tensor], targets: list[Target] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        batch = torch.stack(check_images(self, images))  # (B, 3, H, W)
        logits = self.last(self.backbone(batch).mean((2, 3)))  # (B, K)
        if self.training:
            labels = one_label(targets, logits.shape[1] + 1).to(logits.device)
            return {"class": F.cross_entropy(logits, labels - 1)}
        best = logits.softmax(-1).max(-1)
        return [
            {"labels": label[None] + 1, "scores": score[None]}
            for label, score in zip(best.indices, best.values)
        ]


def one_label(targets: list[Target] | None, num_classes: int) -> Tensor:
    """The label of each target: (B,). Raises ValueError if one has not just one."""
    if targets is None:
        raise ValueError("training needs a list of targets, one an image")
    found = []
    for i, target in enumerate(targets):
        labels = check_labels(target, num_classes, i)
        if len(labels) != 1 or labels[0] == -1:
            raise ValueError(
                f"{image_name(target, i)} has labels {labels.tolist()}; this"
                " network learns from exactly one, from 1: cut out each object, or"
                " leave the image out"
            )
        found.append(labels)
    return torch.cat(found)


def cell_anchors(
    shape: tuple[int, int], size: tuple[int, int], device: torch.device | None = None
) -> Tensor:
    """A square around the center of each of the (H, W) cells: (HW, 4) pixels.

    size: (height, width) of the image; the side is a third of its height. Lesson 02.
    """
    y = (torch.arange(shape[0], device=device) + 0.5) * size[0] / shape[0]
    x = (torch.arange(shape[1], device=device) + 0.5) * size[1] / shape[1]
    y, x = (v.flatten() for v in torch.meshgrid(y, x, indexing="ij"))
    half = size[0] / 6
    return torch.stack([x - half, y - half, x + half, y + half], 1)


def look_target(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Where to look for each box: weights over the cells that sum to 1.

    boxes (B, k, 4), anchors (HW, 4) -> (B, k, HW): a round hill over the box, never
    narrower than half an anchor. Lesson 02.
    """
    x, y, side, _ = to_center(anchors)  # (HW,) each
    bx, by, width, height = (v[..., None] for v in to_center(boxes))  # (B, k, 1)
    wide, high = width.maximum(side / 2) / 2, height.maximum(side / 2) / 2
    distance = ((x - bx) / wide) ** 2 + ((y - by) / high) ** 2
    return (-2 * distance).softmax(-1)


class LocalizeHead(nn.Module):
    """Three questions to each cell: is it here, what is it, how does its box lie?

    features (B, C, H, W) -> look (B, HW, k), class logits (B, HW, K) and box deltas
    (B, HW, 4) against `cell_anchors`. k is the number of objects. The course's own
    design. Lesson 02.
    """

    def __init__(self, channels: int, num_classes: int, k: int = 1) -> None:
        super().__init__()
        self.k, self.num_classes = k, num_classes
        self.look = nn.Conv2d(channels, k, 1)
        self.classify = nn.Conv2d(channels, num_classes - 1, 1)
        self.locate = nn.Conv2d(channels, 4, 1)

    def forward(self, features: Tensor) -> list[Tensor]:
        outputs = self.look(features), self.classify(features), self.locate(features)
        return [output.flatten(2).transpose(1, 2) for output in outputs]


def left_to_right(target: Mapping) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) and labels (N,) of a target or of detections, by their centers' x.

    They are not checked: boxes that a network predicts may have no area. Lesson 02.
    """
    boxes = torch.as_tensor(target["boxes"], dtype=torch.float32).reshape(-1, 4)
    order = (boxes[:, 0] + boxes[:, 2]).argsort(stable=True)
    return boxes[order], torch.as_tensor(target["labels"], device=boxes.device)[order]


def class_errors(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of each cell: logits (B, HW, K), labels (B, k) -> (B, k, HW).

    Lesson 02.
    """
    log_p = logits.log_softmax(-1).transpose(1, 2)  # (B, K, HW)
    return -torch.stack([p[label - 1] for p, label in zip(log_p, labels)])


def box_errors(deltas: Tensor, boxes: Tensor, anchors: Tensor) -> Tensor:
    """Mean smooth L1 of each cell's four deltas: (B, k, HW).

    deltas (B, HW, 4), boxes (B, k, 4) and anchors (HW, 4) in pixels. Source: Fast
    R-CNN, Girshick 2015, section 2.3. Lesson 02.
    """
    pairs = torch.broadcast_tensors(boxes[:, :, None], anchors)  # (B, k, HW, 4) each
    truth, cells = (boxes.reshape(-1, 4) for boxes in pairs)
    wanted = encode_boxes(truth, cells, CELL_DELTA_STDS).reshape(pairs[0].shape)
    deltas = deltas[:, None].expand_as(wanted)
    return F.smooth_l1_loss(deltas, wanted, reduction="none").mean(-1)


def localize_loss(
    look: Tensor,
    logits: Tensor,
    deltas: Tensor,
    boxes: Tensor,
    labels: Tensor,
    anchors: Tensor,
) -> dict[str, Tensor]:
    """The losses of the three outputs, weighted by where the network should look.

    look (B, HW, k), logits (B, HW, K), deltas (B, HW, 4); boxes (B, k, 4) pixels and
    labels (B, k) from 1; anchors (HW, 4). Lesson 02.
    """
    hill = look_target(boxes, anchors)  # (B, k, HW), sums to 1
    log_look = look.log_softmax(1).transpose(1, 2)
    return {
        "class": (hill * class_errors(logits, labels)).sum(-1).mean(),
        "box": (hill * box_errors(deltas, boxes, anchors)).sum(-1).mean(),
        "look": -(hill * log_look).sum(-1).mean(),
    }


def average_by_look(
    look: Tensor,
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    size: tuple[int, int],
) -> list[Detections]:
    """What the outputs say: boxes and probabilities, averaged over where they look.

    Shapes as in `localize_loss`; size: (H, W) of the images. A list of ``boxes``
    (k, 4) pixels, ``labels`` (k,) and ``scores`` (k,) for each image. Lesson 02.
    """
    weights = look.softmax(1).transpose(1, 2)  # (B, k, HW)
    boxes = weights @ decode_boxes(deltas, anchors, CELL_DELTA_STDS)  # (B, k, 4)
    best = (weights @ logits.softmax(-1)).max(-1)  # over the K classes
    return [
        {"boxes": clip_boxes(b, size), "labels": label + 1, "scores": score}
        for b, label, score in zip(boxes, best.indices, best.values)
    ]


class Localizer(nn.Module):
    """k class labels and k boxes for images of one size that hold k objects each.

    backbone: images (B, 3, H, W) -> features; head: a `LocalizeHead`; size: (H, W);
    box_weight: factor of the box loss. model(images, targets) gives the losses
    ``class``, ``box`` and ``look`` in training mode, model(images) the list of
    `average_by_look` in evaluation mode. Raises ValueError if an image does not hold
    exactly k objects. Lesson 02.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: LocalizeHead,
        size: tuple[int, int],
        box_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.size, self.box_weight = size, box_weight

    def forward(
        self, images: list[Tensor], targets: list[Target] | None = None
    ) -> dict[str, Tensor] | list[Detections]:
        batch = torch.stack(check_images(self, images)).float()
        features = self.backbone(batch)
        anchors = cell_anchors(features.shape[-2:], self.size, features.device)
        look, logits, deltas = self.head(features)
        if not self.training:
            return average_by_look(look, logits, deltas, anchors, self.size)
        k, classes = self.head.k, self.head.num_classes
        boxes, labels = exactly_k(targets, k, classes, features.device)
        losses = localize_loss(look, logits, deltas, boxes, labels, anchors)
        return losses | {"box": self.box_weight * losses["box"]}


def exactly_k(
    targets: list[Target] | None,
    k: int,
    num_classes: int,
    device: torch.device | None = None,
) -> tuple[Tensor, Tensor]:
    """Boxes (B, k, 4) and labels (B, k) of the targets, from left to right.

    Raises ValueError for a target with another number of objects, or one to ignore.
    """
    targets = check_targets(targets, num_classes, device)
    for i, target in enumerate(targets):
        where, found = image_name(target, i), len(target["boxes"])
        if found != k:
            raise ValueError(
                f"{where} holds {found} objects;"
                f" this network always predicts {k}. Leave the image out"
            )
        if (target["labels"] == -1).any():
            raise ValueError(
                f"{where} has a label -1 (ignore); this network learns every"
                " object. Leave the image out"
            )
    boxes, labels = zip(*(left_to_right(target) for target in targets))
    return torch.stack(boxes), torch.stack(labels)
