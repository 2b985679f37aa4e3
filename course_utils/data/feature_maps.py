"""Feature maps of a frozen backbone, computed once and kept on disk."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from course_utils.core.cache import cached_array
from course_utils.core.devices import device_of
from course_utils.core.files import content_key, file_state, let_go
from course_utils.core.memory import return_memory
from course_utils.core.settings import in_ci
from course_utils.data.datasets import Images
from course_utils.data.images import look_at
from course_utils.data.transforms import flip
from course_utils.ops.targets import as_float, move_boxes, read_target

SIDE = 384  # every photograph is warped to a square of this many pixels
SHAPES = ((112, SIDE // 16, SIDE // 16), (320, SIDE // 32, SIDE // 32))


@torch.no_grad()
def keep_features(dataset, backbone):
    """What a frozen `imagenet_backbone` makes of each image: [(features, target)].

    Both its maps in one: (432, H / 16, W / 16), float16 to save memory. Lesson 02.
    """
    return_memory()  # room for the maps: glibc holds what trainings before have freed
    kept = []
    for image, target in (dataset[i] for i in range(len(dataset))):
        middle, deep = backbone(image[None].to(device_of(backbone)))
        deep = F.interpolate(deep, middle.shape[2:])
        maps = torch.cat([middle, deep], 1)[0].half()
        kept.append((maps.to(image.device), target))
    return kept


def to_square(image):
    """An image (3, H, W), in 0..1 or uint8, as (3, 384, 384) in 0..1. Lesson 12."""
    size = (SIDE, SIDE)
    image = as_float(image)[None]
    small = F.interpolate(image, size, mode="bilinear", antialias=True)[0]
    return small.clamp(0, 1)


def frozen_maps(name, backbone, dataset, mirror=False, batch=2):
    """The frozen backbone's maps of all images, kept on disk as float16.

    dataset: a `VOCDataset` of N images; mirror: their mirror images too, which stand
    after them. Returns a read-only array (N or 2 N, numbers of both maps) mapped into
    memory, 222 KB an image. It belongs to these weights and image files; with others it
    is made again. About 35 ms an image on two cores. Lesson 12.
    """
    states = map(file_state, Images(dataset).paths)
    key = content_key(mirror, *backbone.state_dict().values(), *states)
    n = len(dataset)

    @torch.no_grad()
    def fill(array):
        images = Images(dataset)
        steps = range(0, n, batch)
        for i in tqdm(steps, desc=name, disable=in_ci(), leave=False):
            squares = [to_square(images[k]) for k in range(i, min(i + batch, n))]
            squares = torch.stack(squares).to(device_of(backbone))
            for start, some in ((0, squares), (n, squares.flip(3)))[: 1 + mirror]:
                maps = torch.cat([part.flatten(1) for part in backbone(some)], 1)
                array[start + i : start + i + len(some)] = maps.cpu().numpy()
            let_go(array)

    shape = (n * (1 + mirror), sum(map(math.prod, SHAPES)))
    return cached_array(f"{name}-{key}", shape, np.float16, fill)


def split_maps(rows):
    """Rows of `frozen_maps`, (B, ...), as two float32 maps (B, C, H, W). Lesson 12."""
    sizes = [math.prod(shape) for shape in SHAPES]
    parts = rows.float().split(sizes, 1)
    return [part.unflatten(1, shape) for part, shape in zip(parts, SHAPES)]


class Photographs(torch.utils.data.Dataset):
    """The maps of a data set's images, and targets in pixels of the 384 x 384 square.

    maps: from `frozen_maps`; where it holds mirror images, one of each two is drawn at
    random. IoU does not change when both boxes are stretched alike, so a score in the
    square is the score in the photograph. Items are (row of numbers, target without
    masks).
    Lesson 12.
    """

    def __init__(self, dataset, maps, proposals=None):
        self.maps, self.classes = maps, dataset.classes
        self.mirror = len(maps) == 2 * len(dataset)
        self.targets = []
        for i in range(len(dataset)):
            target = {k: v for k, v in dataset.target(i).items() if k != "masks"}
            path = dataset.path("JPEGImages", dataset.ids[i])
            width, height = look_at(path).upright
            if proposals is not None:
                target["proposals"] = proposals[i]
            target = read_target(target, (height, width), "Photographs", i)
            scale = SIDE / torch.tensor([width, height])
            self.targets.append(move_boxes(target, scale, (0, 0)))

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        target = dict(self.targets[i])
        if self.mirror and torch.rand(()) < 0.5:
            i += len(self.targets)
            target = flip(torch.empty(1, SIDE, SIDE), target)[1]
        return self.row(i), target

    def row(self, i):
        """Row i of the maps, as a float16 tensor.

        A file is mapped anew for each row: pages of a mapping that stays would count as
        memory of this process until it ends.
        """
        maps = self.maps
        if isinstance(maps, np.memmap):
            maps = np.load(maps.filename, mmap_mode="r", allow_pickle=False)
        return torch.from_numpy(np.array(maps[i]))
