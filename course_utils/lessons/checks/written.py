"""Written exercises: a learner's function, held against a reference on many inputs.

`written` registers one. Its table of mistakes, wrong functions with a sentence each,
serves twice: a check finds with it what kind of mistake an answer is, and a test sees
that each of them is refused.
"""

import copy
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from course_utils.lessons import live

ROUNDS = 30  # random inputs


@dataclass
class Raised:
    """What a function did instead of returning."""

    kind: str
    text: str


@dataclass
class Written:
    """A check of a function. Called with an answer: None if right, else a sentence.

    right: the reference. inputs: function that draws a tuple of arguments, from torch's
    and Python's random numbers. edges: {what is special about it: arguments}, tried
    first. mistakes: [(wrong function, sentence)]. accept: function (got, wanted,
    *arguments) that says whether a result is right, by default `same`.
    """

    right: Callable
    inputs: Callable[[], tuple]
    edges: dict[str, tuple] = field(default_factory=dict)
    mistakes: list[tuple[Callable, str]] = field(default_factory=list)
    tolerance: float = 1e-4
    accept: Callable | None = None
    rounds: int = ROUNDS

    def cases(self):
        """[(where, arguments)] of all inputs; where is text for a sentence."""
        edges = [(f"for {words}", args) for words, args in self.edges.items()]
        drawn = [self.inputs() for _ in range(self.rounds)]
        return edges + [(f"for {self.describe(args)}", args) for args in drawn]

    def describe(self, args):
        names = inspect.signature(self.right).parameters
        return ", ".join(f"{name} = {short(v)}" for name, v in zip(names, args))

    def fits(self, got, want, args):
        if isinstance(got, Raised) or isinstance(want, Raised):
            return isinstance(got, type(want)) and got.kind == want.kind
        if self.accept is not None:
            try:
                return bool(self.accept(got, want, *copy.deepcopy(args)))
            except Exception:  # a result of another form
                return False
        return same(got, want, self.tolerance)

    def __call__(self, answer):
        if not callable(answer):
            return f"give the function itself; this is a {type(answer).__name__}"
        cases = self.cases()
        with (
            live.paused()
        ):  # what a learner changed in the package is not the reference
            wanted = [outcome(self.right, args)[0] for _, args in cases]
        found = [outcome(answer, args) for _, args in cases]
        got = [value for value, _ in found]
        bad = [
            n
            for n, (_, args) in enumerate(cases)
            if not self.fits(got[n], wanted[n], args)
        ]
        if bad:
            with live.paused():
                known = self.known_mistake(cases, got, bad)
            return known or self.difference(
                cases[bad[0]][0], got[bad[0]], wanted[bad[0]]
            )
        for (_, before), (_, after) in zip(cases, found):
            for name, a, b in zip(
                inspect.signature(self.right).parameters, before, after
            ):
                if not same(a, b, 0):
                    return f"the given `{name}` was changed; work on a copy"

    def known_mistake(self, cases, got, bad):
        """The sentence of the mistake that agrees best with the answer, or None."""
        best, share = None, 0.49
        for wrong, sentence in self.mistakes:
            results = {n: outcome(wrong, cases[n][1])[0] for n in bad}
            same_as = [n for n in bad if self.agrees(got[n], results[n])]
            if bad[0] in same_as and len(same_as) / len(bad) > share:
                best, share = sentence, len(same_as) / len(bad)
        return best

    def agrees(self, got, result):
        if isinstance(got, Raised) or isinstance(result, Raised):
            return type(got) is type(result) and got.kind == result.kind
        return same(got, result, self.tolerance)

    def difference(self, where, got, want):
        if isinstance(got, Raised):
            return f"{where}: your code stopped with {got.kind}: {got.text}"
        if got is None and want is not None:
            return f"{where}: your function returns None: is the `return` missing?"
        if want is None or isinstance(want, (str, dict)):
            return f"{where}: expected {short(want)}, got {short(got)}"
        a, b = numbers(got), numbers(want)
        if b is not None and a is None:
            return f"{where}: numbers are expected, yours is a {type(got).__name__}"
        if b is not None and a.squeeze().shape != b.squeeze().shape:
            shapes = tuple(b.shape), tuple(a.shape)
            return f"{where}: the shape must be {shapes[0]}, yours is {shapes[1]}"
        return f"{where}: expected {short(want)}, got {short(got)}"


def outcome(function, args):
    """(result or Raised, the arguments after the call) of a function on copies."""
    args = copy.deepcopy(args)
    try:
        value = function(*args)
        listed = isinstance(value, (types.GeneratorType, map, filter, zip, range))
        return (list(value) if listed else value), args
    except Exception as error:  # the learner's code may raise anything
        text = str(error).strip() or "no message"
        return Raised(type(error).__name__, text.splitlines()[0]), args


def numbers(value):
    """Numbers in any form (tensor, array, lists) as a tensor; None for others."""
    try:
        if isinstance(value, (list, tuple)):
            parts = [numbers(part) for part in value]
            if any(part is None for part in parts):
                return None
            return torch.stack(parts) if parts else torch.zeros(0)
        if value is None or isinstance(value, (str, bytes, dict)):
            return None
        return torch.as_tensor(value).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        return None


def same(a, b, tolerance=1e-4):
    """Whether two results are equal in value, in whatever form they come.

    (1, 4) equals (4,), a list a tensor, NaN NaN, and nothing at all an empty tensor.
    """
    x, y = numbers(a), numbers(b)
    if x is not None and y is not None:
        if y.numel() == 0:
            return x.numel() == 0
        x, y = (v if x.shape == y.shape else v.squeeze() for v in (x, y))
        if x.shape != y.shape:
            return False
        return torch.isclose(x, y, tolerance, tolerance, equal_nan=True).all().item()
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k], tolerance) for k in b)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b))
    if (x is None) != (y is None) or type(a) is not type(b):
        return False
    return a is b or (not callable(b) and bool(a == b))


def short(value: Any) -> str:
    """A value as text of one line: numbers where they are few, else their shape."""
    x = numbers(value)
    if x is not None:
        if x.numel() > 16 or x.dim() > 3:
            return f"{type(value).__name__.lower()} of shape {tuple(x.shape)}"
        return str(rounded(x.tolist()))
    if isinstance(value, (list, tuple)) and len(value) <= 4:
        return "(" + ", ".join(short(part) for part in value) + ")"
    if isinstance(value, dict) and len(value) <= 6:
        return "{" + ", ".join(f"{k!r}: {short(v)}" for k, v in value.items()) + "}"
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def rounded(value):
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return int(value) if value == value and value % 1 == 0 else round(value, 4)
