"""Checks of the exercises of lesson 10."""

import random

from course_utils.lessons.checks import written

written(
    "10.1 speed-up",
    lambda before, after, proposals: (
        (before + proposals) / (after + proposals),
        before / after,
    ),
    lambda: (random.uniform(5, 60), random.uniform(0.1, 4), random.uniform(0.2, 3)),
    edges={
        "47 s, 0.5 s and 1.5 s of proposals": (47.0, 0.5, 1.5),
        "proposals that take no time": (47.0, 0.5, 0.0),
        "two equal times": (2.0, 2.0, 1.0),
        "a method that became slower": (1.0, 4.0, 2.0),
    },
    mistakes=[
        (lambda a, b, p: (a / b, (a + p) / (b + p)), "the two are swapped: with"
         " proposals first"),
        (lambda a, b, p: (a / b, a / b), "proposals cost both methods the same time:"
         " add it to both"),
        (lambda a, b, p: (a / (b + p), a / b), "add the proposals to both, not only to"
         " the faster one"),
        (lambda a, b, p: ((a + p) / b, a / b), "add the proposals to both, not only to"
         " the slower one"),
        (lambda a, b, p: ((b + p) / (a + p), b / a), "before / after: a factor above 1"
         " means faster"),
        (lambda a, b, p: ((a + p) / (b + p), (a - p) / (b - p or 1)), "the given"
         " seconds do not contain the proposals: nothing to subtract"),
        (lambda a, b, p: (a / (b or 1), (a - p) / (b - p or 1)), "the given seconds do"
         " not contain the proposals: add them for the first factor"),
        (lambda a, b, p: (a - b, a - b), "a factor: divide"),
        (lambda a, b, p: (a + p, b + p), "those are the two times; divide them"),
        (lambda a, b, p: (round((a + p) / (b + p)), round(a / b)), "do not round"),
    ],
    tolerance=1e-3,
)  # fmt: skip


def front(points):
    """Indices of the points that no other beats."""
    return [i for i, p in enumerate(points) if not any(beats(q, p) for q in points)]


def beats(q, p):
    return q[0] <= p[0] and q[1] >= p[1] and q != p


def front_by(beats):
    """A wrong answer: with another rule of who beats whom."""
    return lambda points: [
        i
        for i, p in enumerate(points)
        if not any(beats(q, p) for j, q in enumerate(points) if i != j)
    ]


def each_once(points):
    return [i for i in front(points) if points.index(points[i]) == i]


def a_few_points():
    count = random.randint(2, 12)
    return (
        [(random.randint(1, 7) * 5, random.randint(0, 8) / 8) for _ in range(count)],
    )


POINTS = [(10, 0.5), (20, 0.8), (30, 0.7), (5, 0.4), (20, 0.8), (40, 0.8)]

written(
    "10.2 Pareto front",
    front,
    a_few_points,
    edges={
        f"the points {POINTS}": (POINTS,),
        "two equal points": ([(10, 0.5), (10, 0.5)],),
        "equal times": ([(10, 0.5), (10, 0.75), (10, 0.25)],),
        "equal accuracies": ([(30, 0.5), (20, 0.5), (10, 0.5)],),
        "one point": ([(10, 0.5)],),
        "no points": ([],),
    },
    mistakes=[
        (each_once, "equal points do not beat each other: both stay"),
        (front_by(lambda q, p: q[0] <= p[0] and q[1] >= p[1]), "equal points do not"
         " beat each other: both stay"),
        (front_by(lambda q, p: q[0] < p[0] and q[1] > p[1]), "a point is beaten, too,"
         " if another is as accurate and faster, or as fast and more accurate"),
        (front_by(lambda q, p: q[0] < p[0] and q[1] >= p[1]), "of two that take the"
         " same time, the more accurate one beats the other"),
        (front_by(lambda q, p: q[0] <= p[0] and q[1] > p[1]), "of two that are as"
         " accurate, the faster one beats the other"),
        (front_by(lambda q, p: q[1] > p[1]), "that is the most accurate; a faster one"
         " that is worse stays too"),
        (front_by(lambda q, p: q[0] < p[0]), "that is the fastest; a slower one that is"
         " more accurate stays too"),
        (front_by(lambda q, p: beats(p, q)), "those are the ones that beat no other;"
         " keep those that no other beats"),
        (lambda points: [i for i, p in enumerate(points) if i not in front(points)],
         "those are the beaten ones; return the others"),
        (lambda points: [points[i] for i in front(points)], "those are the points;"
         " return their indices"),
        (lambda points: sorted(front(points), key=lambda i: points[i]), "sort the"
         " indices, not the points"),
        (front_by(lambda q, p: q[0] >= p[0] and q[1] >= p[1] and q != p), "fewer"
         " milliseconds are better, not more"),
    ],
)  # fmt: skip


