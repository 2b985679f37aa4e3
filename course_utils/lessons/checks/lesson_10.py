"""Checks of the exercises of lesson 10."""

import random
import statistics

from course_utils.lessons.checks import exercise, written

PHASES = ("proposals", "backbone", "regions", "nms")


def speed_up(before, after):
    return ratio(before, after), ratio(before, after, counted=PHASES[1:])


def ratio(before, after, counted=PHASES):
    a, b = (sum(m.get(phase, 0) for phase in counted) for m in (before, after))
    return a / b


def only_shared(before, after):
    shared = [phase for phase in PHASES if phase in before and phase in after]
    rest = [phase for phase in shared if phase != "proposals"]
    return ratio(before, after, shared), ratio(before, after, rest)


def mean_of_factors(before, after):
    factors = {p: before[p] / after[p] for p in before if after.get(p)}
    rest = [f for phase, f in factors.items() if phase != "proposals"]
    return statistics.mean(factors.values()), statistics.mean(rest)


def rest_of(detector):
    return sum(s for phase, s in detector.items() if phase != "proposals")


def all_have_proposals(before, after):
    a, b = sum(before.values()), sum(after.values())
    return a / b, (a - before["proposals"]) / (b - after["proposals"])


def some_detector():
    """{phase: seconds}, with regions and any of the others."""
    phases = [p for p in PHASES if p == "regions" or random.random() < 0.7]
    return {phase: random.randint(1, 400) / 100 for phase in phases}


SEARCH = {"proposals": 1.5}

written(
    "10.1 speed-up",
    speed_up,
    lambda: (some_detector(), some_detector()),
    edges={
        "R-CNN and Fast R-CNN in their papers": (
            {**SEARCH, "regions": 47.0}, {**SEARCH, "regions": 0.32}),
        "Fast R-CNN and a detector without proposals": (
            {**SEARCH, "backbone": 0.15, "regions": 0.17}, {"backbone": 0.05,
            "regions": 0.02}),
        "a detector without a backbone of its own": (
            {**SEARCH, "regions": 40.0}, {"proposals": 0.01, "backbone": 0.14,
            "regions": 0.05, "nms": 0.01}),
        "two equal detectors": ({"regions": 2.0}, {"regions": 2.0}),
        "a detector that became slower": ({"regions": 1.0}, {"regions": 4.0}),
    },
    mistakes=[
        (lambda a, b: speed_up(a, b)[::-1], "the two are swapped: with proposals"
         " first"),
        (lambda a, b: (ratio(a, b, PHASES[1:]),) * 2, "the first factor counts the"
         " proposals as well: they have to be made"),
        (lambda a, b: (ratio(a, b),) * 2, "the second factor leaves the proposals out"),
        (lambda a, b: (rest_of(a) / sum(b.values()), ratio(a, b, PHASES[1:])), "count"
         " the proposals on both sides, not only on that of the faster one"),
        (lambda a, b: (sum(a.values()) / rest_of(b), ratio(a, b, PHASES[1:])), "count"
         " the proposals on both sides, not only on that of the slower one"),
        (lambda a, b: speed_up(b, a), "before / after: a factor above 1 means faster"),
        (only_shared, "a phase that only one of them has takes time as well"),
        (mean_of_factors, "add the phases up first, then divide: a mean of factors"
         " makes a short phase count as much as a long one"),
        (all_have_proposals, "a detector may have no proposals: `before.get(phase,"
         " 0)`"),
        (lambda a, b: (sum(a.values()) - sum(b.values()), rest_of(a) - rest_of(b)),
         "a factor: divide, do not subtract"),
        (lambda a, b: (sum(a.values()), sum(b.values())), "those are the two times;"
         " divide them"),
        (lambda a, b: tuple(round(f) for f in speed_up(a, b)), "do not round"),
    ],
    tolerance=1e-3,
)  # fmt: skip


def fair_times(rows, warm_up):
    return by_phase(rows[warm_up:])


def by_phase(rows, middle=statistics.median, unit=1000):
    phases = {phase for row in rows for phase in row}
    return {p: unit * middle([row.get(p, 0) for row in rows]) for p in phases}


