"""R-CNN: proposals, warped regions, a CNN, linear SVMs and box regression."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from course_utils.boxes import batched_nms, clip_boxes, decode_boxes, encode_boxes
from course_utils.data import Images, VOCDataset, find_data, flip
from course_utils.devices import check_images, device_of
from course_utils.env import cached_array, in_ci
from course_utils.files import content_key
from course_utils.linear import (
    margins,
    mean_length,
    train_box_regression,
    train_svms,
)
from course_utils.matching import match_boxes, sample_balanced
from course_utils.metrics import Timer
from course_utils.pictures import random_erase, random_tint
from course_utils.proposals import dataset_proposals, selective_search
from course_utils.targets import as_float
from course_utils.train import fit


def warp_regions(image, boxes, side=72, context=9):
    """Cut out boxes and warp each to a square, whatever its shape.

    image (3, H, W), boxes (N, 4) -> (N, 3, side, side). The box fills the inner square;
    a frame of `context` pixels shows what lies around it. Beyond the image's border
    stands the image's mean colour. Raises ValueError if the frame leaves no room.
    Source: R-CNN, appendix A. Lesson 05.
    """
    image, boxes = image.float(), boxes.float()
    height, width = image.shape[1:]
    x1, y1, x2, y2 = boxes.unbind(1)
    inner = side - 2 * context
    if inner < 1:
        raise ValueError(f"side {side} leaves no room inside context {context}")
    # Pixel centers of the square, in parts of the box: 0 is its left edge, 1 its right.
    place = (torch.arange(side, device=boxes.device) + 0.5 - context) / inner
    x = (x1[:, None] + place * (x2 - x1)[:, None]) * 2 / width - 1  # -1 .. 1
    y = (y1[:, None] + place * (y2 - y1)[:, None]) * 2 / height - 1
    n = len(boxes)
    grid = torch.stack(
        [x[:, None].expand(n, side, side), y[:, :, None].expand(n, side, side)], 3
    )
    mean = image.mean((1, 2), keepdim=True)
    images = (image - mean)[None].expand(n, -1, -1, -1)
    return F.grid_sample(images, grid, align_corners=False) + mean


class RegionNet(nn.Module):
    """Trunk, average over P x P parts of its map, and one linear layer for a softmax.

    net(crops, targets) gives the loss ``class`` in training mode, with targets
    {"labels": (N,)}, 0 for background; `features` gives what SVMs and box regression
    read, (N, 3, S, S) -> (N, P P C). Lesson 05.
    """

    def __init__(self, trunk, num_classes, parts=3):
        super().__init__()
        self.trunk, self.parts = trunk, parts
        self.size = parts**2 * trunk.out_channels
        self.last = nn.Linear(self.size, num_classes)

    def features(self, crops):
        return F.adaptive_avg_pool2d(self.trunk(crops), self.parts).flatten(1)

    def forward(self, crops, targets):
        (crops,) = check_images(self, [crops])
        scores = self.last(self.features(crops))
        labels = targets["labels"].to(scores.device)
        return {"class": F.cross_entropy(scores, labels)}


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
    """What the true objects say of each of N regions of one image, as a dict.

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


@torch.no_grad()
def region_features(net, image, regions, side, batch=64):
    """Features of all regions of an image: (N, 4) -> (N, net.size). Lesson 05.

    Image and regions are moved to the network's device, where the features stay.
    """
    net.eval()
    image, regions = image.to(device_of(net)), regions.to(device_of(net))
    parts = [
        net.features(warp_regions(image, some, side)) for some in regions.split(batch)
    ]
    return torch.cat(parts) if parts else image.new_zeros(0, net.size)


def cached_features(name, net, images, regions, side):
    """Features of the regions of many images, kept on disk as float16.

    images, regions: lists, (3, H, W) float or uint8, and (N, 4). Returns a read-only
    array (all regions, net.size), mapped into memory. The file in the cache belongs to
    these weights and regions; with others, or if it is not whole, it is made again.
    Source: R-CNN keeps its features on disk too, section 2.3. Lesson 05.
    """
    weights = net.trunk.state_dict().values()
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


# What mirroring does to the deltas of a box: only the way in x turns round.
MIRROR = torch.tensor([-1.0, 1, 1, 1])


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