def best_within(settings, budget):
    within = [name for name, (ms, _) in settings.items() if ms <= budget]
    return max(within, key=lambda name: settings[name][1], default=None)


def some_settings():
    names = random.sample("abcdefgh", random.randint(2, 7))
    settings = {
        name: (random.randint(1, 8) * 5, random.randint(1, 9) / 10) for name in names
    }
    return settings, random.randint(1, 8) * 5


def as_good(got, want, settings, budget):
    """Whether a name is right: of equally accurate ones each is."""
    if want is None or got is None:
        return got is want
    ms, accuracy = settings[str(got)]
    return ms <= budget and accuracy == settings[want][1]


def name_by(key, allowed=lambda ms, budget: ms <= budget):
    """A wrong answer: the largest by another `key`, of others that are `allowed`."""

    def answer(settings, budget):
        within = [n for n, (ms, _) in settings.items() if allowed(ms, budget)]
        return max(within, key=lambda n: key(*settings[n], budget), default=None)

    return answer


SETTINGS = {"a": (10, 0.5), "b": (20, 0.8), "c": (30, 0.9), "d": (20, 0.7)}

written(
    "10.3 a budget",
    best_within,
    some_settings,
    edges={
        f"the settings {SETTINGS} and a budget of 20": (SETTINGS, 20),
        "a budget that none keeps": (SETTINGS, 5),
        "a budget that all keep": (SETTINGS, 100),
        "one setting, with exactly the budget": ({"a": (10, 0.5)}, 10),
        "no settings": ({}, 10),
    },
    mistakes=[
        (name_by(lambda ms, ap, b: ap, lambda ms, b: ms < b), "exactly the budget is"
         " allowed: use <="),
        (name_by(lambda ms, ap, b: ap, lambda ms, b: True), "that one takes longer than"
         " the budget"),
        (name_by(lambda ms, ap, b: -ms), "of those within the budget take the most"
         " accurate, not the fastest"),
        (name_by(lambda ms, ap, b: ms), "of those within the budget take the most"
         " accurate, not the slowest"),
        (name_by(lambda ms, ap, b: 0), "of those within the budget take the most"
         " accurate, not the first"),
        (name_by(lambda ms, ap, b: -ap), "the most accurate, not the least"),
        (name_by(lambda ms, ap, b: ap / ms), "the most accurate one within the budget,"
         " not the most accurate for its time"),
        (name_by(lambda ms, ap, b: ap, lambda ms, b: ms >= b), "at most `budget`"
         " milliseconds, not at least"),
        (lambda settings, budget: max(settings[n][1] for n in settings if settings[n][0]
         <= budget) if best_within(settings, budget) else None, "return the name, not"
         " the accuracy"),
        (lambda settings, budget: max([n for n, (ms, _) in settings.items() if ms
         <= budget], key=lambda n: settings[n][1]), "nothing may be within the budget:"
         " return None"),
        (lambda settings, budget: best_within(settings, budget) or "", "nothing may be"
         " within the budget: return None, no text"),
    ],
    accept=as_good,
)  # fmt: skip
