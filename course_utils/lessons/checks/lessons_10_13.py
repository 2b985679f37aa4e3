"""Checks of the exercises of lessons 10 to 13."""

import torch

from course_utils.lessons.checks import as_tensor, attempted, exercise, hint_for


@exercise("10.1 speed-up")
def speed_up(function):
    got = [round(float(v), 3) for v in as_tensor(function(47.0, 0.5, 1.5))]
    if len(got) != 2:
        return "return two factors: with proposals, without"
    hints = {
        (24.25, 94.0): None,
        (94.0, 24.25): "the two are swapped: with proposals first",
        (94.0, 94.0): "proposals cost both methods the same time: add it to both",
        (31.333, 94.0): "add the proposals to both, not only to the faster one",
        (23.5, 94.0): "add the proposals to both, not only to the faster one",
        (0.041, 0.011): "before / after: a factor above 1 means faster",
    }
    return hint_for(got, hints, f"47 s, 0.5 s and 1.5 s of proposals gave {got}")


@exercise("10.2 Pareto front")
def front(function):
    points = [(10, 0.5), (20, 0.8), (30, 0.7), (5, 0.4), (20, 0.8), (40, 0.8)]
    got = sorted(int(v) for v in attempted(function(points)))
    hints = {
        (0, 1, 3, 4): None,
        (0, 1, 3): "equal points do not beat each other: 4 stays beside 1",
        (0, 3): "equal points do not beat each other: 1 and 4 both stay",
        (0, 1, 3, 4, 5): "40 ms for 0.8 is beaten by 20 ms for 0.8",
        (1, 4, 5): "that is the most accurate; a faster one that is worse stays too",
        (1, 4): "that is the most accurate; a faster one that is worse stays too",
        (2, 5): "those are the beaten ones; return the others",
    }
    return hint_for(got, hints, f"of {points} you kept {got}")


@exercise("10.3 a budget")
def best_within(function):
    settings = {"a": (10, 0.5), "b": (20, 0.8), "c": (30, 0.9), "d": (20, 0.7)}
    got = attempted(function(settings, 20))
    hints = {
        "b": None,
        "a": "exactly the budget is allowed: use <=",
        "c": "c takes 30 ms, over the budget of 20",
        "d": "of those within the budget take the most accurate",
    }
    hint = hints.get(got, f"return a name; you gave {got!r}")
    if hint:
        return hint
    if function(settings, 5) is not None:
        return "nothing takes 5 ms or less: return None"


@exercise("11.1 counting anchors")
def count_anchors(function):
    got = int(attempted(function(180, 240, (8, 16), (9, 6))))
    hints = {
        23 * 30 * 9 + 12 * 15 * 6: None,
        22 * 30 * 9 + 11 * 15 * 6: "the last row of cells hangs over: round up",
        23 * 30 + 12 * 15: "those are the cells; each has several anchors",
        23 * 30 * 9: "that is the first map alone; add the second",
        23 * 30 * 9 * (12 * 15 * 6): "the maps add up, they do not multiply",
        180 * 240 * 15: "anchors stand at cells, not at pixels: divide by the stride",
    }
    return hint_for(got, hints, f"180 x 240, strides 8, 16 and 9, 6 shapes gave {got}")


@exercise("11.2 focal weight")
def focal_weight(function):
    got = round(float(as_tensor(function(0.9, 2.0))), 4)
    hints = {
        0.01: None,
        0.81: "that is p to the gamma: it keeps the easy ones and drops the hard ones",
        0.0025: "leave alpha out: only the factor that depends on how sure it is",
        0.0011: "leave the logarithm out: only the factor in front of it",
        0.2: "gamma is an exponent, not a factor",
    }
    return hint_for(got, hints, f"p = 0.9 and gamma = 2 gave {got}", 1e-4)


@exercise("11.3 hard negatives")
def hard_negatives(function):
    losses = torch.tensor([0.1, 5.0, 0.4, 2.0, 0.3, 0.9])
    positive = torch.tensor([False, True, False, False, False, False])
    got = tuple(sorted(int(v) for v in attempted(function(losses, positive, 2))))
    hints = {
        (3, 5): None,
        (1, 3): "1 is a positive: only negatives are to be chosen",
        (0, 4): "those have the smallest loss: the network knows them already",
        (1, 3, 5): "return the negatives alone; the positives train anyway",
        (3,): "one positive and a ratio of 2: two negatives",
        (0, 2, 3, 4, 5): "not all negatives: `ratio` for each positive",
    }
    return hint_for(got, hints, f"losses {losses.tolist()} gave {list(got)}")


