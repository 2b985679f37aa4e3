"""Checks of the exercises: right, or what kind of mistake it is.

A check is a function of the learner's answer that returns None if it is right and else
one sentence that helps. `check` prints the verdict; it never raises.
"""

import torch

CHECKS = {}


def exercise(name):
    """Decorator: register the check of the exercise `name`."""

    def register(function):
        CHECKS[name] = function
        return function

    return register


def judge(name, answer):
    """(right?, sentence) for an answer to an exercise."""
    try:
        problem = CHECKS[name](answer)
    except NotAttempted:
        return False, "not attempted yet"
    except Exception as error:  # the learner's code may raise anything
        return False, f"your code stopped with {type(error).__name__}: {error}"
    return (False, problem) if problem else (True, "right")


def check(name, answer):
    """Print the verdict on `answer`; True if it is right. Every lesson's exercises."""
    right, sentence = judge(name, answer)
    print(f"{'✔' if right else '✘'} {name}: {sentence}")
    return right


class NotAttempted(Exception):
    """The answer is still the stub's None or Ellipsis."""


def attempted(value):
    """`value`, unless it is what an untouched stub gives."""
    if value is None or value is Ellipsis:
        raise NotAttempted
    return value


def as_tensor(value):
    """A learner's numbers, list or array or tensor, as a float32 tensor."""
    return torch.as_tensor(attempted(value)).float()


def close(a, b, tolerance=1e-3):
    """Whether two results have one shape and differ by less than the tolerance."""
    a, b = as_tensor(a), as_tensor(b)
    return a.shape == b.shape and bool(((a - b).abs() < tolerance).all())


def hint_for(got, hints, otherwise, tolerance=1e-3):
    """What `hints`, {numbers: sentence or None}, say of the numbers `got`.

    otherwise: the sentence for numbers that do not stand there.
    """
    for numbers, hint in hints.items():
        if close(got, numbers, tolerance):
            return hint
    return otherwise


# The exercises register themselves when their modules are read.
from course_utils.lessons.checks import (  # noqa: E402, F401
    lessons_00_02,
    lessons_03_05,
    lessons_06_09,
    lessons_10_13,
)
