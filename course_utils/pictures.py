"""Pictures for training: held in memory, small, cut out, and changed at random."""

import torch
import torch.nn.functional as F

from course_utils.data import Images, flip


class SmallImages(torch.utils.data.Dataset):
    """A data set held in memory at one small size, with random changes for training.

    dataset: items (image, target). size: (height, width) of the small images. augment:
    mirror, move, zoom and tint at random. keep: a function of the target, False to
    leave an image out. Items are (image float32 (3, H, W), target). Lesson 02.
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


class Scenes(torch.utils.data.Dataset):
    """A data set held in memory at full size, for training detectors on whole images.

    dataset: a `VOCDataset`; proposals: a list of (N, 4), joins each target as
    ``proposals``; augment: mirror and tint at random. Items are (image float32
    (3, H, W), target) without masks. Lesson 07.
    """

    def __init__(self, dataset, proposals=None, augment=False):
        self.images = list(Images(dataset))
        self.targets = [dataset.target(i) for i in range(len(dataset))]
        for target, boxes in zip(self.targets, proposals or []):
            target["proposals"] = boxes
        self.classes, self.augment = dataset.classes, augment

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image, target = self.images[i].float() / 255, self.targets[i]
        if self.augment:
            image = random_tint(image)
            if torch.rand(()) < 0.5:
                image, target = flip(image, target)
        return image, target


class ObjectCrops(torch.utils.data.Dataset):
    """Every object of a data set, cut out as a square picture of `side` pixels.

    The square is 1.25 times the box's longer side, so a little surrounding is seen;
    difficult objects are left out. augment: mirror, shift and tint at random; strong:
    zoom, and hide a part, as well, for a long training. Items are
    (image float32 (3, side, side), {"labels": (1,)}). Lesson 02.
    """

    def __init__(self, dataset, side=40, augment=False, strong=False):
        self.side, self.augment, self.classes = side, augment, dataset.classes
        self.strong = strong
        room = side + side // 5 if augment else side  # to be cut at random later
        self.images, self.labels = [], []
        for i in range(len(dataset)):
            image, target = dataset[i]
            for box, label, difficult in zip(
                target["boxes"], target["labels"], target["difficult"]
            ):
                if not difficult:
                    half = 0.625 * (box[2:] - box[:2]).max() * room / side
                    center = (box[:2] + box[2:]) / 2
                    square = torch.cat([center - half, center + half])
                    self.images.append(cut_square(image, square, room))
                    self.labels.append(label)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = self.images[i].float() / 255
        if self.augment:
            if self.strong:
                image = random_erase(random_zoom(image, self.side))
            else:
                free = image.shape[1] - self.side
                y, x = torch.randint(0, free + 1, (2,)).tolist()
                image = image[:, y : y + self.side, x : x + self.side]
            image = random_tint(image)
            if torch.rand(()) < 0.5:
                image = image.flip(2)
        return image, {"labels": self.labels[i][None]}


def cut_square(image, square, side):
    """The square x1, y1, x2, y2 of an image at side x side pixels, uint8.

    What lies outside the image repeats its border.
    """
    height, width = image.shape[1:]
    x1, y1, x2, y2 = square.tolist()
    step = torch.linspace(-1, 1, side) * (side - 1) / side
    x = ((x1 + x2) + (x2 - x1) * step) / width - 1
    y = ((y1 + y2) + (y2 - y1) * step) / height - 1
    grid = torch.stack([x.expand(side, side), y[:, None].expand(side, side)], -1)
    small = F.grid_sample(
        image[None], grid[None], padding_mode="border", align_corners=False
    )
    return (small[0] * 255).round().byte()


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
    image = zoom_and_shift(image, zoom, shift, padding_mode="border")
    return random_tint(image), {**target, "boxes": boxes}


def zoom_and_shift(image, zoom, shift, **padding):
    """The image (3, H, W) with its point p at zoom * p + shift, on the same canvas.

    zoom, shift: (2,), x first; padding: for `grid_sample`. Lesson 02.
    """
    size = torch.tensor([image.shape[2], image.shape[1]])
    # affine_grid wants, for each pixel of the new image, its place in the old one
    offset = (size - 2 * shift) / (size * zoom) - 1
    theta = torch.cat([torch.diag(1 / zoom), offset[:, None]], 1)
    grid = F.affine_grid(theta[None], [1, *image.shape], align_corners=False)
    return F.grid_sample(image[None], grid, align_corners=False, **padding)[0]


def random_tint(image):
    """Brighten or darken each colour channel at random. Lesson 02."""
    return (image * (0.7 + 0.6 * torch.rand(3, 1, 1))).clamp(0, 1)


def random_zoom(image, side, least=0.7):
    """A random part of the image, `least` to all of each side, at side x side."""
    room = image.shape[1]
    h, w = (room * (least + (1 - least) * torch.rand(2))).int().tolist()
    y, x = int(torch.rand(()) * (room - h)), int(torch.rand(()) * (room - w))
    part = image[None, :, y : y + h, x : x + w]
    return F.interpolate(part, (side, side), mode="bilinear", antialias=True)[0]


def random_erase(image):
    """Half of the time, a random rectangle in one random colour, as if hidden."""
    if torch.rand(()) < 0.5:
        side = image.shape[1]
        h, w = (side * (0.15 + 0.35 * torch.rand(2))).int().tolist()
        y, x = int(torch.rand(()) * (side - h)), int(torch.rand(()) * (side - w))
        image = image.clone()
        image[:, y : y + h, x : x + w] = torch.rand(3, 1, 1)
    return image
