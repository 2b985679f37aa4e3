"""Data sets in PASCAL VOC layout: JPEGImages/, Annotations/, ImageSets/Main/ and, where
there are masks, SegmentationObject/. One reader serves every data set of the course.
"""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from course_utils.boxes import box_area, check_boxes
from course_utils.devices import to_device
from course_utils.download import SOURCES, DownloadError, fetch_data, is_data_set
from course_utils.env import REPOSITORY, cache_dir
from course_utils.files import read_list
from course_utils.frame import frame_of, reaches_out, turn_box, wrong_size
from course_utils.images import TURNS, eight_bits, look_at, open_image, orientation_of
from course_utils.targets import (
    as_float,
    check_labels,
    clip_target,
    difficult_objects,
    keep_objects,
    move_boxes,
    read_target,
)
from course_utils.voc import (
    check_first_pixel,
    folder_first_pixel,
    parse_voc,
    rule_of,
    strict_objects,
)

# name in find_data -> folder names to look for, and what to do without it
DATA_SETS = {
    "tabletop": (("tabletop",), "it is part of the repository: clone it again"),
    "voc2007": (
        ("voc2007", "VOC2007", "voc2007-mini"),
        "put the folder VOC2007 of the official archives there; lesson 12 needs it, all"
        " other lessons go on without it",
    ),
    "bccd": (
        ("bccd", "BCCD"),
        "put the folder BCCD of the BCCD_Dataset repository there; only a part of"
        " lesson 13 needs it",
    ),
}


def find_data(name):
    """The folder of a data set: ``"tabletop"``, ``"voc2007"`` or ``"bccd"``.

    Looks in $COURSE_DATA, then data/ of the repository, then the user's cache, and else
    downloads it into that cache, see `download.fetch_data`. Raises ValueError for an
    unknown name and FileNotFoundError, in one line, with where to put it and what goes
    on without it. Lesson 00.
    """
    if name not in DATA_SETS:
        raise ValueError(f"no data set {name!r}; there are {', '.join(DATA_SETS)}")
    folders, mend = DATA_SETS[name]
    rooms = [REPOSITORY / "data", cache_dir() / "data"]
    if os.environ.get("COURSE_DATA"):
        rooms.insert(0, Path(os.environ["COURSE_DATA"]))
    for room in rooms:
        for folder in folders:
            if is_data_set(room / folder):
                return room / folder
    missing = f"data set {name} is in none of {', '.join(map(str, rooms))}"
    if name in SOURCES:
        try:
            return fetch_data(name, rooms[-1])
        except DownloadError as error:
            missing += f" and can not be downloaded ({error})"
    raise FileNotFoundError(f"{missing}: {mend}")


def read_pixels(path):
    """An image file as uint8 (3, H, W), turned upright as its EXIF tag says.

    Grey, palette, CMYK and 16-bit files become three channels, fractions from 0 to 1
    are scaled, and of an animation the first picture is taken. Alpha is left out: a
    transparent pixel has the colour stored for it. Raises ValueError that names a file
    which is no image, ends too early, or holds numbers of unknown range. Lesson 00.
    """
    with open_image(path) as file:
        pixels, turn = eight_bits(file), TURNS.get(orientation_of(file))
    if turn is not None:
        pixels = np.array(Image.fromarray(pixels).transpose(turn))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def read_image(path):
    """The same as float32 in 0..1, as all networks of the course take it. Lesson 00."""
    return as_float(read_pixels(path))


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


def collate(batch):
    """A batch as (list of images, list of targets), since both differ in size.

    Give it to a DataLoader as ``collate_fn``. Lesson 02.
    """
    images, targets = zip(*batch)
    return list(images), list(targets)


def check_targets(targets, num_classes, device=None):
    """Return targets ready for training, or say which image and box is at fault.

    Checks boxes, see `boxes.check_boxes`, and that labels are whole numbers from 1 to
    `num_classes` - 1, or -1 (0 is the background); an integer type becomes int64.
    ``difficult`` is filled in, (N,) bool: True also for a crowd (``iscrowd``), False
    where nothing is said. device: where all its tensors shall lie, if not
    where they are. The given targets are not changed. Raises ValueError that
    names image, key and mend. Lesson 02.
    """
    if not isinstance(targets, (list, tuple)):
        kind = type(targets).__name__
        raise ValueError(f"training needs a list of targets, one an image, not {kind}")
    checked = []
    for i, given in enumerate(targets):
        target = to_device(read_target(given, user="training", name=i), device)
        boxes = target["boxes"]
        labels = check_labels(target, num_classes, i).to(boxes.device)
        difficult = difficult_objects(target, len(boxes), boxes.device)
        checked.append({**target, "labels": labels, "difficult": difficult})
    return checked


def flip(image, target):
    """Mirror image and target left to right; both are new. Lesson 02."""
    target = read_target(target, image.shape[-2:])
    target = move_boxes(target, (-1, 1), (image.shape[-1], 0))
    if "masks" in target:
        target["masks"] = target["masks"].flip(-1)
    return image.flip(-1), target


def crop(image, target, window, min_visible=0.25):
    """Cut out `window` = (x1, y1, x2, y2) in whole pixels; image and target are new.

    Boxes are moved and clipped; an object that keeps less than `min_visible` of its box
    area is left out, as is a proposal of which nothing is left. Raises ValueError if
    the window is not inside the image, and for a target without boxes. Lesson 02.
    """
    x1, y1, x2, y2 = (int(v) for v in window)
    height, width = image.shape[-2:]
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise ValueError(f"window {(x1, y1, x2, y2)} is not inside {width} x {height}")
    target = read_target(target, (height, width), "crop")
    old = move_boxes(target, (1, 1), (-x1, -y1))
    target = clip_target(old, (y2 - y1, x2 - x1))
    area = box_area(target["boxes"])
    keep = (area > 0) & (area >= min_visible * box_area(old["boxes"]))
    target = keep_objects(target, keep)
    if "masks" in target:
        target["masks"] = target["masks"][:, y1:y2, x1:x2].clone()
    return image[..., y1:y2, x1:x2].clone(), target
