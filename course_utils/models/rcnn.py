"""R-CNN: warped regions, a CNN, linear SVMs and box regression."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.core.devices import check_images, device_of
from course_utils.core.timing import Timer
from course_utils.models.backbone import SmallResNet
from course_utils.ops.boxes import decode_boxes
from course_utils.ops.postprocess import postprocess_detections
from course_utils.ops.targets import Detections
from course_utils.proposals.selective_search import selective_search


def decision_function(
    features: Tensor | np.ndarray, weight: Tensor, bias: Tensor, part: int = 2048
) -> Tensor:
    """features @ weight + bias in float32, a part at a time to save memory.

    features: tensor or array (R, D), may be float16 on disk; weight (D, K), bias (K,)
    tensors -> tensor (R, K) on their device. Lesson 05.
    """
    weight, bias = weight.float(), bias.float()
    parts = [weight.new_zeros(0, weight.shape[1])]
    for start in range(0, len(features), part):
        some = features[start : start + part]
        if not torch.is_tensor(some):
            some = torch.from_numpy(np.asarray(some, np.float32))
        parts.append(some.to(weight.device).float() @ weight + bias)
    return torch.cat(parts)


def warp_regions(
    image: Tensor, boxes: Tensor, side: int = 72, context: int = 9
) -> Tensor:
    """Cut out boxes and warp each to a square, whatever its shape.

    image (3, H, W), boxes (N, 4) -> (N, 3, side, side). The box fills the inner square;
    a frame of `context` pixels shows what lies around it. Beyond the image's border
    stands the image's mean colour. Raises ValueError if the frame leaves no room.
    Source: R-CNN, appendix A. Lesson 05.
    """
    inner = side - 2 * context
    if inner < 1:
        raise ValueError(f"side {side} leaves no room inside context {context}")
    image, boxes = image.float(), boxes.float()[:, None]  # (N, 1, 4)
    corner, end = boxes[..., :2], boxes[..., 2:]
    # Pixel centers of the square, in parts of the box: 0 is its left edge, 1 its right.
    place = (torch.arange(side, device=boxes.device) + 0.5 - context) / inner
    size = torch.tensor(image.shape[:0:-1], device=boxes.device)  # width, height
    points = (corner + place[:, None] * (end - corner)) * 2 / size - 1  # -1 .. 1
    x, y = points[:, None, :, 0], points[:, :, None, 1]
    grid = torch.stack(torch.broadcast_tensors(x, y), 3)  # (N, side, side, 2)
    mean = image.mean((1, 2), keepdim=True)
    images = (image - mean).expand(len(boxes), -1, -1, -1)
    return F.grid_sample(images, grid, align_corners=False) + mean


class RegionNet(nn.Module):
    """Backbone, average over P x P parts of its map, and a linear layer for a softmax.

    net(crops, targets) gives the loss ``class`` in training mode, with targets
    {"labels": (N,)}, 0 for background; `features` gives what SVMs and box regression
    read, (N, 3, S, S) -> (N, P P C). Lesson 05.
    """

    def __init__(self, backbone: SmallResNet, num_classes: int, parts: int = 3) -> None:
        super().__init__()
        self.backbone, self.parts = backbone, parts
        self.size = parts**2 * backbone.out_channels
        self.last = nn.Linear(self.size, num_classes)

    def features(self, crops: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(self.backbone(crops), self.parts).flatten(1)

    def forward(self, crops: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        (crops,) = check_images(self, [crops])
        logits = self.last(self.features(crops))
        labels = targets["labels"].to(logits.device)
        return {"class": F.cross_entropy(logits, labels)}


@torch.no_grad()
def region_features(
    net: RegionNet, image: Tensor, regions: Tensor, side: int, batch: int = 64
) -> Tensor:
    """Features of all regions of an image: (N, 4) -> (N, net.size). Lesson 05.

    Image and regions are moved to the network's device, where the features stay.
    """
    net.eval()
    image, regions = image.to(device_of(net)), regions.to(device_of(net))
    parts = [
        net.features(warp_regions(image, some, side)) for some in regions.split(batch)
    ]
    return torch.cat(parts) if parts else image.new_zeros(0, net.size)


class RCNN(nn.Module):
    """The whole detector: model(images) in evaluation mode gives a list of detections.

    net: a `RegionNet`; its SVMs and box regressors are set by
    `set_svms_and_regressors`; num_proposals: of an image. Scores are decision values
    of SVMs, not probabilities: 0 is the border. ``timer.seconds`` adds up the time of
    ``proposals``, ``regions`` and ``nms``. There is no training mode, because R-CNN is
    trained in stages. Source: R-CNN, Girshick et al. 2014. Lesson 05.
    """

    def __init__(
        self,
        net: RegionNet,
        num_classes: int,
        side: int = 72,
        num_proposals: int = 200,
        min_score: float = -1.5,
    ) -> None:
        super().__init__()
        self.net, self.side = net, side
        self.num_proposals, self.min_score = num_proposals, min_score
        self.timer = Timer()
        k = num_classes - 1
        self.scale = nn.Buffer(torch.ones(()))
        self.svm_weight = nn.Buffer(torch.zeros(net.size, k))
        self.svm_bias = nn.Buffer(torch.zeros(k))
        self.box_weight = nn.Buffer(torch.zeros(k, net.size, 4))
        self.box_bias = nn.Buffer(torch.zeros(k, 4))

    def set_svms_and_regressors(
        self,
        scale: float,
        svm: tuple[Tensor, Tensor],
        regression: tuple[Tensor, Tensor],
    ) -> None:
        """scale: divides features; svm, regression: pairs of weights and biases."""
        self.scale.fill_(scale)
        for name, value in zip(("svm_weight", "svm_bias"), svm):
            getattr(self, name).copy_(value)
        for name, value in zip(("box_weight", "box_bias"), regression):
            getattr(self, name).copy_(value)

    def score_features(
        self, features: Tensor | np.ndarray, regions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decision values (N, K) and regressed boxes (N, K, 4) of N regions.

        features: tensor or array (N, D), not scaled yet; regions: (N, 4), on the
        model's device.
        """
        weight = self.svm_weight / self.scale
        scores = decision_function(features, weight, self.svm_bias)
        weight = self.box_weight.permute(1, 0, 2).flatten(1) / self.scale  # (D, 4 K)
        deltas = decision_function(features, weight, self.box_bias.flatten())
        deltas = deltas.view(len(regions), -1, 4)
        return scores, decode_boxes(deltas, regions[:, None])

    @torch.no_grad()
    def score_regions(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Decision values (N, K) and boxes (N, K, 4) of its proposals, before NMS."""
        (image,) = check_images(self, [image])
        with self.timer("proposals"):
            regions = selective_search(image, self.num_proposals)
        with self.timer("regions"):
            features = region_features(self.net, image, regions, self.side)
            return self.score_features(features, regions)

    @torch.no_grad()
    def forward(self, images: list[Tensor]) -> list[Detections]:
        if self.training:
            raise RuntimeError(
                "R-CNN is trained in stages (lesson 05); use model.eval()"
            )
        detections = []
        for image in check_images(self, images):
            scored, size = self.score_regions(image), image.shape[1:]
            with self.timer("nms"):
                found = postprocess_detections(*scored, size, self.min_score)
            detections.append(found)
        return detections
