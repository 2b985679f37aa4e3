"""More pictures from the same data: objects cut out, pasted on emptied pictures."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from course_utils.data.transforms import random_tint
from course_utils.ops.targets import as_float


def without_object(image, mask):
    """The image (3, H, W) uint8 with what the mask (H, W) covers filled in from around.

    The mask grows first, so that the object's edge and part of its shadow go too.
    Source: Telea 2004, by OpenCV. Lesson 02.
    """
    wide = cv2.dilate(mask.numpy().astype(np.uint8), np.ones((7, 7), np.uint8))
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return torch.from_numpy(cv2.inpaint(pixels, wide, 3, cv2.INPAINT_TELEA)).permute(
        2, 0, 1
    )


def cut_outs(dataset, scale, shortest=6):
    """Every object of a data set with masks, cut out: a list of ((4, h, w), label).

    uint8, `scale` times as large as in the picture: three channels of colour, black
    beyond the object, and its mask. Difficult objects and those whose shorter side is
    then under `shortest` pixels are left out. Lesson 02.
    """
    found = []
    for i in range(len(dataset)):
        image, target = dataset[i]
        rows = zip(target["boxes"], target["labels"], target["masks"])
        for (box, label, mask), hard in zip(rows, target["difficult"]):
            x1, y1, x2, y2 = box.int().tolist()
            size = round((y2 - y1) * scale), round((x2 - x1) * scale)
            if not hard and min(size) >= shortest:
                mask = mask[None, y1:y2, x1:x2].float()
                whole = torch.cat([as_float(image[:, y1:y2, x1:x2]) * mask, mask])
                small = F.interpolate(whole[None], size, mode="area")[0]
                found.append(((small * 255).round().byte(), label))
    return found


def paste(image, cut_out, x, y):
    """The image (3, H, W) with a cut-out (4, h, w) over it, its corner at x, y.

    Source: Dwibedi et al. 2017. Lesson 02.
    """
    image, (h, w) = image.clone(), cut_out.shape[1:]
    part = image[:, y : y + h, x : x + w]
    part *= 1 - cut_out[3]
    part += cut_out[:3]
    return image


class Pasted(torch.utils.data.Dataset):
    """New pictures of one object: any cut-out anywhere on an emptied picture.

    grounds: images (3, H, W) uint8; objects: from `cut_outs`; every item is drawn anew:
    ground, place, size (`least` to `most` times) and mirror image. length: items that
    it says it has. Items are (image float32 (3, H, W), target). Lesson 02.
    """

    def __init__(self, grounds, objects, length, least=0.6, most=1.5):
        self.grounds, self.objects, self.length = grounds, objects, length
        self.least, self.most = least, most

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        ground = as_float(self.grounds[int(torch.randint(len(self.grounds), ()))])
        pixels, label = self.objects[int(torch.randint(len(self.objects), ()))]
        room = torch.tensor(ground.shape[1:])
        zoom = self.least + (self.most - self.least) * torch.rand(())
        size = (torch.tensor(pixels.shape[1:]) * zoom).round().int().clamp(min=4)
        h, w = size.minimum(room).tolist()
        thing = as_float(pixels)[None]
        thing = F.interpolate(thing, (h, w), mode="bilinear", antialias=True)[0]
        if torch.rand(()) < 0.5:
            thing = thing.flip(2)
        y, x = (torch.rand(2) * (room - torch.tensor([h, w]) + 1)).int().tolist()
        image = random_tint(paste(ground, thing, x, y))
        box = torch.tensor([[x, y, x + w, y + h]]).float()
        return image, {"boxes": box, "labels": label[None]}


def empty_pictures(dataset, size):
    """Every picture of a data set with masks, small and without its objects.

    size: (height, width). A list of (3, H, W) uint8. Lesson 02.
    """
    empty = []
    for i in range(len(dataset)):
        image, target = dataset[i]
        small = F.interpolate(as_float(image)[None], size, mode="area")[0]
        mask = target["masks"].any(0)[None, None].float()
        mask = F.interpolate(mask, size, mode="area")[0, 0] > 0.05
        empty.append(without_object((small * 255).round().byte(), mask))
    return empty
