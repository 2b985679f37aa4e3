"""Written exercises: a learner's function, held against a reference on many inputs.

`written` registers one. Its table of mistakes, wrong functions with a sentence each,
serves twice: a check finds with it what kind of mistake an answer is, and a test sees
that each of them is refused.
"""

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator, KeysView, ValuesView
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from course_utils.lessons import live

ROUNDS = 30  # random inputs
SILENT = ("TimeoutError", "DeadKernelError")  # of a function in another process


@dataclass
class Raised:
    """What a function did instead of returning."""

    kind: str
    text: str


@dataclass
class Written:
    """A check of a function. Called with an answer: None if right, else a sentence.

    right: the reference, with the arguments' names of the exercise. inputs: function
    that draws a tuple of arguments, from torch's and Python's random numbers.
    edges: {what is special about it: arguments}, tried first; the first of them is best
    a small, typical example, since sentences speak of it. mistakes: [(wrong function,
    sentence)]. accept: function (got, wanted, *arguments) that says whether a result is
    right, by default `same` with the tolerance, absolute and relative.
    """

    right: Callable
    inputs: Callable[[], tuple]
    edges: dict[str, tuple] = field(default_factory=dict)
    mistakes: list[tuple[Callable, str]] = field(default_factory=list)
    tolerance: float = 1e-4
    accept: Callable | None = None
    rounds: int = ROUNDS

    def __call__(self, answer):
        if not callable(answer):
            return f"give the function itself; this is a {type(answer).__name__}"
        with live.paused():  # what a learner changed is not the reference
            cases = self.cases()
            wanted = [outcome(self.right, args)[0] for _, args in cases]
        found = tried(answer, cases)  # but the answer may use it
        with live.paused() if self.accept else contextlib.nullcontext():
            faults = self.faults(cases, wanted, found)
        if faults:
            with live.paused():
                return self.sentence(cases, found, faults)
        for (_, args), (_, after) in zip(cases, found):
            if name := self.changed(args, after):
                return f"the given `{name}` was changed; work on a copy"

    def cases(self):
        """[(where, arguments)] of all inputs; where is text for a sentence."""
        edges = [(f"for {words}", args) for words, args in self.edges.items()]
        drawn = [self.inputs() for _ in range(self.rounds)]
        return edges + [(f"for {self.describe(args)}", args) for args in drawn]

    def describe(self, args):
        return ", ".join(f"{k} = {short(v)}" for k, v in zip(self.names, args))

    @property
    def names(self):
        """The arguments' names."""
        return list(inspect.signature(self.right).parameters)

    def faults(self, cases, wanted, found):
        """{number of a case: the right result}, of all that an answer has wrong."""
        return {
            n: want
            for n, (want, (got, _)) in enumerate(zip(wanted, found))
            if not self.fits(got, want, cases[n][1])
        }

    def fits(self, got, want, args):
        if isinstance(got, Raised) or isinstance(want, Raised):
            return equal_errors(got, want)
        if self.accept is not None:
            try:
                return bool(self.accept(got, want, *copy.deepcopy(args)))
            except Exception:  # a result of another form
                return False
        return same(got, want, self.tolerance)

    def changed(self, before, after):
        """The name of the first argument that a call has changed, or None."""
        for name, a, b in zip(self.names, before, after):
            if not callable(a) and not same(b, a, 0):
                return name

    def sentence(self, cases, found, faults):
        """What helps most, for an answer with faults."""
        first = min(faults)
        known = self.known_mistake(cases, found, faults)
        if known and not isinstance(found[first][0], Raised):
            return known
        stopped = self.difference(cases[first][0], found[first][0], faults[first])
        return f"{stopped}; {known}" if known else stopped

    def known_mistake(self, cases, found, faults):
        """The sentence of the mistake that agrees best with the answer, or None.

        It must do the same in the first case with a fault, and in half of all those.
        """
        best, most = None, 0
        for wrong, sentence in self.mistakes:
            agreed = []
            for n in [*faults, *(n for n in range(len(found)) if n not in faults)]:
                if self.agree(found[n][0], outcome(wrong, cases[n][1])[0]):
                    agreed.append(n)
                elif not agreed:
                    break
            if len(agreed) > most and 2 * len(faults.keys() & agreed) >= len(faults):
                best, most = sentence, len(agreed)
        return best

    def agree(self, got, result):
        if isinstance(got, Raised) or isinstance(result, Raised):
            return equal_errors(got, result)
        return same(got, result, self.tolerance)

    def difference(self, where, got, want):
        if isinstance(got, Raised):
            return f"{where}: your code stopped with {got.kind}: {got.text}"
        if isinstance(want, Raised):
            return f"{where}: {want.kind} must be raised, got {short(got)}"
        if got is None and want is not None:
            return f"{where}: your function returns None: is the `return` missing?"
        a, b = numbers(got), numbers(want)
        if b is not None and a is None:
            return f"{where}: numbers are expected, yours is a {type(got).__name__}"
        if b is not None and a.squeeze().shape != b.squeeze().shape:
            shapes = tuple(b.shape), tuple(a.shape)
            return f"{where}: the shape must be {shapes[0]}, yours is {shapes[1]}"
        return f"{where}: expected {short(want)}, got {short(got)}"


def tried(answer, cases):
    """[`outcome`] of the cases, up to one that shows that no other will be answered."""
    found = []
    for _, args in cases:
        found.append(outcome(answer, args))
        value = found[-1][0]
        if isinstance(value, Raised) and value.kind in SILENT:
            break
    return found


def outcome(function, args):
    """(result or Raised, the arguments after the call) of a function on copies."""
    args = copy.deepcopy(args)
    try:
        return listed(function(*args)), args
    except (Exception, SystemExit) as error:  # the learner's code may raise anything
        text = str(error).strip() or "no message"
        return Raised(type(error).__name__, text.splitlines()[0]), args


def listed(value):
    """What is gone through once, or an array of names, as a list; also inside."""
    if isinstance(value, (Iterator, KeysView, ValuesView, range)):
        return [listed(part) for part in value]
    if isinstance(value, np.ndarray) and value.dtype.kind in "OSU":  # names
        return value.tolist()
    if type(value) in (list, tuple):
        return type(value)(listed(part) for part in value)
    return value


def equal_errors(a, b):
    return isinstance(a, Raised) and isinstance(b, Raised) and a.kind == b.kind


def numbers(value):
    """Numbers in any form (tensor, array, lists) as a tensor; None for others."""
    try:
        if isinstance(value, (list, tuple)):
            parts = [numbers(part) for part in value]
            if any(part is None for part in parts):
                return None
            return torch.stack(parts) if parts else torch.zeros(0)
        if isinstance(value, (str, bytes, dict, complex)) or value is None:
            return None
        if isinstance(value, np.ndarray):
            value = value.astype(np.float64)  # also for views such as a[::-1]
        return torch.as_tensor(value).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        return None


def indices(value):
    """Indices in any form, also as a set, as an int64 tensor (N,).

    Raises ValueError if they are not whole numbers. For functions of `accept`.
    """
    found = numbers(list(value) if isinstance(value, (set, frozenset)) else value)
    if found is None or (found % 1 != 0).any():
        raise ValueError(f"{short(value)} are no indices")
    return found.flatten().long()


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
