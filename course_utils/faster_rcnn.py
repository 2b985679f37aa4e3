"""Faster R-CNN: a region proposal network and Fast R-CNN over one trunk."""

import copy

import torch

from course_utils.anchors import AnchorGrid
from course_utils.backbone import Frozen, freeze
from course_utils.data import check_targets
from course_utils.devices import check_images, device_of, to_device
from course_utils.fast_rcnn import FastRCNN, RegionHead, all_scenes
from course_utils.roi import roi_align
from course_utils.rpn import RPN, ProposalNet
from course_utils.train import PRETRAINED, fit


class FasterRCNN(FastRCNN):
    """The whole detector: Fast R-CNN whose proposals come from its own features.

    trunk, head, settings: see `FastRCNN`; rpn: an `RPN`. model(images, targets) in
    training mode gives four losses, ``rpn_object``, ``rpn_box``, ``class`` and ``box``;
    model(images) in evaluation mode a list of answers.
    Source: Faster R-CNN, Ren et al. 2015. Lesson 09.
    """

    def __init__(self, trunk, rpn, head, pool=roi_align, **settings):
        super().__init__(trunk, head, pool=pool, **settings)
        self.rpn = rpn

    def losses(self, images, targets):
        images = check_images(self, images)
        targets = check_targets(targets, self.head.num_classes, images[0].device)
        batch, sizes = self.prepare(images)
        features = self.trunk(batch)
        outputs = self.rpn(features)
        proposals = [boxes for boxes, _ in self.rpn.proposals(*outputs, sizes)]
        losses = self.rpn.losses(*outputs, targets)
        return losses | self.region_losses(features, proposals, targets)

    @torch.no_grad()
    def answers(self, images):
        images = check_images(self, images)
        with self.timer("trunk"):
            batch, sizes = self.prepare(images)
            features = self.trunk(batch)
        with self.timer("proposals"):
            found = self.rpn.proposals(*self.rpn(features), sizes)
        proposals = [boxes for boxes, _ in found]
        return self.region_answers(features, proposals, sizes)


def new_faster_rcnn(trunk, num_classes, sizes=(16, 32, 64, 96), hidden=256):
    """A `FasterRCNN` for tabletop over a trunk; sizes: of the anchors. Lesson 09."""
    rpn = RPN(trunk.out_channels, AnchorGrid(sizes))
    head = RegionHead(trunk.out_channels, num_classes, 7, hidden)
    return FasterRCNN(trunk, rpn, head)


class WithProposals:
    """A loader's batches, each target with ``proposals`` of a trained `ProposalNet`.

    As many as the RPN gives in training. Lesson 09.
    """

    def __init__(self, loader, net):
        self.loader, self.net = loader, copy.deepcopy(net).eval()
        self.net.rpn.test_after = net.rpn.train_after

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for images, targets in self.loader:
            images = to_device(images, device_of(self.net))
            found = self.net(images)
            targets = [
                target | {"proposals": answer["boxes"]}
                for target, answer in zip(targets, found)
            ]
            yield images, targets


def train_in_four_steps(model, loader, epochs, **settings):
    """Train a `FasterRCNN` as its paper does; returns {step: history}.

    1. The RPN with a trunk of its own. 2. Fast R-CNN with another, on the proposals of
    1. Both start from the model's trunk. 3. The RPN again, on the trunk of 2, which is
    frozen from here on. 4. The head again, on the proposals of 3. epochs: of each
    step; settings: for `train.fit`.
    Source: Faster R-CNN, section 3.2. Lesson 09.
    """
    history = {}
    first = ProposalNet(copy.deepcopy(model.trunk), model.rpn)
    history["rpn"] = fit(first, loader, epochs, name="rpn", **settings)
    batches = WithProposals(loader, first)
    detector = FastRCNN(model.trunk, model.head, model.stride, model.pool)
    history["detector"] = fit(detector, batches, epochs, name="detector", **settings)
    frozen = Frozen(model.trunk)
    second = ProposalNet(frozen, model.rpn)
    history["rpn again"] = fit(second, loader, epochs, name="rpn again", **settings)
    detector.trunk = frozen
    history["detector again"] = fit(
        detector, WithProposals(loader, second), epochs, name="detector", **settings
    )
    return history


def library_faster_rcnn(trunk, grid, num_classes, size, hidden=256, **settings):
    """torchvision's Faster R-CNN with our trunk, anchors and settings, to compare with.

    trunk: needs ``out_channels``; grid: an `AnchorGrid` that was given `sizes` and
    `ratios`; size: (height, width) of all images, which stay as they are; settings:
    others of torchvision's `FasterRCNN`. Lesson 09.
    """
    # Imported here, because torchvision takes 170 MB.
    from torchvision.models.detection import FasterRCNN as LibraryFasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.ops import MultiScaleRoIAlign

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
        "box_roi_pool": MultiScaleRoIAlign(["0"], 7, 2),
        "box_head": TwoMLPHead(trunk.out_channels * 7**2, hidden),
        "box_predictor": FastRCNNPredictor(hidden, num_classes),
        "box_batch_size_per_image": 64,
        "box_score_thresh": 0.02,
        "box_nms_thresh": 0.3,
    }
    return LibraryFasterRCNN(trunk, **(ours | settings))


def train_faster_rcnn(model, epochs=10):
    """Train a `FasterRCNN` on all tabletop scenes, for `env.train_or_load`.

    Its trunk should be pretrained. About four minutes on two cores with AMX, so the
    repository ships the result. Lesson 09.
    """
    freeze(model.trunk)
    loader = all_scenes()
    return fit(model, loader, epochs, **PRETRAINED, name="Faster R-CNN")
