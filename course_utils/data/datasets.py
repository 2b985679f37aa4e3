"""Data sets in PASCAL VOC layout, and samples for training made from them.

The layout: JPEGImages/, Annotations/, ImageSets/Main/ and, where there are masks,
SegmentationObject/. One reader serves every data set of the course.
"""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from course_utils.core.files import read_list
from course_utils.data.frame import frame_of, reaches_out, turn_box, wrong_size
from course_utils.data.images import look_at, read_image, read_pixels
from course_utils.data.transforms import (
    cut_square,
    flip,
    random_change,
    random_erase,
    random_tint,
    random_zoom,
)
from course_utils.data.voc import (
    check_first_pixel,
    folder_first_pixel,
    parse_voc,
    rule_of,
    strict_objects,
)
from course_utils.ops.boxes import check_boxes
from course_utils.ops.targets import (
    Target,
    as_float,
    check_labels,
    difficult_objects,
    move_boxes,
    read_target,
)


class VOCDataset(torch.utils.data.Dataset):
    """One split of a data set in VOC layout.

    root: its folder, see `find_data`. split: a name in ImageSets/Main, as ``"train"``;
    ids: the images' names, in place of those in that file.
    classes: the class names, label 1 first; by default those in root/classes.txt, else
    all names that occur in Annotations/, sorted. first: take only the first n images.
    first_pixel: from which number the boxes in the files count, 1 (VOC's rule) or 0;
    by default what the files state, else what `voc.find_first_pixel` finds in all of
    Annotations/, so that all splits of a data set count alike.

    Item i is (image, target): image float32 (3, H, W) in 0..1; target a dict of
    ``boxes`` (N, 4) float32 pixels of the upright image, ``labels`` (N,) int64 from 1,
    ``difficult`` (N,) bool, ``image_id`` str and, where the data set has them,
    ``iscrowd`` (N,) bool and ``masks`` (N, H, W) bool.

    Annotations are read and held against the images' sizes at once, so a fault in a
    file is found before any training; raises ValueError that names it, also for a box
    more than 1 pixel outside its image. Boxes that the file states for the picture
    before its camera's EXIF turn are turned with it. Lesson 00.
    """

    def __init__(
        self, root, split, classes=None, first=None, ids=None, first_pixel=None
    ):
        check_first_pixel(first_pixel)
        self.root, self.split = Path(root), split
        lists = self.root / "ImageSets" / "Main"
        if not (lists / f"{split}.txt").is_file():
            there = ", ".join(sorted(p.stem for p in lists.glob("*.txt"))) or "none"
            raise FileNotFoundError(f"{lists}: no split {split!r}; there are: {there}")
        lines = ids or read_list(lists / f"{split}.txt")
        self.ids = [line.split()[0] for line in lines if line.strip()][:first]
        files = [parse_voc(self.path("Annotations", i)) for i in self.ids]
        self.classes = tuple(classes or self._find_classes(files))
        found = None
        if first_pixel is None and any(file.declared is None for file in files):
            found = folder_first_pixel(self.root / "Annotations", files)
        self.objects = []
        for image_id, file in zip(self.ids, files):
            objects = strict_objects(file, rule_of(file, first_pixel, found)[0])
            image = self.path("JPEGImages", image_id)
            self.objects.append(self._fit(objects, file, image))
        self.has_crowds = any(o.get("iscrowd") for found in self.objects for o in found)

    def path(self, folder, image_id):
        """The file of an image in one of the layout's folders."""
        suffix = {"Annotations": ".xml", "JPEGImages": ".jpg"}.get(folder, ".png")
        return self.root / folder / (image_id + suffix)

    def _find_classes(self, files):
        listed = self.root / "classes.txt"
        if listed.is_file():
            return read_list(listed)
        known = {file.path: file for file in files}
        paths = (self.root / "Annotations").glob("*.xml")
        every = [known.get(path) or parse_voc(path) for path in paths]
        return sorted({o["name"].strip() for file in every for o in file.objects})

    def _fit(self, objects, file, image):
        """Objects with their boxes in the upright image; ValueError if they miss it."""
        picture = look_at(image)
        frame = frame_of(file.size, picture)
        if frame is None:
            raise ValueError(f"{file.path}: {wrong_size(file.size, picture)}")
        width, height = picture.upright
        for number, thing in enumerate(objects):
            where = f"{file.path}: object {number} ({thing['name']})"
            if thing["name"] not in self.classes:
                raise ValueError(
                    f"{file.path}: class {thing['name']!r} is not one of"
                    f" {', '.join(self.classes)}; mend the name or pass classes=..."
                )
            box = thing["box"]
            if frame == "stored":
                box = turn_box(box, picture.orientation, picture.stored)
            outside = reaches_out(box, picture.upright)
            if outside:
                raise ValueError(f"{where}: {outside}")
            x1, y1, x2, y2 = box
            box = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
            if box[0] >= box[2] or box[1] >= box[3]:
                raise ValueError(f"{where}: nothing of it is inside the image")
            thing["box"] = box
        return objects

    def __len__(self):
        return len(self.ids)

    def target(self, i):
        """The target of item i without its masks; reads no image file."""
        objects = self.objects[i]
        labels = [self.classes.index(o["name"]) + 1 for o in objects]
        target = {
            "boxes": check_boxes([o["box"] for o in objects], self.ids[i]),
            "labels": torch.tensor(labels, dtype=torch.int64),
            "image_id": self.ids[i],
        }
        for flag in ("difficult", "iscrowd") if self.has_crowds else ("difficult",):
            flags = [o.get(flag, False) for o in objects]
            target[flag] = torch.tensor(flags, dtype=torch.bool)
        return target

    def __getitem__(self, i):
        target = self.target(i)
        image = read_image(self.path("JPEGImages", self.ids[i]))
        mask_file = self.path("SegmentationObject", self.ids[i])
        if mask_file.is_file():
            with Image.open(mask_file) as file:
                instance = torch.from_numpy(np.array(file))  # (H, W), 0 is background
            if instance.shape != image.shape[1:]:
                raise ValueError(
                    f"{mask_file}: {tuple(instance.shape)} pixels, its image has"
                    f" {tuple(image.shape[1:])}; make the mask again for that size"
                )
            numbers = torch.arange(1, len(target["boxes"]) + 1)
            target["masks"] = instance == numbers[:, None, None]
        return image, target


