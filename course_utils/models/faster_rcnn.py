"""Faster R-CNN: a region proposal network and Fast R-CNN over one backbone."""

from course_utils.core.devices import check_images
from course_utils.models.fast_rcnn import FastRCNN, RegionHead
from course_utils.models.rpn import RPN
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.roi import roi_align
from course_utils.ops.targets import check_targets


class FasterRCNN(FastRCNN):
    """The whole detector: Fast R-CNN whose proposals come from its own features.

    backbone, head, settings: see `FastRCNN`; rpn: an `RPN`. model(images, targets) in
    training mode gives four losses, ``rpn_object``, ``rpn_box``, ``class`` and ``box``;
    model(images) in evaluation mode a list of detections. num_proposals: the RPN's.
    Source: Faster R-CNN, Ren et al. 2015. Lesson 09.
    """

    def __init__(self, backbone, rpn, head, pool=roi_align, **settings):
        super().__init__(backbone, head, pool=pool, num_proposals=None, **settings)
        self.rpn = rpn

    @property
    def num_proposals(self):
        return self.rpn.post_nms_top_n_test

    @num_proposals.setter
    def num_proposals(self, count):
        self.rpn.post_nms_top_n_test = count

    def losses(self, images, targets):
        images = check_images(self, images)
        targets = check_targets(targets, self.head.num_classes, images[0].device)
        batch, sizes = self.prepare(images)
        features = self.backbone(batch)
        outputs = self.rpn(features)
        proposals = [boxes for boxes, _ in self.rpn.proposals(*outputs, sizes)]
        losses = self.rpn.losses(*outputs, targets)
        return losses | self.region_losses(features, proposals, targets)

    def propose(self, images, features, sizes):
        """The proposals of each image, a list of (N, 4): by the RPN."""
        return [boxes for boxes, _ in self.rpn.proposals(*self.rpn(features), sizes)]


def new_faster_rcnn(backbone, num_classes, sizes=(16, 32, 64, 96), hidden=256):
    """A `FasterRCNN` for tabletop over a backbone; sizes: of the anchors. Lesson 09."""
    rpn = RPN(backbone.out_channels, AnchorGrid(sizes))
    head = RegionHead(backbone.out_channels, num_classes, 7, hidden)
    return FasterRCNN(backbone, rpn, head)
