"""Fast R-CNN: the image once through the backbone, then a head for each region."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.core.devices import check_images, to_device
from course_utils.core.precision import mixed_precision
from course_utils.core.timing import Timer
from course_utils.ops.batches import stack_images
from course_utils.ops.boxes import BOX_DELTA_STDS, decode_boxes, encode_boxes
from course_utils.ops.matching import assign_targets, sample_balanced
from course_utils.ops.postprocess import postprocess_detections
from course_utils.ops.roi import roi_align
from course_utils.ops.targets import Detections, Target, check_targets
from course_utils.proposals.selective_search import selective_search


class RegionHead(nn.Module):
    """Two fully connected layers, then two siblings: class logits and box deltas.

    pooled (R, C, P, P) -> logits (R, num_classes), 0 for background, and deltas
    (R, num_classes - 1, 4), a box for each class. Source: Fast R-CNN, figure 1.
    Lesson 07.
    """

    def __init__(
        self, channels: int, num_classes: int, pool_size: int = 7, hidden: int = 256
    ) -> None:
        super().__init__()
        self.pool_size, self.num_classes = pool_size, num_classes
        self.fc1 = nn.Linear(channels * pool_size**2, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.logits = nn.Linear(hidden, num_classes)
        self.deltas = nn.Linear(hidden, 4 * (num_classes - 1))

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.fc2(torch.relu(self.fc1(pooled.flatten(1)))))
        return self.logits(x), self.deltas(x).unflatten(1, (-1, 4))


def sample_regions(
    proposals: Tensor,
    target: Target,
    batch_size: int = 64,
    positive_fraction: float = 0.25,
) -> tuple[Tensor, Tensor, Tensor]:
    """The regions of one image that train the head.

    proposals (N, 4), joined by the ground-truth boxes. Returns boxes (S, 4), labels
    (S,): class from IoU 0.5 on, else 0; matched_gt_boxes (S, 4): the ground-truth box
    of each positive. Source: Fast R-CNN, section 2.3. Lesson 07.
    """
    boxes = torch.cat([proposals, target["boxes"]])
    labels, matched_gt_boxes = assign_targets(boxes, target)
    chosen = sample_balanced(labels, batch_size, positive_fraction)
    return boxes[chosen], labels[chosen], matched_gt_boxes[chosen]


def head_loss(
    logits: Tensor,
    deltas: Tensor,
    boxes: Tensor,
    labels: Tensor,
    matched_gt_boxes: Tensor,
) -> dict[str, Tensor]:
    """The multi-task loss of S sampled regions: a dict of ``class`` and ``box``.

    logits (S, num_classes), deltas (S, K, 4), boxes and matched_gt_boxes (S, 4),
    labels (S,). Only positives have a box loss, and only the deltas of their own
    class; both sums are divided by S. Zero for S = 0.
    Source: Fast R-CNN, section 2.3. Lesson 07.
    """
    count = max(1, len(labels))
    class_loss = F.cross_entropy(logits, labels, reduction="sum") / count
    row = (labels > 0).nonzero().flatten()
    own = deltas[row, labels[row] - 1]
    wanted = encode_boxes(matched_gt_boxes[row], boxes[row], BOX_DELTA_STDS)
    box_loss = F.smooth_l1_loss(own, wanted, reduction="sum", beta=1 / 9) / count
    return {"class": class_loss, "box": box_loss}


def score_boxes(
    logits: Tensor, deltas: Tensor, regions: Tensor
) -> tuple[Tensor, Tensor]:
    """From the head's outputs to probabilities (R, K) and boxes (R, K, 4).

    logits (R, num_classes), deltas (R, K, 4), regions (R, 4). Lesson 07.
    """
    boxes = decode_boxes(deltas, regions[:, None], BOX_DELTA_STDS)
    return logits.softmax(1)[:, 1:], boxes


class FastRCNN(nn.Module):
    """The whole detector; its proposals come from outside.

    backbone: images (B, 3, H, W) -> features, one cell for `stride` pixels; head: a
    `RegionHead`; pool: `roi_align`, or `roi_pool` as in the paper; num_proposals: of a
    test image; batch_size_per_image: regions sampled from each training image;
    min_score, nms_iou: see `postprocess_detections`; prepare: makes of a list of images
    one batch for the backbone, and their sizes, by default `stack_images`.

    model(images, targets) in training mode gives the losses ``class`` and ``box``;
    targets hold ``proposals`` (N, 4) as well. model(images) in evaluation mode runs
    selective search and gives a list of detections; `detections` takes ready proposals.
    ``timer.seconds`` adds up ``backbone``, ``proposals``, ``regions`` and ``nms``.
    Source: Fast R-CNN, Girshick 2015. Lesson 07.
    """

    mixed = True  # train the RoI layer and the head in `mixed_precision`

    def __init__(
        self,
        backbone: nn.Module,
        head: RegionHead,
        stride: int = 8,
        pool: Callable = roi_align,
        num_proposals: int | None = 200,
        batch_size_per_image: int = 64,
        min_score: float = 0.02,
        nms_iou: float = 0.3,
        prepare: Callable | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.stride, self.pool = stride, pool
        if num_proposals is not None:  # Faster R-CNN asks its RPN
            self.num_proposals = num_proposals
        self.batch_size_per_image = batch_size_per_image
        self.min_score, self.nms_iou = min_score, nms_iou
        self.prepare = prepare or partial(stack_images, stride=stride)
        self.timer = Timer()

    def forward(
        self, images: list[Tensor], targets: list[Target] | None = None
    ) -> dict[str, Tensor] | list[Detections]:
        if self.training:
            return self.losses(images, targets)
        return self.detections(images)

    def losses(
        self, images: list[Tensor], targets: list[Target] | None
    ) -> dict[str, Tensor]:
        images = check_images(self, images)
        targets = check_targets(targets, self.head.num_classes, images[0].device)
        if any("proposals" not in target for target in targets):
            raise ValueError(
                "Fast R-CNN trains on given proposals: add target['proposals'], (N, 4),"
                " as datasets.Scenes(dataset, proposals) does"
            )
        proposals = [target["proposals"] for target in targets]
        features = self.backbone(self.prepare(images)[0])
        return self.region_losses(features, proposals, targets)

    def region_losses(
        self, features: Tensor, proposals: list[Tensor], targets: list[Target]
    ) -> dict[str, Tensor]:
        """Losses of regions sampled from the proposals, a list of (N, 4)."""
        sampled = [
            sample_regions(boxes, target, self.batch_size_per_image)
            for boxes, target in zip(proposals, targets)
        ]
        boxes, labels, matched_gt_boxes = zip(*sampled)
        with mixed_precision(self.training and self.mixed, features.device):
            logits, deltas = self.head(self.pooled(features, boxes))
        known = (torch.cat(part) for part in (boxes, labels, matched_gt_boxes))
        return head_loss(logits.float(), deltas.float(), *known)

    def propose(
        self, images: list[Tensor], features: Tensor, sizes: list[tuple[int, int]]
    ) -> list[Tensor]:
        """The proposals of each image, a list of (N, 4): here by selective search."""
        return [selective_search(image, self.num_proposals) for image in images]

    @torch.no_grad()
    def detections(
        self, images: list[Tensor], proposals: list[Tensor] | None = None
    ) -> list[Detections]:
        """Detections for each image; proposals: a list of (N, 4), if there are any."""
        images = check_images(self, images)
        with self.timer("backbone"):
            batch, sizes = self.prepare(images)
            features = self.backbone(batch)
        if proposals is None:
            with self.timer("proposals"):
                proposals = self.propose(images, features, sizes)
        proposals = to_device(proposals, features.device)
        with self.timer("regions"):
            logits, deltas = self.head(self.pooled(features, proposals))
        with self.timer("nms"):
            counts = [len(boxes) for boxes in proposals]
            scores, boxes = score_boxes(logits, deltas, torch.cat(proposals))
            parts = zip(scores.split(counts), boxes.split(counts), sizes)
            limits = self.min_score, self.nms_iou
            return [postprocess_detections(*part, *limits) for part in parts]

    @torch.no_grad()
    def score_regions(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, K) and boxes (N, K, 4) of its proposals, before NMS."""
        images = check_images(self, [image])
        batch, sizes = self.prepare(images)
        features = self.backbone(batch)
        (regions,) = self.propose(images, features, sizes)
        logits, deltas = self.head(self.pooled(features, [regions]))
        return score_boxes(logits, deltas, regions)

    def pooled(self, features: Tensor, regions: Sequence[Tensor]) -> Tensor:
        """The features of each region, (R, C, P, P)."""
        return self.pool(features, list(regions), self.head.pool_size, 1 / self.stride)


def compress(layer: nn.Linear, rank: int) -> nn.Sequential:
    """A linear layer as two small ones, by singular value decomposition.

    (D_out, D_in) weights become rank * (D_in + D_out): W is near U S V^T, cut off after
    the `rank` largest singular values, on the layer's device. Raises ValueError for a
    rank that the layer cannot have. Source: Fast R-CNN, section 3.1. Lesson 07.
    """
    d_out, d_in = layer.weight.shape
    if not 1 <= rank <= min(d_out, d_in):
        most = min(d_out, d_in)
        raise ValueError(f"rank {rank}: a layer {d_in} -> {d_out} has 1 to {most}")
    u, s, v = torch.linalg.svd(layer.weight.detach().float(), full_matrices=False)
    first, second = nn.Linear(d_in, rank, bias=False), nn.Linear(rank, d_out)
    first.weight.data.copy_(s[:rank, None] * v[:rank])
    second.weight.data.copy_(u[:, :rank])
    second.bias.data.copy_(layer.bias.detach())
    return nn.Sequential(first, second).to(layer.weight.device)