def of_those_that_have_it(rows, warm_up):
    rows = rows[warm_up:]
    phases = {phase for row in rows for phase in row}
    return {
        p: 1000 * statistics.median([row[p] for row in rows if p in row])
        for p in phases
    }


def of_the_first_row(rows, warm_up):
    rows = rows[warm_up:]
    found = by_phase(rows)
    return {p: found[p] for p in rows[0]} if rows else {}


def all_have_all(rows, warm_up):
    rows = rows[warm_up:]
    phases = {phase for row in rows for phase in row}
    return {p: 1000 * statistics.median([row[p] for row in rows]) for p in phases}


def some_rows():
    count = random.randint(1, 9)
    slow = [random.choice((1, 1, 1, 5)) for _ in range(count)]
    rows = [
        {p: k * random.randint(1, 60) / 1000 for p in PHASES if random.random() < 0.8}
        for k in slow
    ]
    return rows, random.randint(0, min(3, count - 1))


ROWS = [
    {"backbone": 0.9, "nms": 0.5},
    {"backbone": 0.03, "nms": 0.001},
    {"backbone": 0.01, "nms": 0.004},
    {"backbone": 0.08, "nms": 0.002},
]

written(
    "10.2 a fair time",
    fair_times,
    some_rows,
    edges={
        "four scenes, the first to warm up": (ROWS, 1),
        "an even number of scenes": (ROWS, 0),
        "a phase that some scenes have not": (
            [{"backbone": 0.02}, {"backbone": 0.04, "nms": 0.01}, {"backbone": 0.06}],
            0),
        "a phase of the warm-up alone": ([{"loading": 3.0}, {"backbone": 0.02}], 1),
        "one scene": ([{"backbone": 0.02}], 0),
        "nothing but warm-up": (ROWS[:2], 2),
    },
    mistakes=[
        (lambda rows, warm_up: by_phase(rows), "the first `warm_up` scenes do not"
         " count"),
        (lambda rows, warm_up: by_phase(rows[warm_up:], statistics.mean), "the median:"
         " one slow scene moves the mean"),
        (lambda rows, warm_up: by_phase(rows[warm_up:], unit=1), "milliseconds are"
         " asked for, and the seconds are given"),
        (lambda rows, warm_up: by_phase(rows[warm_up + 1 :]), "one scene too many is"
         " left out: rows[warm_up:]"),
        (lambda rows, warm_up: by_phase(rows[:warm_up]), "those are the scenes of the"
         " warm-up; the others count"),
        (lambda rows, warm_up: by_phase(rows[warm_up:], min), "the median, not the"
         " shortest time"),
        (lambda rows, warm_up: by_phase(rows[warm_up:], sum), "the median of the"
         " scenes, not their sum"),
        (lambda rows, warm_up: by_phase(rows[warm_up:], lambda v: v[len(v) // 2]),
         "the median is the middle of the *sorted* times"),
        (lambda rows, warm_up: by_phase(rows[warm_up:], statistics.median_high), "of an"
         " even number of times the median is the mean of the middle two"),
        (lambda rows, warm_up: by_phase(rows[warm_up:], statistics.median_low), "the"
         " median of an even number is the mean of the two in the middle"),
        (of_those_that_have_it, "where a scene has not a phase, it took 0 s there"),
        (of_the_first_row, "a phase may begin in a later scene: look at all rows"),
        (all_have_all, "a scene may have not all phases: `row.get(phase, 0)`"),
    ],
)  # fmt: skip


def sure_front(points):
    return not_beaten(lambda q, p: q[0] <= p[0] and q[1] > p[2])(points)


def not_beaten(beats):
    """An answer: indices of the points that none beats, by a rule of who does."""
    return lambda points: [
        i for i, p in enumerate(points) if not any(beats(q, p) for q in points)
    ]


def middle(point):
    return (point[1] + point[2]) / 2


def some_points():
    points = []
    for _ in range(random.randint(2, 9)):
        low = random.randint(0, 12)
        high = low + random.randint(0, 4)
        points.append((random.randint(1, 6) * 10, low / 16, high / 16))
    return (points,)


POINTS = [(10, 0.5, 0.625), (20, 0.75, 0.875), (30, 0.5, 0.6875), (40, 0.625, 0.8125)]

written(
    "10.3 the front with intervals",
    sure_front,
    some_points,
    edges={
        f"the points {POINTS}": (POINTS,),
        "two equal points": ([(10, 0.5, 0.75)] * 2,),
        "two that are as fast": ([(10, 0.5, 0.625), (10, 0.75, 0.875)],),
        "intervals that touch": ([(10, 0.5, 0.75), (20, 0.25, 0.5)],),
        "intervals of no width": ([(10, 0.5, 0.5), (20, 0.25, 0.25)],),
        "one point": ([(10, 0.5, 0.75)],),
        "no points": ([],),
    },
    mistakes=[
        (not_beaten(lambda q, p: q[0] <= p[0] and middle(q) > middle(p)), "only an"
         " interval that lies wholly above counts, not its middle"),
        (not_beaten(lambda q, p: q[0] <= p[0] and q[1] >= p[2]), "intervals that touch"
         " do not lie apart: `low > high`"),
        (not_beaten(lambda q, p: q[1] > p[2]), "a more accurate one that is slower"
         " beats nobody: look at the time too"),
        (not_beaten(lambda q, p: q[0] < p[0] and q[1] > p[2]), "one that is as fast"
         " and surely more accurate beats it too"),
        (not_beaten(lambda q, p: q[0] <= p[0] and q[1] > p[1]), "the other's low end"
         " must lie above this one's *high* end"),
        (not_beaten(lambda q, p: q[0] <= p[0] and q[2] > p[2]), "the other's *low* end"
         " must lie above this one's high end"),
        (not_beaten(lambda q, p: q[0] >= p[0] and q[1] > p[2]), "fewer milliseconds"
         " are better, not more"),
        (not_beaten(lambda q, p: q[0] < p[0]), "that is the fastest; a slower one"
         " stays where none is surely better"),
        (not_beaten(lambda q, p: q[0] >= p[0] and q[2] < p[1]), "those are the ones"
         " that beat no other; keep those that no other beats"),
        (lambda points: [i for i in range(len(points)) if i not in sure_front(points)],
         "those are the beaten ones; return the others"),
        (lambda points: [points[i] for i in sure_front(points)], "those are the points;"
         " return their indices"),
        (lambda points: sorted(sure_front(points), key=lambda i: points[i]), "sort the"
         " indices, not the points"),
    ],
)  # fmt: skip

BUDGET = 40  # milliseconds
FORM = "answer with (table, name), the table as the cell above makes it"


@exercise("10.5 decide: a budget")
def decide_by_budget(answer):
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        return FORM
    table, name = answer
    if not isinstance(table, dict) or not all(map(a_row, table.values())):
        return FORM
    if len(table) < 3:
        return "measure three detectors or more"
    within = {n: row for n, row in table.items() if row[0] <= BUDGET}
    if not within:
        none = 'none of your detectors keeps the budget: the name is "none"'
        return None if name in (None, "none") else none
    if name not in table:
        return f"choose one of {', '.join(map(str, table))}"
    if name not in within:
        return f"{name} takes {table[name][0]:.0f} ms: more than {BUDGET}"
    best = max(within, key=lambda n: within[n][1])
    if within[name][2] > 0:
        return (
            f"{name} is surely less accurate than {best}: the interval of the"
            " difference lies above 0"
        )
    as_good = [n for n in within if n == best or within[n][2] <= 0]
    fastest = min(as_good, key=lambda n: within[n][0])
    if within[fastest][0] < within[name][0]:
        return f"{fastest} is not shown to be worse, and it is faster"


def a_row(row):
    """Whether it is (milliseconds, mAP, low, high) with numbers that can be."""
    numbers = isinstance(row, (tuple, list)) and len(row) == 4
    if not numbers or not all(isinstance(v, (int, float)) for v in row):
        return False
    ms, score, low, high = row
    return ms > 0 and 0 <= score <= 1 and -1 <= low <= high <= 1
