"""Checks of the exercises of lesson 00."""

import torch

from course_utils.lessons.checks import attempted, exercise, written


def box_of_a_mask(mask):
    x, y = mask.any(0).nonzero()[:, 0], mask.any(1).nonzero()[:, 0]
    return [x[0].item(), y[0].item(), x[-1].item() + 1, y[-1].item() + 1]


def random_mask():
    """Two rectangles in a picture that is not square: a hole, a gap, or one piece."""
    height, width = torch.randint(6, 20, (2,)).tolist()
    mask = torch.zeros(height, width + 5, dtype=torch.bool)
    for _ in range(2):
        y, x = (int(torch.randint(side, ())) for side in mask.shape)
        high, wide = torch.randint(1, 7, (2,)).tolist()
        mask[y : y + high, x : x + wide] = True
    return (mask,)


def without_the_last(mask):
    x1, y1, x2, y2 = box_of_a_mask(mask)
    return [x1, y1, x2 - 1, y2 - 1]


def rows_as_x(box):
    return lambda mask: [box(mask)[i] for i in (1, 0, 3, 2)]


def as_sizes(mask):
    x1, y1, x2, y2 = box_of_a_mask(mask)
    return [x1, y1, x2 - x1, y2 - y1]


def as_far_as_counted(mask):
    x1, y1, *_ = box_of_a_mask(mask)
    return [x1, y1, x1 + mask.any(0).sum().item(), y1 + mask.any(1).sum().item()]


def of_the_first_pixel(mask):
    x, y = mask[mask.any(1)][0].nonzero()[:, 0], mask.any(1).nonzero()[:, 0]
    return [x[0].item(), y[0].item(), x[-1].item() + 1, y[-1].item() + 1]


def spot(height, width, *rows_and_columns):
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[rows_and_columns] = True
    return (mask,)


written(
    "00.1 box of a mask",
    box_of_a_mask,
    random_mask,
    edges={
        "a mask of rows 2..4 and columns 3..9": spot(9, 12, slice(2, 5), slice(3, 10)),
        "the single pixel at row 1, column 2": spot(4, 5, 1, 2),
        "a mask that fills the picture": spot(3, 7, slice(None), slice(None)),
    },
    mistakes=[
        (
            without_the_last,
            "x2 and y2 are one too small: the box is half-open, its right edge lies"
            " behind the last pixel, so add 1 to the largest column and row",
        ),
        (
            rows_as_x(box_of_a_mask),
            "x and y are swapped: dimension 0 of a mask counts rows, so it is y",
        ),
        (
            rows_as_x(without_the_last),
            "x and y are swapped, and the far edge is one too small",
        ),
        (as_sizes, "that is x, y, width, height; the course wants x1, y1, x2, y2"),
        (
            as_far_as_counted,
            "you counted the columns and rows of the mask; it may have gaps: look for"
            " the first and the last one",
        ),
        (
            of_the_first_pixel,
            "x comes from the mask's first row alone; look at all rows: mask.any(0)",
        ),
    ],
)


def semantic_map(masks, labels):
    result = torch.zeros(masks.shape[1:], dtype=torch.int64)
    for mask, label in zip(masks, labels):
        result[mask] = label
    return result


def random_masks():
    """Masks that do not overlap, as in the data set, and their labels, some equal."""
    count, height, width = (int(torch.randint(2, 7, ())) for _ in range(3))
    owner = torch.randint(0, count + 1, (height, width + 3))
    masks = torch.stack([owner == i + 1 for i in range(count)])
    return masks, torch.randint(1, 9, (count,))


written(
    "00.2 semantic map",
    semantic_map,
    random_masks,
    edges={
        "a picture of 4 x 6 without objects": (
            torch.zeros(0, 4, 6, dtype=torch.bool),
            torch.zeros(0, dtype=torch.int64),
        ),
        "two mugs": (
            torch.tensor([[[1, 0, 0]] * 2, [[0, 0, 1]] * 2]).bool(),
            torch.tensor([1, 1]),
        ),
    },
    mistakes=[
        (
            lambda m, t: semantic_map(m, range(1, len(m) + 1)),
            "you gave the object's number; a semantic map holds the class label",
        ),
        (
            lambda m, t: semantic_map(m, torch.ones_like(t)),
            "you only mark object or not; write the label of the class",
        ),
        (
            lambda m, t: semantic_map(m, t - 1),
            "the labels are one too small: they start at 1, 0 is the background",
        ),
        (
            lambda m, t: m * t[:, None, None],
            "that is a map for each object; a semantic map is one (H, W) for all",
        ),
        (
            lambda m, t: semantic_map(m[:1], t[:1]),
            "only the first object is there: is the `return` inside the loop?",
        ),
        (
            lambda m, t: torch.where(m.any(0), semantic_map(m, t), -1),
            "the background is 0, not -1",
        ),
    ],
)


@exercise("00.3 smallest object")
def smallest_object(answer):
    from course_utils.data.catalog import find_data
    from course_utils.data.datasets import VOCDataset

    given = attempted(answer)
    data = VOCDataset(find_data("tabletop"), "train")
    areas = {}
    for objects in data.objects:
        for o in objects:
            x1, y1, x2, y2 = o["box"]
            areas.setdefault(o["name"], []).append((x2 - x1) * (y2 - y1))
    means = {name: sum(values) / len(values) for name, values in areas.items()}
    if given not in data.classes:
        return f"the answer is the name of a class, one of {', '.join(data.classes)}"
    if given == min(means, key=means.get):
        return None
    if given == max(means, key=means.get):
        return "that one is the largest on average"
    if given == min(areas, key=lambda name: min(areas[name])):
        return "that class has the single smallest box; the question is about the mean"
    return f"{given}: mean box area {means[given]:.0f} pixels; there is a smaller one"
