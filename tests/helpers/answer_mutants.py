"""Wrong and right answers to the written exercises, made by program.

    python -m tests.helpers.answer_mutants

prints the refuse table: of each exercise, how many wrong answers are refused and how
many forms of the right one are accepted.
"""

import copy
import zlib
from itertools import combinations

import numpy as np
import torch

from course_utils.lessons import checks
from course_utils.lessons.checks.written import Written, numbers, outcome, same, tried

WRITTEN = {n: c for n, c in sorted(checks.CHECKS.items()) if isinstance(c, Written)}


class Trial:
    """An exercise with the inputs of one seed, on which many answers are tried."""

    def __init__(self, name, seed=0):
        self.check = WRITTEN[name]
        with checks.seeded(seed):
            self.cases = self.check.cases()
        self.wanted = [outcome(self.check.right, args)[0] for _, args in self.cases]

    def refuses(self, answer):
        """Whether an answer is refused; the first fault is enough."""
        for (where, args), want in zip(self.cases, self.wanted):
            ((got, after),) = tried(answer, [(where, args)])
            if not self.check.fits(got, want, args) or self.check.changed(args, after):
                return True
        return False


def result_mutants(wanted):
    """{kind: function of the right result}: what can be wrong with results like these.

    wanted: the right results of an exercise, as many as there are inputs.
    """
    arrays = [numbers(value) for value in wanted]
    if any(a is None for a in arrays):
        return part_mutants(wanted)
    dims = max(a.dim() for a in arrays)
    mutants = {
        "negated": lambda a: -a,
        "one more": lambda a: a + 1,
        "one less": lambda a: a - 1,
        "twice": lambda a: a * 2,
    }
    if dims >= 1:
        mutants |= {
            "reversed": lambda a: a.flip(0),
            "first missing": lambda a: a[1:],
            "last missing": lambda a: a[:-1],
            "one too many": lambda a: torch.cat([a, torch.zeros_like(a[:1] if len(a)
                            else a.new_zeros(1, *a.shape[1:]))]),
            "mean": lambda a: a.mean(),
            "first only": lambda a: a[0],
        }  # fmt: skip
    if dims >= 2:
        mutants |= {
            "transposed": lambda a: a.transpose(-1, -2),
            "last axis reversed": lambda a: a.flip(-1),
            "columns instead of rows": lambda a: a.sum(-1, keepdim=True).expand_as(a),
        }
    if all(a.dim() and a.shape[-1] == 4 for a in arrays if a.numel()):
        mutants["x and y swapped"] = lambda a: a[..., [1, 0, 3, 2]]
        mutants["width and height"] = lambda a: torch.cat(
            [a[..., :2], a[..., 2:] - a[..., :2]], -1
        )
    if any((a % 1 != 0).any() for a in arrays):
        mutants |= {"floor": torch.floor, "ceiling": torch.ceil, "rounded": torch.round}
    return {kind: as_answer(change) for kind, change in mutants.items()}


def as_answer(change):
    return lambda value: change(numbers(value))


def part_mutants(wanted):
    """`result_mutants` for texts, dictionaries and several results of other shapes."""
    mutants = {"as text": lambda value: f"the {value}", "in a list": lambda v: [v, v]}
    if any(isinstance(value, (list, tuple)) for value in wanted):
        mutants |= {
            "reversed": lambda value: value[::-1],
            "first missing": lambda value: value[1:],
            "last missing": lambda value: value[:-1],
            "parts without their first": lambda value: [part[1:] for part in value],
            "parts without their last": lambda value: [part[:-1] for part in value],
            "parts alike": lambda value: [value[0] for _ in value],
        }
    if any(isinstance(value, dict) for value in wanted):
        mutants |= {
            "a key missing": lambda value: dict(list(value.items())[1:]),
            "values alike": lambda v: {key: next(iter(v.values())) for key in v},
            "values reversed": lambda value: dict(
                zip(value, list(value.values())[::-1])
            ),
            "keys alone": lambda value: list(value),
        }
    return mutants


def is_empty(value):
    if torch.is_tensor(value) or isinstance(value, np.ndarray):
        return 0 in value.shape
    return isinstance(value, (list, tuple, dict, str)) and not len(value)


def like(a, b):
    """Whether two arguments are of one kind, so that they may be mixed up."""
    if torch.is_tensor(a) and torch.is_tensor(b):
        return a.dim() == b.dim() and a.dtype == b.dtype
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return isinstance(a, bool) == isinstance(b, bool)
    return type(a) is type(b)


def change_in_place(value):
    """Change an argument where it stands; returns False for kinds that cannot be."""
    if torch.is_tensor(value) or isinstance(value, np.ndarray):
        if is_empty(value):
            return True
        value[...] = ~value if str(value.dtype).endswith("bool") else value + 1
    elif isinstance(value, list):
        value.append(value[0] if value else 0)
    elif isinstance(value, dict):
        value["more"] = 0
    else:
        return False
    return True


