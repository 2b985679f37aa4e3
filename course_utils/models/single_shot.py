"""A single shot detector: each anchor names its object, without a second look."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.core.devices import check_images
from course_utils.core.timing import Timer
from course_utils.models.backbone import ResidualBlock, SmallResNet
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.batches import stack_images
from course_utils.ops.boxes import BOX_DELTA_STDS, decode_boxes, encode_boxes
from course_utils.ops.matching import assign_targets
from course_utils.ops.postprocess import postprocess_detections
from course_utils.ops.targets import Detections, Target, check_targets


class ShotHead(nn.Module):
    """A 3 x 3 convolution, then two siblings: class logits and deltas of each anchor.

    features (B, C, H, W) -> logits (B, HWA, K), deltas (B, HWA, 4), in the order of
    `AnchorGrid`. At first every class has the chance `prior`, since nearly all anchors
    are background. Source: RetinaNet, Lin et al. 2017, section 4. Lesson 11.
    """

    def __init__(
        self, channels: int, anchors: int, num_classes: int, prior: float = 0.01
    ) -> None:
        super().__init__()
        self.classes = num_classes - 1
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.logits = nn.Conv2d(channels, anchors * self.classes, 1)
        self.deltas = nn.Conv2d(channels, anchors * 4, 1)
        nn.init.normal_(self.logits.weight, std=0.01)
        bias = self.logits.get_parameter("bias")
        nn.init.constant_(bias, torch.logit(torch.tensor(prior)).item())
        nn.init.normal_(self.deltas.weight, std=0.01)  # anchors start unmoved

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.conv(features))
        logits, deltas = (
            part.permute(0, 2, 3, 1) for part in (self.logits(x), self.deltas(x))
        )
        return (
            logits.reshape(len(x), -1, self.classes),
            deltas.reshape(len(x), -1, 4),
        )


def focal_loss(
    logits: Tensor, wanted: Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """Cross-entropy of yes-or-no questions, less of it where the network is sure.

    logits, wanted (0 or 1): any one shape; gives the loss of each, in that shape.
    alpha: weight of yes, 1 - alpha of no; gamma = 0 and alpha = 0.5 give half the plain
    cross-entropy. Source: RetinaNet, equation 5. Lesson 11.
    """
    loss = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    probability = logits.sigmoid()
    miss = wanted * (1 - probability) + (1 - wanted) * probability  # 0 to 1
    return (wanted * alpha + (1 - wanted) * (1 - alpha)) * miss**gamma * loss


def hard_negative_loss(logits: Tensor, wanted: Tensor, ratio: int = 3) -> Tensor:
    """Cross-entropy of the positives and the worst negatives, 0 for all others.

    logits, wanted (S, K), 0 or 1; gives (S, K). Taken are rows that hold a 1, and
    `ratio` times as many of the others, at least `ratio`: those of the largest loss.
    Source: SSD, Liu et al. 2016, section 2.2. Lesson 11.
    """
    loss = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    positive = wanted.any(1)
    count = ratio * max(1, int(positive.sum()))
    worst = loss.detach().sum(1).masked_fill(positive, -1)
    chosen = positive.clone()
    chosen[worst.topk(min(count, int((~positive).sum()))).indices] = True
    return loss * chosen[:, None]


def shot_loss(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    labels: Tensor,
    matched_gt_boxes: Tensor,
    classify: Callable = focal_loss,
) -> dict[str, Tensor]:
    """The loss of all M anchors of one image: a dict of ``class`` and ``box``.

    logits (M, K), deltas, anchors and matched_gt_boxes (M, 4), labels (M,): 0
    background, -1 trains nothing. Both sums are divided by the number of positives, at
    least 1.
    Source: SSD, section 2.2; RetinaNet, section 4.1. Lesson 11.
    """
    used, positive = labels >= 0, labels > 0
    count = max(1, int(positive.sum()))
    wanted = F.one_hot(labels[used], logits.shape[1] + 1)[:, 1:].float()
    class_loss = classify(logits[used], wanted).sum()
    boxes, anchors = matched_gt_boxes[positive], anchors[positive]
    offsets = encode_boxes(boxes, anchors, BOX_DELTA_STDS)
    box_loss = F.smooth_l1_loss(deltas[positive], offsets, reduction="sum", beta=1 / 9)
    return {"class": class_loss / count, "box": box_loss / count}


class SingleShot(nn.Module):
    """The whole detector: two feature maps, anchors on both, detections from each.

    backbone: images (B, 3, H, W) -> (B, C, H / 8, W / 8); a residual block halves that
    for large objects. sizes: of the anchors on each of the two maps; classify:
    `focal_loss` or `hard_negative_loss`; min_score, nms_iou: see
    `postprocess_detections`; num_proposals: best anchors that go to NMS.

    model(images, targets) in training mode gives the losses ``class`` and ``box``;
    model(images) in evaluation mode a list of detections. ``timer.seconds`` adds up
    ``backbone``, ``regions`` (the heads) and ``nms``.
    Source: SSD, Liu et al. 2016; RetinaNet, Lin et al. 2017. Lesson 11.
    """

    def __init__(
        self,
        backbone: SmallResNet,
        num_classes: int,
        sizes: Sequence[Sequence[float]] = ((12, 20, 32), (48, 64, 96)),
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        classify: Callable = hard_negative_loss,
        min_score: float = 0.02,
        nms_iou: float = 0.4,
        num_proposals: int = 300,
    ) -> None:
        super().__init__()
        channels = backbone.out_channels
        self.backbone, self.num_classes = backbone, num_classes
        self.coarser = ResidualBlock(channels, channels, stride=2)
        self.grids = [
            AnchorGrid(s, ratios, stride) for s, stride in zip(sizes, (8, 16))
        ]
        self.heads = nn.ModuleList(
            ShotHead(channels, len(grid), num_classes) for grid in self.grids
        )
        self.limits = {"positive": 0.4, "negative": 0.35, "force_best": True}
        self.classify, self.num_proposals = classify, num_proposals
        self.min_score, self.nms_iou = min_score, nms_iou
        self.timer = Timer()

    def forward(
        self, images: list[Tensor], targets: list[Target] | None = None
    ) -> dict[str, Tensor] | list[Detections]:
        if self.training:
            return self.losses(images, targets)
        return self.detections(images)

    def outputs(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """From both maps: logits (B, M, K), deltas (B, M, 4), anchors (M, 4)."""
        logits, deltas = zip(*[head(m) for head, m in zip(self.heads, maps)])
        anchors = [
            grid(m.shape[2], m.shape[3], m.device) for grid, m in zip(self.grids, maps)
        ]
        return torch.cat(logits, 1), torch.cat(deltas, 1), torch.cat(anchors)

    def maps(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(batch)
        return features, self.coarser(features)

    def losses(
        self, images: list[Tensor], targets: list[Target] | None
    ) -> dict[str, Tensor]:
        batch, _ = stack_images(check_images(self, images), 16)
        targets = check_targets(targets, self.num_classes, batch.device)
        logits, deltas, anchors = self.outputs(self.maps(batch))
        parts = []
        for class_logits, box_deltas, target in zip(logits, deltas, targets):
            wanted = assign_targets(anchors, target, **self.limits)
            outputs = class_logits, box_deltas, anchors
            parts.append(shot_loss(*outputs, *wanted, self.classify))
        zero = logits.new_zeros(())
        return {k: sum((p[k] for p in parts), zero) / len(parts) for k in parts[0]}

    @torch.no_grad()
    def detections(self, images: list[Tensor]) -> list[Detections]:
        with self.timer("backbone"):
            batch, sizes = stack_images(check_images(self, images), 16)
            maps = self.maps(batch)
        with self.timer("regions"):
            logits, deltas, anchors = self.outputs(maps)
        with self.timer("nms"):
            found = [self.best_boxes(*part, anchors) for part in zip(logits, deltas)]
            return [
                postprocess_detections(*part, size, self.min_score, self.nms_iou)
                for part, size in zip(found, sizes)
            ]

    @torch.no_grad()
    def score_regions(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, K) and boxes (N, K, 4) of its best anchors, before NMS."""
        batch, _ = stack_images(check_images(self, [image]), 16)
        logits, deltas, anchors = self.outputs(self.maps(batch))
        return self.best_boxes(logits[0], deltas[0], anchors)

    def best_boxes(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Probabilities (N, K) and boxes (N, K, 4) of the best anchors of an image."""
        best = logits.amax(1).argsort(descending=True, stable=True)
        best = best[: self.num_proposals]
        scores = logits[best].sigmoid()
        boxes = decode_boxes(deltas[best], anchors[best], BOX_DELTA_STDS)
        return scores, boxes[:, None].expand(-1, scores.shape[1], -1)
