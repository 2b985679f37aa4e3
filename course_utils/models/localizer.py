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
    """One label for a picture: backbone, average over the map, linear layer.

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
        batch = torch.stack(check_images(self, images))
        scores = self.last(self.backbone(batch).mean((2, 3)))
        if self.training:
            labels = torch.cat(self.wanted(targets)).to(scores.device)
            return {"class": F.cross_entropy(scores, labels - 1)}
        best = scores.softmax(-1).max(-1)
        return [
            {"labels": i[None] + 1, "scores": s[None]}
            for i, s in zip(best.indices, best.values)
        ]

    def wanted(self, targets: list[Target] | None) -> list[Tensor]:
        """The label (1,) of each target; raises ValueError for another number."""
        if targets is None:
            raise ValueError("training needs a list of targets, one an image")
        found, num_classes = [], self.last.out_features + 1
        for i, target in enumerate(targets):
            labels = check_labels(target, num_classes, i)
            if len(labels) != 1 or labels[0] == -1:
                raise ValueError(
                    f"{image_name(target, i)} has labels {labels.tolist()}; this"
                    " network learns from exactly one, from 1: cut out each object, or"
                    " leave the image out"
                )
            found.append(labels)
        return found


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

    features (B, C, H, W) -> look (B, HW, k), class scores (B, HW, K) and box deltas
    (B, HW, 4) against `cell_anchors`. k is the number of objects. Lesson 02.
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
    """Boxes (N, 4) and labels (N,) of a target or answer, sorted by their centers.

    They are not checked: those that a network answers may have no area.
    """
    boxes = torch.as_tensor(target["boxes"], dtype=torch.float32).reshape(-1, 4)
    order = (boxes[:, 0] + boxes[:, 2]).argsort(stable=True)
    return boxes[order], torch.as_tensor(target["labels"], device=boxes.device)[order]


def localize_loss(
    look: Tensor,
    scores: Tensor,
    deltas: Tensor,
    boxes: Tensor,
    labels: Tensor,
    anchors: Tensor,
) -> dict[str, Tensor]:
    """The losses of the three outputs, weighted by where the network should look.

    look (B, HW, k), scores (B, HW, K), deltas (B, HW, 4); boxes (B, k, 4) pixels and
    labels (B, k) from 1; anchors (HW, 4). Smooth L1 as in Fast R-CNN, Girshick 2015,
    section 2.3. Lesson 02.
    """
    hill = look_target(boxes, anchors)  # (B, k, HW)
    everywhere = torch.broadcast_tensors(boxes[:, :, None], anchors)  # (B, k, HW, 4)
    each_box, each_anchor = (b.reshape(-1, 4) for b in everywhere)
    wanted = encode_boxes(each_box, each_anchor, CELL_DELTA_STDS)
    wanted = wanted.reshape(*hill.shape, 4)
    error = F.smooth_l1_loss(
        deltas[:, None].expand_as(wanted), wanted, reduction="none"
    ).mean(-1)
    log_p = scores.log_softmax(-1).transpose(1, 2)  # (B, K, HW)
    log_p = torch.stack([p[label - 1] for p, label in zip(log_p, labels)])
    return {
        "class": -(hill * log_p).sum(-1).mean(),
        "box": (hill * error).sum(-1).mean(),
        "look": -(hill * look.transpose(1, 2).log_softmax(-1)).sum(-1).mean(),
    }


class Localizer(nn.Module):
    """k class labels and k boxes for images of one size that hold k objects each.

    backbone: images (B, 3, H, W) -> features; head: a `LocalizeHead`; size: (H, W);
    box_weight: factor of the box loss. model(images, targets) gives the losses
    ``class``, ``box`` and ``look`` in training mode; model(images) in evaluation mode a
    list of ``boxes`` (k, 4) pixels, ``labels`` (k,) and ``scores`` (k,). Raises
    ValueError if an image does not hold exactly k objects. Lesson 02.
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
        look, scores, deltas = self.head(features)
        if self.training:
            wanted = self.wanted(targets, features.device)
            losses = localize_loss(look, scores, deltas, *wanted, anchors)
            return losses | {"box": self.box_weight * losses["box"]}
        weights = look.softmax(1).transpose(1, 2)  # (B, k, HW)
        boxes = weights @ decode_boxes(deltas, anchors, CELL_DELTA_STDS)
        best = (weights @ scores.softmax(-1)).max(-1)
        return [
            {"boxes": clip_boxes(b, self.size), "labels": i + 1, "scores": s}
            for b, i, s in zip(boxes, best.indices, best.values)
        ]

    def wanted(
        self, targets: list[Target] | None, device: torch.device | None = None
    ) -> tuple[Tensor, Tensor]:
        """Boxes (B, k, 4) and labels (B, k) of the targets, from left to right."""
        targets = check_targets(targets, self.head.num_classes, device)
        for i, target in enumerate(targets):
            where, found = image_name(target, i), len(target["boxes"])
            if found != self.head.k:
                raise ValueError(
                    f"{where} holds {found} objects;"
                    f" this network always predicts {self.head.k}. Leave the image out"
                )
            if (target["labels"] == -1).any():
                raise ValueError(
                    f"{where} has a label -1 (ignore); this network learns every"
                    " object. Leave the image out"
                )
        boxes, labels = zip(*(left_to_right(target) for target in targets))
        return torch.stack(boxes), torch.stack(labels)
