"""Checks of the exercises of lessons 10 to 13."""

from course_utils.checks import as_tensor, attempted, exercise


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
    return hints.get(tuple(got), f"47 s, 0.5 s and 1.5 s of proposals gave {got}")


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
    return hints.get(tuple(got), f"of {points} you kept {got}")


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
