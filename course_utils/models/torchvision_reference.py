"""torchvision's Faster R-CNN with our parts, to compare with."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.core.devices import check_images, device_of
from course_utils.core.timing import Timer
from course_utils.models.faster_rcnn import FasterRCNN
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.boxes import BOX_DELTA_STDS
from course_utils.ops.targets import Detections


class LibraryTwin(nn.Module):
    """torchvision's Faster R-CNN with the weights of a trained `FasterRCNN`.

    model: ours, with `roi_align`; size: (height, width) of all images. In evaluation
    mode twin(images) gives a list of detections; ``timer.seconds`` adds up the time of
    ``backbone``, ``proposals`` and ``regions``, NMS included. It runs torchvision's
    operations on our anchors: torchvision rounds its own, and puts them on the corners
    of the cells. Where an image is filled up to whole cells it is black, ours is grey.
    Lesson 10.
    """

    def __init__(self, model: FasterRCNN, size: tuple[int, int]) -> None:
        super().__init__()
        from torchvision.ops import roi_align  # here, because it takes 170 MB

        grid, head, rpn = model.rpn.grid, model.head, model.rpn
        pool, stride = head.pool_size, model.stride

        class Pool(nn.Module):
            def forward(self, maps, regions, sizes):
                return roi_align(maps["0"], regions, pool, 1 / stride, 2, aligned=True)

        self.net = library_faster_rcnn(
            copy.deepcopy(model.backbone),
            grid,
            head.num_classes,
            size,
            head.fc1.out_features,
            pool,
            rpn_post_nms_top_n_test=rpn.post_nms_top_n_test,
            rpn_nms_thresh=rpn.nms_iou,
            box_score_thresh=model.min_score,
            box_nms_thresh=model.nms_iou,
        ).eval()
        self.net.roi_heads.box_roi_pool = Pool()
        self.net.rpn.anchor_generator.cell_anchors = [grid.shapes + grid.stride / 2]
        # its RPN divides no deltas
        scale = torch.tensor(BOX_DELTA_STDS).repeat(len(grid))
        theirs, boxes = self.net.rpn.head, self.net.roi_heads.box_predictor.bbox_pred
        fully = self.net.roi_heads.box_head
        with torch.no_grad():
            for to, of in (
                (theirs.conv[0][0], rpn.head.conv),
                (theirs.cls_logits, rpn.head.objectness),
                (theirs.bbox_pred, rpn.head.deltas),
                (fully.fc6, head.fc1),
                (fully.fc7, head.fc2),
                (self.net.roi_heads.box_predictor.cls_score, head.logits),
            ):
                to.load_state_dict(of.state_dict())
            theirs.bbox_pred.weight.mul_(scale[:, None, None, None])
            theirs.bbox_pred.bias.mul_(scale)
            boxes.weight[4:], boxes.bias[4:] = head.deltas.weight, head.deltas.bias
        self.min_score, self.timer = model.min_score, Timer()
        self.to(device_of(model))

    @property
    def num_proposals(self) -> int:
        return self.net.rpn._post_nms_top_n["testing"]

    @num_proposals.setter
    def num_proposals(self, count: int) -> None:
        self.net.rpn._post_nms_top_n["testing"] = count

    @torch.no_grad()
    def score_regions(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, K) and boxes (N, K, 4) of its proposals, before NMS."""
        net, heads = self.net, self.net.roi_heads
        batch, _ = net.transform(check_images(self, [image]))
        maps = {"0": net.backbone(batch.tensors)}
        regions, _ = net.rpn(batch, maps)
        pooled = heads.box_roi_pool(maps, regions, batch.image_sizes)
        logits, deltas = heads.box_predictor(heads.box_head(pooled))
        boxes = heads.box_coder.decode(deltas, regions)  # (N, num_classes, 4)
        return logits.softmax(1)[:, 1:], boxes[:, 1:]

    @torch.no_grad()
    def forward(self, images: list[Tensor]) -> list[Detections]:
        net, images = self.net, check_images(self, images)
        with self.timer("backbone"):
            batch, _ = net.transform(images)
            maps = {"0": net.backbone(batch.tensors)}
        with self.timer("proposals"):
            regions, _ = net.rpn(batch, maps)
        with self.timer("regions"):
            return net.roi_heads(maps, regions, batch.image_sizes)[0]


def library_faster_rcnn(
    backbone: nn.Module,
    grid: AnchorGrid,
    num_classes: int,
    size: tuple[int, int],
    hidden: int = 256,
    pool_size: int = 7,
    **settings: Any,
) -> Any:
    """torchvision's Faster R-CNN with our backbone, anchors and settings.

    backbone: needs ``out_channels``; grid: an `AnchorGrid` that was given `sizes` and
    `ratios`; size: (height, width) of all images, which stay as they are; settings:
    others of torchvision's `FasterRCNN`. Lesson 09.
    """
    # Imported here, because torchvision takes 170 MB.
    from torchvision.models.detection import FasterRCNN as LibraryFasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.ops import MultiScaleRoIAlign

    flat = backbone.out_channels * pool_size**2  # type: ignore[operator]
    ours = {
        "min_size": min(size),
        "max_size": max(size),
        "size_divisible": grid.stride,
        "image_mean": (0.0, 0.0, 0.0),
        "image_std": (1.0, 1.0, 1.0),
        "rpn_anchor_generator": AnchorGenerator((grid.sizes,), (grid.ratios,)),
        "rpn_pre_nms_top_n_train": 1000,
        "rpn_pre_nms_top_n_test": 1000,
        "rpn_post_nms_top_n_train": 200,
        "rpn_post_nms_top_n_test": 50,
        "rpn_batch_size_per_image": 128,
        "box_roi_pool": MultiScaleRoIAlign(["0"], pool_size, 2),
        "box_head": TwoMLPHead(flat, hidden),
        "box_predictor": FastRCNNPredictor(hidden, num_classes),
        "box_batch_size_per_image": 64,
        "box_score_thresh": 0.02,
        "box_nms_thresh": 0.3,
    }
    return LibraryFasterRCNN(backbone, **(ours | settings))
