"""paste.py: objects leave their pictures and come back elsewhere, boxes exact."""

import torch

from course_utils.data.paste import (
    Pasted,
    cut_outs,
    empty_pictures,
    paste,
    without_object,
)

SIZE = (30, 40)


class Blocks:
    """Grey pictures with one red block and its mask; the third one is difficult."""

    def __len__(self):
        return 3

    def __getitem__(self, i):
        if i >= len(self):
            raise IndexError
        image = torch.full((3, 60, 80), 90, dtype=torch.uint8)
        mask = torch.zeros(1, 60, 80, dtype=torch.bool)
        x, y = 10 + 10 * i, 8 + 6 * i
        mask[0, y : y + 20, x : x + 32] = True
        image[0][mask[0]], image[1][mask[0]] = 250, 0
        target = {
            "boxes": torch.tensor([[x, y, x + 32, y + 20]]).float(),
            "labels": torch.tensor([i + 1]),
            "masks": mask,
            "difficult": torch.tensor([i == 2]),
        }
        return image, target


def test_nothing_of_the_object_stays():
    image, target = Blocks()[0]
    empty = without_object(image, target["masks"][0])
    assert empty.shape == image.shape and empty.dtype == torch.uint8
    assert (empty.int() - 90).abs().max() <= 8
    for small in empty_pictures(Blocks(), SIZE):
        assert small.shape == (3, *SIZE) and (small.int() - 90).abs().max() <= 8


def test_cut_outs_have_colour_mask_and_scale():
    found = cut_outs(Blocks(), 0.5)
    assert [int(label) for _, label in found] == [1, 2], "no difficult object"
    pixels, _ = found[0]
    assert pixels.shape == (4, 10, 16) and (pixels[3] == 255).all()
    assert (pixels[0] >= 249).all() and (pixels[1] == 0).all()
    assert cut_outs(Blocks(), 0.5, shortest=11) == []


def test_paste_covers_only_what_the_mask_says():
    cut = torch.zeros(4, 2, 3)
    cut[:, 0] = 1  # the upper row is white and covers
    image = paste(torch.full((3, 5, 6), 0.5), cut, 1, 2)
    assert (image[:, 2, 1:4] == 1).all() and image.sum() == 3 * (27 * 0.5 + 3)


def test_pasted_boxes_lie_on_their_objects():
    torch.manual_seed(0)
    pasted = Pasted(empty_pictures(Blocks(), SIZE), cut_outs(Blocks(), 0.5), 20)
    assert len(pasted) == 20
    places = set()
    for i in range(20):
        image, target = pasted[i]
        x1, y1, x2, y2 = target["boxes"][0].int().tolist()
        assert 0 <= x1 < x2 <= 40 and 0 <= y1 < y2 <= 30
        red = image[0] > 3 * image[1]
        assert red[y1:y2, x1:x2].float().mean() > 0.9
        red[y1:y2, x1:x2] = False
        assert red.float().mean() < 0.05
        assert target["labels"].tolist() in ([1], [2])
        places.add((x1, y1))
    assert len(places) > 10