def pick_answers(scores, boxes, size, min_score, nms_iou=0.3, most=100):
    """From scored boxes of each class to a detector's answer for one image.

    scores (N, K), boxes (N, K, 4), size (height, width). Boxes are clipped; those with
    at least `min_score` and one pixel of width and height go through NMS class by
    class, and the best `most` stay. Lesson 05.
    """
    region, k = (scores >= min_score).nonzero().unbind(1)
    boxes, scores = clip_boxes(boxes[region, k], size), scores[region, k]
    real = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
    boxes, scores, labels = boxes[real], scores[real], k[real] + 1
    keep = batched_nms(boxes, scores, labels, nms_iou)[:most]
    return {"boxes": boxes[keep], "labels": labels[keep], "scores": scores[keep]}


class RCNN(nn.Module):
    """The whole detector: model(images) in evaluation mode gives a list of answers.

    net: a `RegionNet`; its SVMs and box regression are set by `set_readers`. Scores are
    SVM margins, not probabilities: 0 is the decision. ``timer.seconds`` adds up the
    time of ``proposals``, ``regions`` and ``nms``. There is no training mode, because
    R-CNN is trained in stages. Source: R-CNN, Girshick et al. 2014. Lesson 05.
    """

    def __init__(self, net, num_classes, side=72, windows=200, min_score=-1.5):
        super().__init__()
        self.net, self.side = net, side
        self.windows, self.min_score = windows, min_score
        self.timer = Timer()
        k = num_classes - 1
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("svm_weight", torch.zeros(net.size, k))
        self.register_buffer("svm_bias", torch.zeros(k))
        self.register_buffer("box_weight", torch.zeros(k, net.size, 4))
        self.register_buffer("box_bias", torch.zeros(k, 4))

    def set_readers(self, scale, svm, regression):
        """scale: divides features; svm, regression: pairs of weights and biases."""
        self.scale.fill_(scale)
        for name, value in zip(("svm_weight", "svm_bias"), svm):
            getattr(self, name).copy_(value)
        for name, value in zip(("box_weight", "box_bias"), regression):
            getattr(self, name).copy_(value)

    def read(self, features, regions):
        """Margins (N, K) and regressed boxes (N, K, 4) of N regions.

        features: tensor or array (N, D), not scaled yet; regions: (N, 4), on the
        model's device.
        """
        scores = margins(features, self.svm_weight / self.scale, self.svm_bias)
        weight = self.box_weight.permute(1, 0, 2).flatten(1) / self.scale  # (D, 4 K)
        deltas = margins(features, weight, self.box_bias.flatten())
        deltas = deltas.view(len(regions), -1, 4)
        return scores, decode_boxes(deltas, regions[:, None])

    @torch.no_grad()
    def forward(self, images):
        if self.training:
            raise RuntimeError(
                "R-CNN is trained in stages (lesson 05); use model.eval()"
            )
        answers = []
        for image in check_images(self, images):
            with self.timer("proposals"):
                regions = selective_search(image, self.windows)
            with self.timer("regions"):
                features = region_features(self.net, image, regions, self.side)
                scores, boxes = self.read(features, regions)
            with self.timer("nms"):
                size = image.shape[1:]
                answers.append(pick_answers(scores, boxes, size, self.min_score))
        return answers


def known_regions(dataset, windows, num_classes):
    """Regions of each image, true boxes first, and what they are: two lists.

    The best `windows` proposals of selective search join the true boxes that are not
    difficult; see `region_targets` for the second list. Lesson 05.
    """
    targets = [dataset.target(i) for i in range(len(dataset))]
    regions = [
        torch.cat([target["boxes"][~target["difficult"]], boxes[:windows]])
        for target, boxes in zip(targets, dataset_proposals(dataset))
    ]
    pairs = zip(regions, targets)
    return regions, [region_targets(*pair, num_classes) for pair in pairs]


def train_rcnn(model, epochs=16, windows=100):
    """Train an `RCNN` through all its stages on tabletop, for `env.train_or_load`.

    Its trunk should be pretrained. It takes about seven minutes on two cores with AMX,
    so the repository ships the result. Lesson 05.
    """
    root, k = find_data("tabletop"), model.svm_bias.shape[0] + 1
    splits = [VOCDataset(root, split) for split in ("train", "single_train")]
    images = [list(Images(split)) for split in splits]
    regions, facts = zip(*[known_regions(split, windows, k) for split in splits])
    labels = [fact["labels"] for part in facts for fact in part]
    every_image, every_region = sum(images, []), sum(regions, [])
    batches = RegionBatches(every_image, every_region, labels, model.side, erase=True)
    fit(model.net, batches, epochs, lr=3e-3, weight_decay=0.05, name="fine-tuning")
    fit_readers(model, images[0], regions[0], facts[0], splits[0].classes)


def fit_readers(model, images, regions, facts, classes):
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
    model.set_readers(scale, svm[:2], boxes)
