"""Classification + localization: which object, and where, when their number is known."""

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.boxes import box_iou, clip_boxes, decode_boxes, encode_boxes
from course_utils.data import check_targets, flip

# Typical spread of the deltas of one object against the whole image: divides them, so
# that the network's four numbers are about as large as its class scores.
STDS = (0.25, 0.25, 0.5, 0.5)


class SmallImages(torch.utils.data.Dataset):
    """A data set held in memory at one small size, with random changes for training.

    dataset: items (image, target). size: (height, width) of the small images. augment:
    mirror, move, zoom and tint at random. keep: a function of the target, False to leave
    an image out. Items are (image float32 (3, H, W), target). Lesson 02.
    """

    def __init__(self, dataset, size, augment=False, keep=None):
        self.size, self.augment = size, augment
        self.classes = dataset.classes
        chosen = [i for i in range(len(dataset)) if not keep or keep(dataset.target(i))]
        self.images, self.targets = [], []
        for i in chosen:
            image, target = dataset[i]
            scale = torch.tensor([size[1] / image.shape[2], size[0] / image.shape[1]])
            boxes = target["boxes"] * scale.repeat(2)
            small = F.interpolate(image[None], size, mode="area")[0]
            self.images.append((small * 255).round().byte())
            target = {k: v for k, v in target.items() if k != "masks"}
            self.targets.append({**target, "boxes": boxes})

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image, target = self.images[i].float() / 255, self.targets[i]
        return random_change(image, target) if self.augment else (image, target)


def random_change(image, target):
    """Mirror, zoom, move and tint at random, every box kept inside. Lesson 02."""
    if torch.rand(()) < 0.5:
        image, target = flip(image, target)
    height, width = image.shape[1:]
    x1, y1, x2, y2 = target["boxes"].unbind(1)
    zoom = 0.75 + 0.5 * torch.rand(2)  # > 1 enlarges
    low = -torch.stack([x1.min() * zoom[0], y1.min() * zoom[1]])
    high = torch.tensor([width, height]) - torch.stack([x2.max(), y2.max()]) * zoom
    if (high < low).any():  # an object would not fit any more
        zoom, low, high = torch.ones(2), torch.zeros(2), torch.zeros(2)
    middle = torch.tensor([width, height]) * (1 - zoom) / 2
    shift = middle + 0.25 * torch.tensor([width, height]) * (torch.rand(2) - 0.5)
    shift = shift.clamp(low, high)
    boxes = target["boxes"] * zoom.repeat(2) + shift.repeat(2)
    # affine_grid wants, for each pixel of the new image, its place in the old one
    size = torch.tensor([width, height])
    offset = (size - 2 * shift) / (size * zoom) - 1
    theta = torch.cat([torch.diag(1 / zoom), offset[:, None]], 1)
    grid = F.affine_grid(theta[None], [1, *image.shape], align_corners=False)
    image = F.grid_sample(
        image[None], grid, padding_mode="reflection", align_corners=False
    )[0]
    tint = 0.7 + 0.6 * torch.rand(3, 1, 1) * torch.ones(3, 1, 1)
    return (image * tint).clamp(0, 1), {**target, "boxes": boxes}


class LocalizeHead(nn.Module):
    """From a feature map to k labels and k boxes.

    (B, channels, h, w) -> class scores (B, k, K) and box deltas (B, k, 4). The map is
    pooled to `cells` and then flattened, so that the box head knows where a feature
    stood; averaging the whole map away would lose it. Lesson 02.
    """

    def __init__(self, channels, num_classes, k=1, cells=(6, 8)):
        super().__init__()
        self.shape = (k, num_classes - 1)
        self.pool = nn.AdaptiveAvgPool2d(cells)
        self.hidden = nn.Sequential(
            nn.Conv2d(channels, 64, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * cells[0] * cells[1], 256),
            nn.ReLU(),
        )
        self.class_head = nn.Linear(256, k * (num_classes - 1))
        self.box_head = nn.Linear(256, k * 4)

    def forward(self, features):
        x = self.hidden(self.pool(features))  # (B, 256)
        return self.class_head(x).unflatten(1, self.shape), self.box_head(x).unflatten(
            1, (self.shape[0], 4)
        )


