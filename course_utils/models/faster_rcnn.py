"""Faster R-CNN: a region proposal network and Fast R-CNN over one backbone."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from course_utils.core.devices import check_images
from course_utils.models.backbone import SmallResNet
from course_utils.models.fast_rcnn import FastRCNN, RegionHead
from course_utils.models.rpn import RPN
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.roi import roi_align
from course_utils.ops.targets import Target, check_targets


class FasterRCNN(FastRCNN):
    """The whole detector: Fast R-CNN whose proposals come from its own features.

    backbone, head, settings: see `FastRCNN`; rpn: an `RPN`. model(images, targets) in
    training mode gives four losses, ``rpn_object``, ``rpn_box``, ``class`` and ``box``;
    model(images) in evaluation mode a list of detections. num_proposals: the RPN's.
    Source: Faster R-CNN, Ren et al. 2015. Lesson 09.
    """

    def __init__(
        self,
        backbone: nn.Module,
        rpn: RPN,
        head: RegionHead,
        pool: Callable = roi_align,
        **settings: Any,
    ) -> None:
        super().__init__(backbone, head, pool=pool, num_proposals=None, **settings)
        self.rpn = rpn

    @property
    def num_proposals(self) -> int:
        return self.rpn.post_nms_top_n_test

    @num_proposals.setter
    def num_proposals(self, count: int) -> None:
        self.rpn.post_nms_top_n_test = count

    def losses(
        self, images: list[Tensor], targets: list[Target] | None
    ) -> dict[str, Tensor]:
        images = check_images(self, images)
        targets = check_targets(targets, self.head.num_classes, images[0].device)
        batch, sizes = self.prepare(images)
        features = self.backbone(batch)
        logits, deltas, anchors = self.rpn(features)
        losses = self.rpn.losses(logits, deltas, anchors, targets)
        found = self.rpn.proposals(logits, deltas, anchors, sizes)
        return losses | self.region_losses(features, [b for b, _ in found], targets)

    def propose(
        self, images: list[Tensor], features: Tensor, sizes: list[tuple[int, int]]
    ) -> list[Tensor]:
        outputs: tuple[Tensor, Tensor, Tensor] = self.rpn(features)
        return [boxes for boxes, _ in self.rpn.proposals(*outputs, sizes)]


def new_faster_rcnn(
    backbone: SmallResNet,
    num_classes: int,
    sizes: Sequence[float] = (16, 32, 64, 96),
    hidden: int = 256,
) -> FasterRCNN:
    """A `FasterRCNN` for tabletop over a backbone; sizes: of the anchors. Lesson 09."""
    rpn = RPN(backbone.out_channels, AnchorGrid(sizes))
    head = RegionHead(backbone.out_channels, num_classes, 7, hidden)
    return FasterRCNN(backbone, rpn, head)
