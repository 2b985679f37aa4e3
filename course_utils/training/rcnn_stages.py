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
    """Batches of warped regions for fine-tuning, at most a quarter of them objects.

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
        chosen = sample_balanced(self.labels[i], self.regions_each)
        image = as_float(self.images[i])
        crops = warp_regions(image, self.regions[i][chosen], self.side)
        crops = [random_tint(crop) for crop in crops]
        crops = torch.stack([random_erase(c) for c in crops] if self.erase else crops)
        mirror = (torch.rand(len(crops)) < 0.5).to(crops.device)
        crops[mirror] = crops[mirror].flip(3)
        return crops, self.labels[i][chosen]


def region_targets(regions, target, num_classes):
    """What the ground-truth objects say of each of N regions of one image, as a dict.

    ``overlap`` (N, K): largest IoU with an object of each class 1..K; ``labels`` (N,):
    class of the nearest object from IoU 0.5 on, else 0, -1 where that object is
    difficult; ``deltas`` (N, 4): from the region to it; ``iou`` (N,). Lesson 05.
    """
    objects, classes = target["boxes"], target["labels"]
    match, iou = match_boxes(regions, objects)
    overlap = torch.zeros(len(regions), num_classes - 1, device=regions.device)
    for label in classes.unique():
        overlap[:, label - 1] = match_boxes(regions, objects[classes == label])[1]
    hit = match >= 0
    labels = torch.zeros_like(match)
    labels[hit] = torch.where(target["difficult"], -1, classes)[match[hit]]
    deltas = torch.zeros_like(regions, dtype=torch.float32)
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
    are not difficult. The second list is of dicts as `region_targets` gives them, with
    ``truth`` (N,) besides: the class of a ground-truth box, 0 for proposals. Lesson 05.
    """
    regions, facts = [], []
    for i, boxes in enumerate(dataset_proposals(dataset)):
        target = dataset.target(i)
        sure = ~target["difficult"]
        regions.append(torch.cat([target["boxes"][sure], boxes[:num_proposals]]))
        facts.append(region_targets(regions[-1], target, num_classes))
        truth = torch.zeros(len(regions[-1]), dtype=torch.int64)
        truth[: int(sure.sum())] = target["labels"][sure]
        facts[-1]["truth"] = truth
    return regions, facts


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


def join_facts(facts):
    """The dicts of all images as one: {key: (all regions, ...)}. Lesson 05."""
    return {key: torch.cat([fact[key] for fact in facts]) for key in facts[0]}


def regression_pairs(x, net, images, regions, facts, side):
    """What box regression learns from: features (2 M, D), labels (2 M,), deltas.

    x: features of all regions, as from `cached_features`; then lists over images. The
    M regions that overlap their object by 0.6 or more count twice, once mirrored.
    Lesson 05.
    """
    picks = [(fact["labels"] > 0) & (fact["iou"] >= 0.6) for fact in facts]
    good, table = torch.cat(picks), join_facts(facts)
    label, deltas = table["labels"][good], table["deltas"][good]
    plain = torch.from_numpy(x[good.numpy()].astype(np.float32))
    mirrored = mirrored_features(net, images, regions, picks, side)
    return (
        torch.cat([plain, mirrored]),
        label.repeat(2),
        torch.cat([deltas, deltas * MIRROR]),
    )


def fit_svms_and_regressors(model, images, regions, facts, classes):
    """SVMs and box regression on the features of all regions, set in the `RCNN`.

    Lists over images: (3, H, W), (N, 4), and what `known_regions` says. Lesson 05.
    """
    x = cached_features("train", model.net, images, regions, model.side)
    table = join_facts(facts)
    scale = mean_length(x) / 20
    truth, overlap = table["truth"].numpy(), table["overlap"].numpy()
    svm = train_svms(x, truth, overlap, classes, scale=scale)
    pairs = regression_pairs(x, model.net, images, regions, facts, model.side)
    boxes = train_box_regression(pairs[0] / scale, *pairs[1:], len(classes) + 1)
    model.set_svms_and_regressors(scale, svm[:2], boxes)
