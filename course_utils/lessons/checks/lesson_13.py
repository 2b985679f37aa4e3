"""Checks of the exercises of lesson 13."""

import random

from course_utils.lessons.checks import written


def from_yolo(x, y, w, h, width, height):
    left, right = (x - w / 2) * width, (x + w / 2) * width
    return left, (y - h / 2) * height, right, (y + h / 2) * height


def a_yolo_line():
    w, h = random.uniform(0.05, 0.6), random.uniform(0.05, 0.6)
    x, y = random.uniform(w / 2, 1 - w / 2), random.uniform(h / 2, 1 - h / 2)
    return (x, y, w, h, *random.sample(range(100, 1000), 2))


def whole_pixels(x, y, w, h, W, H):
    return tuple(int(v) for v in from_yolo(x, y, w, h, W, H))


def counted_from_1(x, y, w, h, W, H):
    x1, y1, x2, y2 = from_yolo(x, y, w, h, W, H)
    return x1 + 1, y1 + 1, x2, y2


written(
    "13.1 from YOLO",
    from_yolo,
    a_yolo_line,
    edges={
        "0.5 0.25 0.2 0.1 of 640 x 480": (0.5, 0.25, 0.2, 0.1, 640, 480),
        "the whole picture": (0.5, 0.5, 1.0, 1.0, 300, 200),
        "a box without size": (0.3, 0.7, 0.0, 0.0, 300, 200),
        "a box at the upper left corner": (0.1, 0.05, 0.2, 0.1, 500, 375),
    },
    mistakes=[
        (lambda x, y, w, h, W, H: (x * W, y * H, (x + w) * W, (y + h) * H), "the first"
         " two are the center, not a corner"),
        (lambda x, y, w, h, W, H: (x * W, y * H, w * W, h * H), "return corners: center"
         " -+ half the size"),
        (lambda x, y, w, h, W, H: from_yolo(x, y, w, h, 1, 1), "multiply by the image's"
         " width and height"),
        (lambda x, y, w, h, W, H: from_yolo(x, y, w, h, H, W), "swapped: x goes with"
         " the width"),
        (lambda x, y, w, h, W, H: from_yolo(x, y, 2 * w, 2 * h, W, H), "half the size"
         " on each side, not all of it"),
        (counted_from_1, "YOLO counts no pixels: nothing to add or subtract"),
        (lambda x, y, w, h, W, H: from_yolo(x, y, w, h, W, W),
         "y goes with the height"),
        (lambda x, y, w, h, W, H: ((x - w / 2) * W, (x + w / 2) * W, (y - h / 2) * H,
         (y + h / 2) * H), "the order is x1, y1, x2, y2"),
        (lambda x, y, w, h, W, H: ((x - w / 2) * W, (y - h / 2) * H, w * W, h * H),
         "the last two are the other corner, not width and height"),
        (whole_pixels, "do not round: boxes are not whole pixels"),
        (lambda x, y, w, h, W, H: from_yolo(y, x, h, w, W, H), "the line holds x before"
         " y, and width before height"),
    ],
)  # fmt: skip


def turn_right(box, width, height):
    x1, y1, x2, y2 = box
    return height - y2, x1, height - y1, x2


def a_box_of_a_picture():
    width, height = random.sample(range(50, 400), 2)
    x1, x2 = sorted(random.sample(range(width), 2))
    y1, y2 = sorted(random.sample(range(height), 2))
    return (float(x1), float(y1), float(x2), float(y2)), width, height


def turned(answer):
    """A wrong answer from a function of x1, y1, x2, y2, width, height."""
    return lambda box, width, height: answer(*box, width, height)