def wrong_answers(trial):
    """{kind: answer} of wrong answers to the exercise of a `Trial`."""
    right, names = trial.check.right, trial.check.names
    cases, wanted = trial.cases, trial.wanted
    first = cases[0][1]

    def constant(*args):
        return copy.deepcopy(wanted[0])

    answers = {"constant": constant}
    for i, name in enumerate(names[: len(first)]):
        if len(first) == 1:  # the same as the constant
            break
        answers[f"{name} ignored"] = lambda *args, i=i: right(
            *args[:i], copy.deepcopy(first[i]), *args[i + 1 :]
        )
    typical = cases[-1][1]
    for i, j in combinations(range(len(typical)), 2):
        if like(typical[i], typical[j]):
            answers[f"{names[i]} and {names[j]} swapped"] = lambda *args, i=i, j=j: (
                right(*swapped(args, i, j))
            )
    for kind, change in result_mutants(wanted).items():
        answers[kind] = lambda *args, change=change: change(right(*args))
    for i, name in enumerate(names[: len(first)]):
        if change_in_place(copy.deepcopy(typical[i])):
            answers[f"{name} changed in place"] = lambda *args, i=i: spoiled(
                right, args, i
            )
    if any(is_empty(value) for _, args in cases for value in args):
        answers["stops where something is empty"] = lambda *args: (
            [][0] if any(map(is_empty, args)) else right(*args)
        )
    for where, edge in trial.check.edges.items():
        if right(*copy.deepcopy(edge)) is not None:
            answers[f"None for {where}"] = lambda *args, edge=edge: (
                None if all(same(a, b, 0) for a, b in zip(args, edge)) else right(*args)
            )
    answers["None for half of the inputs"] = lambda *args: (
        None if zlib.crc32(repr(args).encode()) % 2 else right(*args)
    )
    return answers


def swapped(args, i, j):
    args = list(args)
    args[i], args[j] = args[j], args[i]
    return args


def spoiled(right, args, i):
    result = copy.deepcopy(right(*args))
    change_in_place(args[i])
    return result


# Wrong answers by their making that are right by the exercise: (exercise, kind): why.
SAME = {
    ("03.1 pyramid of windows", "reversed"): "their order is free",
    ("11.1 counting anchors", "height and width swapped"): "a product",
    ("11.3 hard negatives", "reversed"): "their order is free",
    ("13.2 turn a box", "width ignored"): "only the height moves a corner",
}


def right_forms(wanted):
    """{form: function of the right result} of forms that are as right."""
    arrays = [numbers(value) for value in wanted]
    if any(a is None for a in arrays):
        return {
            "itself": lambda value: value,
            "several as a list": lambda value: in_form(value, list),
            "parts as tuples": lambda value: in_form(value, tuple, tuple),
            "parts as generators": lambda value: in_form(value, iter, iter),
            "parts as arrays": lambda value: in_form(value, tuple, np.array),
        }
    dims = {a.dim() for a in arrays}
    forms = {
        "tensor": numbers,
        "float32 tensor": lambda value: numbers(value).float(),
        "array": lambda value: numbers(value).numpy(),
        "lists": lambda value: numbers(value).tolist(),
        "with a gradient": lambda value: numbers(value).requires_grad_(),
        "in another batch of one": lambda value: numbers(value)[None],
    }
    if all((a % 1 == 0).all() for a in arrays):
        forms |= {
            "int64 tensor": lambda value: numbers(value).long(),
            "int32 array": lambda value: numbers(value).numpy().astype(np.int32),
            "integers": lambda value: numbers(value).long().tolist(),
        }
    if dims == {0}:
        forms |= {
            "number": lambda value: numbers(value).item(),
            "0-d array": lambda value: np.array(numbers(value).item()),
            "NumPy's number": lambda value: np.float64(numbers(value).item()),
            "tensor of one": lambda value: numbers(value).reshape(1),
            "list of one": lambda value: [numbers(value).item()],
        }
    else:
        forms |= {
            "tuple": lambda value: tuple(numbers(value).tolist()),
            "list of tensors": lambda value: list(numbers(value)),
            "tuple of arrays": lambda value: tuple(numbers(value).numpy()),
            "generator": lambda value: (part for part in numbers(value)),
            "reversed view": lambda value: numbers(value).numpy()[::-1].copy()[::-1],
            "map": lambda value: map(list if numbers(value).dim() > 1 else float,
                                     numbers(value).tolist()),
        }  # fmt: skip
    return forms


def in_form(value, outer, inner=list):
    """Several results in another form, and their parts, where these are lists."""
    if not isinstance(value, (list, tuple)):
        return value
    return outer([inner(v) if isinstance(v, (list, tuple)) else v for v in value])


def formed(right, form):
    return lambda *args: form(right(*args))


def refuse_table():
    """Rows (exercise, mistakes, refused, mutants, refused, as right, forms, taken)."""
    rows = []
    for name in WRITTEN:
        trial = Trial(name)
        mistakes = [wrong for wrong, _ in trial.check.mistakes]
        mutants = wrong_answers(trial)
        as_right = sum((name, kind) in SAME for kind in mutants)
        forms = right_forms(trial.wanted).values()
        answers = [formed(trial.check.right, form) for form in forms]
        row = [len(mistakes), sum(map(trial.refuses, mistakes))]
        row += [len(mutants), sum(map(trial.refuses, mutants.values())), as_right]
        row += [len(answers), sum(not trial.refuses(answer) for answer in answers)]
        rows.append((name, *row))
    return rows


def main():
    heads = "exercise", "mistakes", "refused", "mutants", "refused", "as right"
    print(f"{heads[0]:36}", *(f"{h:>8}" for h in (*heads[1:], "forms", "accepted")))
    rows = refuse_table()
    for name, *counts in rows:
        print(f"{name:36}", *(f"{n:8}" for n in counts))
    sums = [sum(column) for column in list(zip(*rows))[1:]]
    print(f"{'all':36}", *(f"{n:8}" for n in sums))


if __name__ == "__main__":
    main()