def left_to_right(target):
    """Boxes (N, 4) and labels (N,) of a target, sorted by the boxes' centers."""
    order = (target["boxes"][:, 0] + target["boxes"][:, 2]).argsort(stable=True)
    return target["boxes"][order], target["labels"][order]


def localize_loss(scores, deltas, boxes, labels, size):
    """Two losses: cross entropy of the labels, smooth L1 of the normalised deltas.

    scores (B, k, K), deltas (B, k, 4), boxes (B, k, 4) pixels, labels (B, k) from 1,
    size (height, width). The whole image is the anchor that the deltas move.
    Source: Fast R-CNN, Girshick 2015, section 2.3. Lesson 02.
    """
    image = torch.tensor([0, 0, size[1], size[0]], dtype=torch.float32)
    wanted = encode_boxes(boxes.flatten(0, 1), image.expand(labels.numel(), 4), STDS)
    return {
        "class": F.cross_entropy(scores.flatten(0, 1), labels.flatten() - 1),
        "box": F.smooth_l1_loss(deltas.flatten(0, 1), wanted),
    }


class Localizer(nn.Module):
    """k class labels and k boxes for images of one size that hold k objects each.

    trunk: images (B, 3, H, W) -> features; head: a `LocalizeHead`; size: (H, W);
    box_weight: factor of the box loss. model(images, targets) gives the losses
    ``class`` and ``box`` in training mode; model(images) in evaluation mode a list of
    ``boxes`` (k, 4) pixels, ``labels`` (k,) and ``scores`` (k,). Raises ValueError if an
    image does not hold exactly k objects. Lesson 02.
    """

    def __init__(self, trunk, head, size, box_weight=1.0):
        super().__init__()
        self.trunk, self.head = trunk, head
        self.size, self.box_weight = size, box_weight

    def forward(self, images, targets=None):
        scores, deltas = self.head(self.trunk(torch.stack(images)))
        if self.training:
            losses = localize_loss(scores, deltas, *self.wanted(targets), self.size)
            return losses | {"box": self.box_weight * losses["box"]}
        anchor = deltas.new_tensor([0, 0, self.size[1], self.size[0]])
        boxes = clip_boxes(decode_boxes(deltas, anchor, STDS), self.size)
        best = scores.softmax(-1).max(-1)
        return [
            {"boxes": b, "labels": i + 1, "scores": s}
            for b, i, s in zip(boxes, best.indices, best.values)
        ]

    def wanted(self, targets):
        """Boxes (B, k, 4) and labels (B, k) of the targets, from left to right."""
        k, num_objects = self.head.shape
        targets = check_targets(targets, num_objects + 1)
        for target in targets:
            if len(target["boxes"]) != k:
                raise ValueError(
                    f"image {target['image_id']} holds {len(target['boxes'])} objects;"
                    f" this network always predicts {k}. Leave the image out"
                )
        boxes, labels = zip(*(left_to_right(target) for target in targets))
        return torch.stack(boxes), torch.stack(labels)


@torch.no_grad()
def predict(model, dataset, batch=50):
    """The model's answers for a whole data set, as a list of dicts. Lesson 02."""
    model.eval()
    answers = []
    for start in range(0, len(dataset), batch):
        items = range(start, min(start + batch, len(dataset)))
        answers += model([dataset[i][0] for i in items])
    return answers


def localize_scores(answers, dataset):
    """Share of right labels, and mean IoU, over all objects of a data set.

    Answers and objects are paired from left to right. Lesson 02.
    """
    right, ious = [], []
    for answer, i in zip(answers, range(len(dataset))):
        boxes, labels = left_to_right(dataset[i][1])
        found_boxes, found_labels = left_to_right(answer)
        right.append((found_labels == labels).float())
        ious.append(box_iou(found_boxes, boxes).diagonal())
    return torch.cat(right).mean().item(), torch.cat(ious).mean().item()