written(
    "13.2 turn a box",
    turn_right,
    a_box_of_a_picture,
    edges={
        "10, 20, 50, 40 of 100 x 60 pixels": ((10.0, 20.0, 50.0, 40.0), 100, 60),
        "the whole picture": ((0.0, 0.0, 100.0, 60.0), 100, 60),
        "a box at the upper left corner": ((0.0, 0.0, 30.0, 10.0), 100, 60),
        "a square picture": ((10.0, 20.0, 50.0, 30.0), 80, 80),
    },
    mistakes=[
        (turned(lambda a, b, c, d, w, h: (a, b, c, d)), "nothing moved"),
        (turned(lambda a, b, c, d, w, h: (b, w - c, d, w - a)), "that is a quarter to"
         " the left"),
        (turned(lambda a, b, c, d, w, h: (h - b, a, h - d, c)), "the corners are"
         " swapped: the smaller x comes first"),
        (turned(lambda a, b, c, d, w, h: (w - d, a, w - b, c)), "the new x counts from"
         " the old lower border: height - y"),
        (turned(lambda a, b, c, d, w, h: (w - c, b, w - a, d)), "that is a mirror"
         " image; x and y change places, too"),
        (turned(lambda a, b, c, d, w, h: (b, a, d, c)), "swapping x and y alone mirrors"
         " the box: what was at the bottom must come to the left"),
        (turned(lambda a, b, c, d, w, h: (w - c, h - d, w - a, h - b)), "that is half a"
         " turn"),
        (turned(lambda a, b, c, d, w, h: (h - d - 1, a, h - b - 1, c)), "boxes are"
         " half-open: height - y, without - 1"),
        (turned(lambda a, b, c, d, w, h: (a, h - d, c, h - b)), "that is a picture"
         " turned upside down; x and y change places, too"),
        (turned(lambda a, b, c, d, w, h: (h - d, a, d - b, c - a)), "return x1, y1, x2,"
         " y2, not width and height"),
        (turned(lambda a, b, c, d, w, h: (h - d, w - c, h - b, w - a)), "what was at"
         " the left is at the top: the new y is the old x"),
    ],
)  # fmt: skip


def fair_split(names, place):
    test = [name for name in names if name.split("_")[0] == place]
    return [name for name in names if name.split("_")[0] != place], test


def some_names():
    places = random.sample(["attic", "barn", "cave", "dock", "barnyard", "row"], 4)
    names = [f"{p}_{n}" for p in places for n in range(1, random.randint(2, 13))]
    random.shuffle(names)
    return names, random.choice(places)


def equal_parts(got, want, names, place):
    """Whether both parts hold the wanted names, in any order."""
    train, test = got
    parts = sorted(map(str, train)), sorted(map(str, test))
    return parts == (sorted(want[0]), sorted(want[1]))


def split_by(is_test):
    """A wrong answer: another rule for the test, from (name, place, number)."""
    return lambda names, place: (
        [n for i, n in enumerate(names) if not is_test(n, place, i)],
        [n for i, n in enumerate(names) if is_test(n, place, i)],
    )


NAMES = [f"{place}_{n}" for place in ("attic", "barn", "dock") for n in (1, 2, 3)]

written(
    "13.3 a fair split",
    fair_split,
    some_names,
    edges={
        "three pictures each of attic, barn and dock, the place dock": (NAMES, "dock"),
        "a place whose name begins another's": (
            ["barn_1", "barnyard_1", "barn_12", "cave_1"],
            "barn",
        ),
        "a place whose name ends another's": (["row_1", "arrow_1", "row_2"], "row"),
        "a place without pictures": (NAMES, "cave"),
        "pictures of this place only": (["cave_1", "cave_2"], "cave"),
        "no pictures": ([], "cave"),
    },
    mistakes=[
        (lambda names, place: fair_split(names, place)[::-1], "the two parts are"
         " swapped: the named place is for the test"),
        (lambda names, place: (names, fair_split(names, place)[1]), "the test's"
         " pictures are still among those that train"),
        (split_by(lambda name, place, i: i >= len(NAMES) * 2 // 3), "all pictures of"
         " the named place, and no others, are for the test; yours goes by the order"),
        (split_by(lambda name, place, i: name.startswith(place)), "a place's name may"
         " begin another's, as barn and barnyard: compare all of it"),
        (split_by(lambda name, place, i: place in name), "a place's name may be part of"
         " another's, as row and arrow: compare all of it"),
        (split_by(lambda name, place, i: name.split("_")[0].endswith(place)), "a"
         " place's name may end another's, as row and arrow: compare all of it"),
        (split_by(lambda name, place, i: name == f"{place}_1"), "all pictures of the"
         " place are for the test, not only its first"),
        (split_by(lambda name, place, i: name[:-2] == place), "the number may have two"
         " digits: split the name at _"),
        (split_by(lambda name, place, i: name[-1] == "3"), "a split by numbers leaves"
         " each place in both parts: that is the leak"),
        (lambda names, place: (fair_split(names, place)[0], [f"{place}_{i}" for i in
         (1, 2, 3)]), "the test holds the pictures that there are, as the list names"
         " them"),
        (lambda names, place: ([n for n in names if n.split("_")[0] < place],
         fair_split(names, place)[1]), "all pictures of other places train; some are in"
         " neither part"),
    ],
    accept=equal_parts,
)  # fmt: skip
