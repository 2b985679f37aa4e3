"""Checks of the exercises of lessons 03 and 04."""

import torch

from course_utils.lessons.checks import as_tensor, attempted, exercise, hint_for


@exercise("03.1 number of windows")
def number_of_windows(function):
    got = float(attempted(function(180, 240, 60, 30)))
    hints = {
        35.0: None,
        48.0: "the last window must end inside: it starts at height - side at most",
        24.0: "a window that ends exactly at the border still fits: add 1",
        12.0: "the windows overlap: they start every `step` pixels, not every `side`",
        1200.0: "windows start only every `step` pixels, not at every pixel",
    }
    sentence = f"height 180, width 240, side 60, step 30 gave {got:g}"
    if hint := hint_for(got, hints, sentence):
        return hint
    if float(function(50, 100, 60, 10)) != 0:
        return "a window of side 60 does not fit into 50 rows: the answer is 0 there"
    if float(function(65, 65, 60, 10)) != 1:
        return "round down: in 65 rows with side 60 and step 10 there is 1 place"


@exercise("03.2 histogram of a join")
def histogram_of_a_join(function):
    a, b = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0.5, 0.5])
    before = a.clone(), b.clone()
    got = as_tensor(function(a, 300, b, 100))
    if not (torch.equal(a, before[0]) and torch.equal(b, before[1])):
        return "a given histogram was changed; make a new one"
    if got.shape != (3,):
        return f"the histogram has 3 bins, yours has shape {tuple(got.shape)}"
    hints = {
        (0.75, 0.125, 0.125): None,
        (0.5, 0.25, 0.25): "weigh by size: region a has three times b's pixels",
        (300, 50, 50): "these are pixels; divide by the size of the joined region",
        (1, 0.5, 0.5): "a sum of two histograms adds up to 2; take the weighted mean",
        (0.25, 0.375, 0.375): "the weights are swapped: a's share goes with a",
    }
    rounded = [round(v, 3) for v in got.tolist()]
    return hint_for(got, hints, f"expected [0.75, 0.125, 0.125], got {rounded}")


@exercise("03.3 recall")
def recall(function):
    objects = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])
    objects = torch.cat([objects, torch.tensor([[60.0, 0, 70, 10]])])
    proposals = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 5]])
    proposals = torch.cat([proposals, torch.tensor([[40.0, 0, 50, 4], [80, 0, 90, 9]])])
    got = float(attempted(function(proposals, objects, 0.5)))
    hints = {
        0.5: None,
        0.6: "that is the share of good proposals; ask it of each object",
        0.4: "that is the share of good proposals; ask it of each object",
        0.25: "an IoU of exactly 0.5 counts as found: use >=",
        0.75: "count objects, not pairs: two proposals hit object 0",
        2.0: "that is a count; divide by the number of objects",
        0.475: "that is the mean best overlap; count objects that reach the IoU",
    }
    return hint_for(got, hints, f"2 of 4 objects are found, so 0.5; got {got:g}")


@exercise("04.1 precision and recall")
def precision_and_recall(function):
    scores = [0.9, 0.8, 0.7, 0.6, 0.3]
    right = [True, False, True, True, False]
    got = [round(v, 4) for v in as_tensor(function(scores, right, 5, 0.6)).tolist()]
    if len(got) != 2:
        return "return two numbers: precision, recall"
    hints = {
        (0.75, 0.6): None,
        (0.6, 0.75): "the two are swapped: precision first",
        (0.75, 1.0): "recall is over all objects, also those that nobody found",
        (0.6667, 0.4): "a score equal to the threshold stays: use >=",
        (0.6, 0.6): "cut the detections below the threshold first",
    }
    sentence = f"expected precision 3 / 4 and recall 3 / 5, got {got}"
    if hint := hint_for(got, hints, sentence):
        return hint
    nothing = [float(v) for v in function(scores, right, 5, 0.95)]
    if nothing != [1.0, 0.0]:
        return "with no detection left say precision 1 and recall 0, not 0 / 0"


@exercise("04.2 all-point AP")
def all_point_ap(function):
    # right, wrong, right, right of 4 objects: precision 1, 1/2, 2/3, 3/4
    got = round(float(attempted(function([True, False, True, True], 4))), 4)
    hints = {
        0.625: None,
        0.6042: "make the curve fall first: each precision becomes the best to its"
        " right",
        0.8333: "divide by the number of objects, 4: the one not found counts too",
        0.8056: "divide by the number of objects, and make the curve fall first",
        0.7292: "only right answers raise recall; a wrong one adds no area",
    }
    return hint_for(got, hints, f"(1 + 3/4 + 3/4) / 4 = 0.625 is right, got {got:g}")


@exercise("04.3 mean over classes")
def mean_over_classes(function):
    nan = float("nan")
    got = float(attempted(function({"mug": 0.8, "ball": 0.4, "cat": nan})))
    if got != got:
        return "a class without objects has the AP NaN: leave it out of the mean"
    hints = {0.6: None, 0.4: "NaN is not 0: leave the class out, divide by 2"}
    sentence = f"(0.8 + 0.4) / 2 = 0.6 was expected, got {got:g}"
    if hint := hint_for(got, hints, sentence):
        return hint
    alone = float(function({"cat": nan}))
    if alone == alone:
        return f"if no class has objects, the mean is NaN; yours is {alone:g}"