@exercise("12.1 from the square")
def from_square(function):
    got = as_tensor(function(torch.tensor([96.0, 192, 288, 384]), 300, 500)).tolist()
    hints = {
        (125, 150, 375, 300): None,
        (75, 250, 225, 500): "height and width are swapped: x goes with the width",
        (73.728, 245.76, 221.184, 491.52): "that goes into the square, not back",
        (125, 150, 288, 384): "scale the lower right corner too",
    }
    sentence = f"96, 192, 288, 384 in a photograph of 300 x 500 gave {got}"
    return hint_for(got, hints, sentence, 0.02)


@exercise("12.2 cache or not")
def cache_seconds(function):
    got = [round(float(v), 3) for v in as_tensor(function(1000, 5, 0.03, 0.002))]
    hints = {
        (150.0, 42.0): None,
        (42.0, 150.0): "the two are swapped: without a cache first",
        (150.0, 40.0): "writing takes time as well as reading",
        (150.0, 30.0): "add the disk: one writing and a reading in each pass",
        (150.0, 32.0): "the maps are read in each pass, not once",
        (30.0, 42.0): "without a cache the backbone runs in each pass",
        (160.0, 42.0): "without a cache nothing is written or read",
    }
    return hint_for(got, hints, f"1,000 photographs in 5 passes gave {got}")


@exercise("12.3 what to work on")
def shares(function):
    total = {"right": 60, "twice": 5, "class": 10, "place": 15, "background": 10}
    got = [round(float(v), 3) for v in as_tensor(function(total | {"missed": 90}))]
    hints = {
        (0.4, 0.6): None,
        (0.6, 0.4): "the two are swapped: objects found first",
        (0.4, 0.316): "missed objects are no answers: leave them out of the second",
        (0.316, 0.6): "of the objects: right and missed only",
        (0.4, 0.632): "an object found twice is a wrong answer too",
        (0.4, 0.65): "the second finding of an object is not right",
    }
    return hint_for(got, hints, f"{total | {'missed': 90}} gave {got}")


@exercise("13.1 from YOLO")
def from_yolo(function):
    got = as_tensor(function(0.5, 0.25, 0.2, 0.1, 640, 480)).tolist()
    got = [round(v, 2) for v in got]
    hints = {
        (256.0, 96.0, 384.0, 144.0): None,
        (320.0, 120.0, 448.0, 168.0): "the first two are the center, not a corner",
        (320.0, 120.0, 128.0, 48.0): "return corners: center -+ half the size",
        (0.4, 0.2, 0.6, 0.3): "multiply by the image's width and height",
        (192.0, 128.0, 288.0, 192.0): "swapped: x goes with the width",
        (192.0, 72.0, 448.0, 168.0): "half the size on each side, not all of it",
        (257, 97, 384, 144): "YOLO counts no pixels: nothing to add or subtract",
    }
    return hint_for(got, hints, f"0.5 0.25 0.2 0.1 of 640 x 480 gave {got}")


@exercise("13.2 turn a box")
def turn_right(function):
    got = [round(float(v), 2) for v in as_tensor(function((10, 20, 50, 40), 100, 60))]
    hints = {
        (20.0, 10.0, 40.0, 50.0): None,
        (10.0, 20.0, 50.0, 40.0): "nothing moved",
        (20.0, 50.0, 40.0, 90.0): "that is a quarter to the left",
        (40.0, 10.0, 20.0, 50.0): "the corners are swapped: the smaller x comes first",
        (60, 10, 80, 50): "the new x counts from the old lower border: height - y",
        (50.0, 20.0, 90.0, 40.0): "that is a mirror image; x and y change places, too",
    }
    return hint_for(got, hints, f"10, 20, 50, 40 of 100 x 60 pixels gave {got}")


@exercise("13.3 a fair split")
def fair_split(function):
    names = [
        f"{place}_{n}" for place in ("attic", "barn", "cave", "dock") for n in "123"
    ]
    train, test = attempted(function(names, "dock"))
    train, test = list(train), list(test)
    if set(train) & set(test):
        return f"{sorted(set(train) & set(test))} are in both parts"
    if {name.split("_")[0] for name in test} == {"attic", "barn", "cave"}:
        return "the two parts are swapped: the named place is for the test"
    if {name.split("_")[0] for name in test} != {"dock"}:
        return "all pictures of the named place, and no others, are for the test"
    if len(test) != 3 or set(train) | set(test) != set(names):
        return "some pictures are in neither part"
