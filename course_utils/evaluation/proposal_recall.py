"""How many objects have a proposal near enough."""

import torch
from torch import Tensor

from course_utils.core.devices import to_device
from course_utils.ops.boxes import box_iou
from course_utils.ops.targets import Target


def best_overlaps(
    proposals: list[Tensor], targets: list[Target], num_proposals: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """For each of G objects the IoU of its best proposal, its label, and its image.

    Arguments as in `proposal_recall`. Returns three (G,); an object of an image without
    proposals has the IoU 0. Lesson 03.
    """
    best, labels, image = [], [], []
    pairs = zip(to_device(proposals, "cpu"), to_device(targets, "cpu"))
    for i, (boxes, target) in enumerate(pairs):
        easy = ~target["difficult"]
        overlap = box_iou(boxes[:num_proposals], target["boxes"][easy])  # (N, objects)
        none = overlap.new_zeros(1, overlap.shape[1])
        best.append(torch.cat([overlap, none]).max(0).values)
        labels.append(target["labels"][easy])
        image.append(torch.full_like(labels[-1], i))
    return torch.cat(best), torch.cat(labels), torch.cat(image)


def proposal_recall(
    proposals: list[Tensor],
    targets: list[Target],
    num_proposals: int | None,
    iou_thresholds: tuple[float, ...] = (0.5, 0.7),
) -> dict:
    """How many objects the first `num_proposals` of each image find, and how well.

    proposals: for each image (N, 4), best first. targets: for each image, as
    `VOCDataset` gives them; difficult objects are left out. Returns {min_iou: recall,
    ..., "mabo": mean average best overlap}: the best IoU of each object, averaged in
    each class, then over the classes. Raises ValueError if the numbers of images
    differ or there is no object. Source: Uijlings et al. 2013, section 5. Lesson 03.
    """
    if len(proposals) != len(targets):
        raise ValueError(
            f"proposals of {len(proposals)} images, {len(targets)} targets"
        )
    best, labels, _ = best_overlaps(proposals, targets, num_proposals)
    if len(best) == 0:
        raise ValueError("the targets hold no object that is not difficult")
    found = {limit: float((best >= limit).float().mean()) for limit in iou_thresholds}
    by_class = [best[labels == label].mean() for label in labels.unique()]
    return found | {"mabo": float(torch.stack(by_class).mean())}
