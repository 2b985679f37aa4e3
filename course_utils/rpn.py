"""The region proposal network: which anchors hold an object, and where exactly."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.boxes import clip_boxes, decode_boxes, encode_boxes, nms
from course_utils.data import check_targets
from course_utils.devices import check_images
from course_utils.env import mixed_precision
from course_utils.fast_rcnn import STDS, stack_images
from course_utils.matching import label_boxes, sample_balanced


class RPNHead(nn.Module):
    """A 3 x 3 convolution, then two siblings: objectness and deltas of each anchor.

    features (B, C, H, W) -> objectness (B, HWA), deltas (B, HWA, 4), in the order of
    `AnchorGrid`. Source: Faster R-CNN, figure 3 and section 3.1.3 (the first weights).
    Lesson 08.
    """

    def __init__(self, channels, anchors):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, anchors, 1)
        self.deltas = nn.Conv2d(channels, 4 * anchors, 1)
        for layer in self.children():
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, features):
        x = torch.relu(self.conv(features))
        objectness = self.objectness(x).permute(0, 2, 3, 1).flatten(1)
        deltas = self.deltas(x).permute(0, 2, 3, 1)  # (B, H, W, 4 A)
        return objectness, deltas.reshape(len(x), -1, 4)


def rpn_loss(objectness, deltas, anchors, labels, objects):
    """The loss of S sampled anchors: a dict of ``rpn_object`` and ``rpn_box``.

    objectness (S,), deltas, anchors and objects (S, 4), labels (S,): above 0 an object.
    Only positives have a box loss; both sums are divided by S. Zero for S = 0.
    Source: Faster R-CNN, section 3.1.2. Lesson 08.
    """
    count = max(1, len(labels))
    positive = labels > 0
    judge = F.binary_cross_entropy_with_logits(
        objectness, positive.float(), reduction="sum"
    )
    wanted = encode_boxes(objects[positive], anchors[positive], STDS)
    locate = F.smooth_l1_loss(deltas[positive], wanted, reduction="sum")
    return {"rpn_object": judge / count, "rpn_box": locate / count}


def pick_proposals(objectness, boxes, size, before=1000, after=100, nms_iou=0.7):
    """The best boxes of one image, without near copies: (N, 4), scores (N,).

    objectness (M,), boxes (M, 4), size (height, width). The best `before` are clipped,
    those under one pixel dropped, and of the rest the best `after` that survive NMS
    are taken. Source: Faster R-CNN, section 3.3. Lesson 08.
    """
    best = objectness.argsort(descending=True, stable=True)[:before]  # ties: the first
    boxes, scores = clip_boxes(boxes[best], size), objectness[best]
    real = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
    boxes, scores = boxes[real], scores[real]
    keep = nms(boxes, scores, nms_iou, after)
    return boxes[keep], scores[keep]


def best_first(scores, count):
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

    rpn(features) gives (objectness (B, M), deltas (B, M, 4), anchors (M, 4)), from
    which `losses` and `proposals` are made. positive, negative: IoU limits of anchors;
    samples: anchors of each image that train, at most `share` of them positive; before,
    train_after, test_after, nms_iou: see `pick_proposals`.
    Source: Faster R-CNN, section 3.1. Lesson 08.
    """

    mixed = True  # train the head in `mixed_precision`

    def __init__(
        self,
        channels,
        grid,
        positive=0.7,
        negative=0.3,
        samples=128,
        share=0.5,
        before=1000,
        train_after=200,
        test_after=50,
        nms_iou=0.7,
    ):
        super().__init__()
        self.grid, self.head = grid, RPNHead(channels, len(grid))
        self.limits = {"positive": positive, "negative": negative, "force_best": True}
        self.samples, self.share, self.before = samples, share, before
        self.train_after, self.test_after = train_after, test_after
        self.nms_iou = nms_iou

    def forward(self, features):
        with mixed_precision(self.training and self.mixed, features.device):
            objectness, deltas = self.head(features)
        anchors = self.grid(*features.shape[2:], features.device)
        return objectness.float(), deltas.float(), anchors

    def losses(self, objectness, deltas, anchors, targets):
        """`rpn_loss` of anchors sampled from each image."""
        parts = []
        for scores, moves, target in zip(objectness, deltas, targets):
            labels, objects = label_boxes(anchors, target, **self.limits)
            i = sample_balanced(labels, self.samples, self.share)
            parts.append((scores[i], moves[i], anchors[i], labels[i], objects[i]))
        return rpn_loss(*(torch.cat(part) for part in zip(*parts)))

    @torch.no_grad()
    def proposals(self, objectness, deltas, anchors, sizes):
        """A list of (boxes (N, 4), scores (N,)), best first, without gradient.

        sizes: [(height, width)] of the images.
        """
        after = self.train_after if self.training else self.test_after
        found = []
        for scores, moves, size in zip(objectness, deltas, sizes):
            # the best ones only: to decode all takes longer than to sort twice
            best = best_first(scores, self.before)
            boxes = decode_boxes(moves[best], anchors[best], STDS)
            limits = self.before, after, self.nms_iou
            found.append(pick_proposals(scores[best], boxes, size, *limits))
        return found


class ProposalNet(nn.Module):
    """A trunk and an `RPN` alone: a network that finds objects of any class.

    model(images, targets) in training mode gives the losses of `rpn_loss`;
    model(images) in evaluation mode a list of {"boxes": (N, 4), "scores": (N,)}, best
    first; scores are logits. Lesson 08.
    """

    def __init__(self, trunk, rpn, stride=8):
        super().__init__()
        self.trunk, self.rpn, self.stride = trunk, rpn, stride

    def forward(self, images, targets=None):
        images = check_images(self, images)
        batch, sizes = stack_images(images, self.stride)
        if self.training:  # any class will do
            targets = check_targets(targets, math.inf, batch.device)
            return self.rpn.losses(*self.rpn(self.trunk(batch)), targets)
        with torch.no_grad():
            found = self.rpn.proposals(*self.rpn(self.trunk(batch)), sizes)
        return [{"boxes": boxes, "scores": scores} for boxes, scores in found]
