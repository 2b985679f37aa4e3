"""R-CNN's stages: fine-tuning, SVMs on kept features, box regression."""

import numpy as np
import torch
from tqdm.auto import tqdm

from course_utils.core.cache import cached_array
from course_utils.core.files import content_key
from course_utils.core.settings import in_ci
from course_utils.data.catalog import find_data
from course_utils.data.datasets import Images, VOCDataset
from course_utils.data.transforms import flip, random_erase, random_tint
from course_utils.models.rcnn import region_features, warp_regions
from course_utils.ops.boxes import encode_boxes
from course_utils.ops.matching import match_boxes, sample_balanced
from course_utils.ops.targets import as_float
from course_utils.proposals.selective_search import dataset_proposals
from course_utils.training.loop import fit
from course_utils.training.svm import mean_length, train_box_regression, train_svms

# What mirroring does to the deltas of a box: only the way in x turns round.
MIRROR = torch.tensor([-1.0, 1, 1, 1])


class RegionBatches:
    """Batches of warped regions for fine-tuning, a quarter of them objects.

    images: list of (3, H, W) float or uint8; regions: for each (N, 4); labels: for each
    (N,), 0 background, -1 left out. A batch takes `regions_each` regions from each of
    `images_each` images; every region is mirrored and tinted at random; erase: a part
    is hidden now and then, for a long training. Walking it gives (crops, {"labels"}),
    once through the images. Lesson 05.
    """

    def __init__(
        self,
        images,
        regions,
        labels,
        side,
        images_each=8,
        regions_each=12,
        erase=False,
    ):
        self.images, self.regions, self.labels = images, regions, labels
        self.side, self.images_each = side, images_each
        self.regions_each, self.erase = regions_each, erase

    def __len__(self):
        return len(self.images) // self.images_each

    def __iter__(self):
        order = torch.randperm(len(self.images))[: len(self) * self.images_each]
        for group in order.view(-1, self.images_each).tolist():
            crops, labels = zip(*[self.sample(i) for i in group])
            yield torch.cat(crops), {"labels": torch.cat(labels)}

    def sample(self, i):
        """Regions of image i: up to a quarter positive, the rest background."""
        labels = self.labels[i]
        chosen = sample_balanced(labels, self.regions_each)
        image = self.images[i]
        image = as_float(image)
        crops = warp_regions(image, self.regions[i][chosen], self.side)
        crops = [random_tint(crop) for crop in crops]
        crops = torch.stack([random_erase(c) for c in crops] if self.erase else crops)
        mirror = (torch.rand(len(crops)) < 0.5).to(crops.device)
        crops[mirror] = crops[mirror].flip(3)
        return crops, labels[chosen]


def region_targets(regions, target, num_classes):
    """What the ground-truth objects say of each of N regions of one image, as a dict.

    ``overlap`` (N, K): largest IoU with an object of each class 1..K; ``labels`` (N,):
    class of the nearest object from IoU 0.5 on, else 0, -1 where that object is
    difficult; ``deltas`` (N, 4): from the region to it; ``iou`` (N,). Lesson 05.
    """
    objects, classes = target["boxes"], target["labels"]
    match, iou = match_boxes(regions, objects)
    where = regions.device
    overlap = torch.zeros(len(regions), num_classes - 1, device=where)
    for label in classes.unique():
        best = match_boxes(regions, objects[classes == label])[1]
        overlap[:, label - 1] = best
    labels = torch.zeros(len(regions), dtype=torch.int64, device=where)
    hit = match >= 0
    labels[hit] = torch.where(target["difficult"], -1, classes)[match[hit]]
    deltas = torch.zeros(len(regions), 4, device=where)
    deltas[hit] = encode_boxes(objects[match[hit]], regions[hit])
    return {"overlap": overlap, "labels": labels, "deltas": deltas, "iou": iou}


