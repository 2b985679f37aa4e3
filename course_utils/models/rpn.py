"""The region proposal network: which anchors hold an object, and where exactly."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.core.devices import check_images
from course_utils.core.precision import mixed_precision
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.batches import stack_images
from course_utils.ops.boxes import BOX_DELTA_STDS, decode_boxes, encode_boxes
from course_utils.ops.matching import assign_targets, sample_balanced
from course_utils.ops.postprocess import filter_proposals
from course_utils.ops.targets import Target, check_targets


class RPNHead(nn.Module):
    """A 3 x 3 convolution, then two siblings: objectness and deltas of each anchor.

    features (B, C, H, W) -> objectness logits (B, HWA), deltas (B, HWA, 4), in the
    order of `AnchorGrid`. Source: Faster R-CNN, figure 3 and section 3.1.3 (the first
    weights). Lesson 08.
    """

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, anchors, 1)
        self.deltas = nn.Conv2d(channels, 4 * anchors, 1)
        for layer in self.children():
            nn.init.normal_(layer.get_parameter("weight"), std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.conv(features))
        objectness = self.objectness(x).permute(0, 2, 3, 1).flatten(1)
        deltas = self.deltas(x).permute(0, 2, 3, 1)  # (B, H, W, 4 A)
        return objectness, deltas.reshape(len(x), -1, 4)


def rpn_loss(
    objectness: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    labels: Tensor,
    matched_gt_boxes: Tensor,
) -> dict[str, Tensor]:
    """The loss of S sampled anchors: a dict of ``rpn_object`` and ``rpn_box``.

    objectness (S,) logits; deltas, anchors and matched_gt_boxes (S, 4); labels (S,):
    above 0 an object. Only positives have a box loss; both sums are divided by S. Zero
    for S = 0.
    Source: Faster R-CNN, section 3.1.2. Lesson 08.
    """
    count = max(1, len(labels))
    positive = labels > 0
    object_loss = F.binary_cross_entropy_with_logits(
        objectness, positive.float(), reduction="sum"
    )
    boxes, anchors = matched_gt_boxes[positive], anchors[positive]
    wanted = encode_boxes(boxes, anchors, BOX_DELTA_STDS)
    box_loss = F.smooth_l1_loss(deltas[positive], wanted, reduction="sum")
    return {"rpn_object": object_loss / count, "rpn_box": box_loss / count}


def best_first(scores: Tensor, count: int) -> Tensor:
    """Indices of the `count` highest of (M,) scores, best first; ties: the first.

    The start of a stable sort, but only of those that may stand in it. Lesson 08.
    """
    able = torch.arange(len(scores), device=scores.device)
    if 0 < count < len(scores):
        limit = scores.topk(count).values[-1]
        able = able[~(scores < limit)]  # NaN stays: a sort puts it first
    return able[scores[able].argsort(descending=True, stable=True)[:count]]


class RPN(nn.Module):
    """The head, its anchors, how they are trained and what is made of them.

    rpn(features) gives (objectness logits (B, M), deltas (B, M, 4), anchors (M, 4)),
    from which `losses` and `proposals` are made. positive, negative: IoU limits of
    anchors; batch_size_per_image: anchors of each image that train, at most
    `positive_fraction` of them positive; pre_nms_top_n, post_nms_top_n (in training and
    in evaluation mode), nms_iou: see `filter_proposals`.
    Source: Faster R-CNN, section 3.1. Lesson 08.
    """

    mixed = True  # train the head in `mixed_precision`

    def __init__(
        self,
        channels: int,
        grid: AnchorGrid,
        positive: float = 0.7,
        negative: float = 0.3,
        batch_size_per_image: int = 128,
        positive_fraction: float = 0.5,
        pre_nms_top_n: int = 1000,
        post_nms_top_n_train: int = 200,
        post_nms_top_n_test: int = 50,
        nms_iou: float = 0.7,
    ) -> None:
        super().__init__()
        self.grid, self.head = grid, RPNHead(channels, len(grid))
        self.limits = {"positive": positive, "negative": negative, "force_best": True}
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction
        self.pre_nms_top_n, self.nms_iou = pre_nms_top_n, nms_iou
        self.post_nms_top_n_train = post_nms_top_n_train
        self.post_nms_top_n_test = post_nms_top_n_test

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with mixed_precision(self.training and self.mixed, features.device):
            objectness, deltas = self.head(features)
        height, width = features.shape[2:]
        anchors = self.grid(height, width, features.device)
        return objectness.float(), deltas.float(), anchors

    def losses(
        self, objectness: Tensor, deltas: Tensor, anchors: Tensor, targets: list[Target]
    ) -> dict[str, Tensor]:
        """`rpn_loss` of anchors sampled from each image."""
        parts, draw = [], (self.batch_size_per_image, self.positive_fraction)
        for *outputs, target in zip(objectness, deltas, targets):
            labels, matched_gt_boxes = assign_targets(anchors, target, **self.limits)
            i = sample_balanced(labels, *draw)
            given = *outputs, anchors, labels, matched_gt_boxes
            parts.append([tensor[i] for tensor in given])
        return rpn_loss(*(torch.cat(part) for part in zip(*parts)))

    @torch.no_grad()
    def proposals(
        self,
        objectness: Tensor,
        deltas: Tensor,
        anchors: Tensor,
        sizes: list[tuple[int, int]],
    ) -> list[tuple[Tensor, Tensor]]:
        """A list of (boxes (N, 4), scores (N,)), best first, without gradient.

        sizes: [(height, width)] of the images.
        """
        count = self.post_nms_top_n_train if self.training else self.post_nms_top_n_test
        limits, found = (self.pre_nms_top_n, count, self.nms_iou), []
        for scores, offsets, size in zip(objectness, deltas, sizes):
            # the best ones only: to decode all takes longer than to sort twice
            best = best_first(scores, self.pre_nms_top_n)
            boxes = decode_boxes(offsets[best], anchors[best], BOX_DELTA_STDS)
            found.append(filter_proposals(scores[best], boxes, size, *limits))
        return found


class ProposalNet(nn.Module):
    """A backbone and an `RPN` alone: a network that finds objects of any class.

    model(images, targets) in training mode gives the losses of `rpn_loss`;
    model(images) in evaluation mode a list of {"boxes": (N, 4), "scores": (N,)}, best
    first; scores are logits. Lesson 08.
    """

    def __init__(self, backbone: nn.Module, rpn: RPN, stride: int = 8) -> None:
        super().__init__()
        self.backbone, self.rpn, self.stride = backbone, rpn, stride

    def forward(
        self, images: list[Tensor], targets: list[Target] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        images = check_images(self, images)
        batch, sizes = stack_images(images, self.stride)
        if self.training:  # any class will do
            targets = check_targets(targets, math.inf, batch.device)
            logits, deltas, anchors = self.rpn(self.backbone(batch))
            return self.rpn.losses(logits, deltas, anchors, targets)
        with torch.no_grad():
            logits, deltas, anchors = self.rpn(self.backbone(batch))
            found = self.rpn.proposals(logits, deltas, anchors, sizes)
        return [{"boxes": boxes, "scores": scores} for boxes, scores in found]