class Images:
    """The images of a `VOCDataset` alone, uint8 (3, H, W), read from disk when asked.

    About 2 ms for a tabletop image; none is kept, to save memory. Lesson 05.
    """

    def __init__(self, dataset):
        self.paths = [dataset.path("JPEGImages", i) for i in dataset.ids]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        return read_pixels(self.paths[i])


class SmallImages(torch.utils.data.Dataset):
    """A data set held in memory at one small size, with random changes for training.

    dataset: items (image, target). size: (height, width) of the small images. augment:
    mirror, move, zoom and tint at random. keep: a function of the target, False to
    leave an image out. Items are (image float32 (3, H, W), target without masks).
    Lesson 02.
    """

    def __init__(self, dataset, size, augment=False, keep=None):
        self.size, self.augment = size, augment
        self.classes = dataset.classes
        chosen = [i for i in range(len(dataset)) if not keep or keep(dataset.target(i))]
        self.images, self.targets = [], []
        for i in chosen:
            image, target = dataset[i]
            scale = torch.tensor([size[1] / image.shape[2], size[0] / image.shape[1]])
            small = F.interpolate(as_float(image)[None], size, mode="area")[0]
            self.images.append((small * 255).round().byte())
            target = {k: v for k, v in target.items() if k != "masks"}
            target = read_target(target, image.shape[1:], "SmallImages", i)
            self.targets.append(move_boxes(target, scale, (0, 0)))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image, target = as_float(self.images[i]), dict(self.targets[i])
        return random_change(image, target) if self.augment else (image, target)


class Scenes(torch.utils.data.Dataset):
    """A data set held in memory at full size, for training detectors on whole images.

    dataset: a `VOCDataset`; proposals: a list of (N, 4), joins each target as
    ``proposals``; augment: mirror and tint at random. Items are (image float32
    (3, H, W), target) without masks. Lesson 07.
    """

    def __init__(self, dataset, proposals=None, augment=False):
        self.images = list(Images(dataset))
        self.targets: list[Target] = [
            dict(dataset.target(i)) for i in range(len(dataset))
        ]
        if proposals is not None and len(proposals) != len(self.targets):
            raise ValueError(
                f"proposals of {len(proposals)} images for {len(self.targets)} images;"
                " give a list with one (N, 4) for each"
            )
        for target, boxes in zip(self.targets, proposals or []):
            target["proposals"] = boxes
        self.classes, self.augment = dataset.classes, augment

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image, target = as_float(self.images[i]), dict(self.targets[i])
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
            target = read_target(target, user="ObjectCrops", name=i)
            boxes, labels = target["boxes"], check_labels(target, math.inf, i)
            skip = difficult_objects(target, len(boxes))
            for box, label, difficult in zip(boxes, labels, skip):
                if not difficult:
                    half = 0.625 * (box[2:] - box[:2]).max() * room / side
                    center = (box[:2] + box[2:]) / 2
                    square = torch.cat([center - half, center + half])
                    self.images.append(cut_square(image, square, room))
                    self.labels.append(label)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = as_float(self.images[i])
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