def cached_features(name, net, images, regions, side):
    """Features of the regions of many images, kept on disk as float16.

    images, regions: lists, (3, H, W) float or uint8, and (N, 4). Returns a read-only
    array (all regions, net.size), mapped into memory. The file in the cache belongs to
    these weights and regions; with others, or if it is not whole, it is made again.
    Source: R-CNN keeps its features on disk too, section 2.3. Lesson 05.
    """
    weights = net.backbone.state_dict().values()
    key = content_key(side, *weights, *regions, *images)

    def fill(array):
        row = 0
        pairs = list(zip(images, regions))
        for image, boxes in tqdm(pairs, desc=name, disable=in_ci(), leave=False):
            features = region_features(net, as_float(image), boxes, side)
            array[row : row + len(boxes)] = features.cpu().numpy()
            row += len(boxes)

    shape = (sum(map(len, regions)), net.size)
    return cached_array(f"{name}-{key}", shape, np.float16, fill)


def mirrored_features(net, images, regions, picks, side):
    """Features of some regions as they look in the mirrored image, (M, net.size).

    images, regions: lists as in `cached_features`; picks: for each image (N,) bool, M
    times True in all. They are on the CPU, as those of `cached_features`. Lesson 05.
    """
    parts = [torch.zeros(0, net.size)]
    for image, boxes, pick in zip(images, regions, picks):
        image = as_float(image)
        image, mirrored = flip(image, {"boxes": boxes[pick]})
        parts.append(region_features(net, image, mirrored["boxes"], side).cpu())
    return torch.cat(parts)


def known_regions(dataset, num_proposals, num_classes):
    """Regions of each image, ground-truth boxes first, and what they are: two lists.

    The best `num_proposals` of selective search join the ground-truth boxes that
    are not difficult; see `region_targets` for the second list. Lesson 05.
    """
    targets = [dataset.target(i) for i in range(len(dataset))]
    regions = [
        torch.cat([target["boxes"][~target["difficult"]], boxes[:num_proposals]])
        for target, boxes in zip(targets, dataset_proposals(dataset))
    ]
    pairs = zip(regions, targets)
    return regions, [region_targets(*pair, num_classes) for pair in pairs]


def train_rcnn(model, epochs=16, num_proposals=100):
    """Train an `RCNN` through all its stages on tabletop, for `weights.train_or_load`.

    Its backbone should be pretrained. It takes about seven minutes on two cores with
    AMX, so the repository ships the result. Lesson 05.
    """
    root, k = find_data("tabletop"), model.svm_bias.shape[0] + 1
    splits = [VOCDataset(root, split) for split in ("train", "single_train")]
    images = [list(Images(split)) for split in splits]
    regions, facts = zip(*[known_regions(split, num_proposals, k) for split in splits])
    labels = [fact["labels"] for part in facts for fact in part]
    every_image, every_region = sum(images, []), sum(regions, [])
    batches = RegionBatches(every_image, every_region, labels, model.side, erase=True)
    fit(model.net, batches, epochs, lr=3e-3, weight_decay=0.05, name="fine-tuning")
    fit_svms_and_regressors(model, images[0], regions[0], facts[0], splits[0].classes)


def fit_svms_and_regressors(model, images, regions, facts, classes):
    """SVMs and box regression on the features of all regions, set in the `RCNN`.

    Lists over images: (3, H, W), (N, 4), and what `region_targets` says.
    Each pair for box regression counts twice, once mirrored. Lesson 05.
    """
    label, iou, deltas, overlap = (
        torch.cat([fact[key] for fact in facts])
        for key in ("labels", "iou", "deltas", "overlap")
    )
    x = cached_features("readers", model.net, images, regions, model.side)
    scale = mean_length(x) / 20
    truth = torch.where(iou > 0.999, label, 0).numpy()
    svm = train_svms(x, truth, overlap.numpy(), classes, scale=scale)
    picks = [(fact["labels"] > 0) & (fact["iou"] >= 0.6) for fact in facts]
    good = torch.cat(picks).nonzero().flatten()
    mirrored = mirrored_features(model.net, images, regions, picks, model.side)
    tight = torch.cat([torch.from_numpy(x[good].astype(np.float32)), mirrored])
    tight /= scale
    deltas = torch.cat([deltas[good], deltas[good] * MIRROR])
    boxes = train_box_regression(tight, label[good].repeat(2), deltas, len(classes) + 1)
    model.set_svms_and_regressors(scale, svm[:2], boxes)
