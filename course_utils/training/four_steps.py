"""Faster R-CNN trained in four steps, as its paper does."""

import copy

from course_utils.core.devices import device_of, to_device
from course_utils.models.backbone import Frozen
from course_utils.models.fast_rcnn import FastRCNN
from course_utils.models.rpn import ProposalNet
from course_utils.training.loop import fit


class WithProposals:
    """A loader's batches, each target with ``proposals`` of a trained `ProposalNet`.

    As many as the RPN gives in training. Lesson 09.
    """

    def __init__(self, loader, net):
        self.loader, self.net = loader, copy.deepcopy(net).eval()
        self.net.rpn.post_nms_top_n_test = net.rpn.post_nms_top_n_train

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for images, targets in self.loader:
            images = to_device(images, device_of(self.net))
            found = self.net(images)
            targets = [
                target | {"proposals": detected["boxes"]}
                for target, detected in zip(targets, found)
            ]
            yield images, targets


def train_in_four_steps(model, loader, epochs, **settings):
    """Train a `FasterRCNN` as its paper does; returns {step: history}.

    1. The RPN with a backbone of its own. 2. Fast R-CNN with another, on the proposals
    of 1. Both start from the model's backbone. 3. The RPN again, on the backbone of 2,
    which is frozen from here on. 4. The head again, on the proposals of 3. epochs: of
    each step; settings: for `loop.fit`.
    Source: Faster R-CNN, section 3.2. Lesson 09.
    """
    history = {}
    first = ProposalNet(copy.deepcopy(model.backbone), model.rpn)
    history["rpn"] = fit(first, loader, epochs, name="rpn", **settings)
    batches = WithProposals(loader, first)
    detector = FastRCNN(model.backbone, model.head, model.stride, model.pool)
    history["detector"] = fit(detector, batches, epochs, name="detector", **settings)
    frozen = Frozen(model.backbone)
    second = ProposalNet(frozen, model.rpn)
    history["rpn again"] = fit(second, loader, epochs, name="rpn again", **settings)
    detector.backbone = frozen
    history["detector again"] = fit(
        detector, WithProposals(loader, second), epochs, name="detector", **settings
    )
    return history
