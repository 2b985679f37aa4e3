"""Checks of the exercises: right, or what kind of mistake it is.

A check is a function of the learner's answer that returns None if it is right and else
one sentence that helps. `check` prints the verdict; it never raises. Most are made by
`written`, from a reference, random inputs and a table of mistakes; where the answer is
a choice or a network, `exercise` registers a function of its own.
"""

import contextlib
import dis
import importlib
import pkgutil
import random

import numpy as np
import torch

from course_utils.core.settings import seed_everything
from course_utils.lessons import live
from course_utils.lessons.checks.written import Written, listed, numbers

CHECKS = {}


def exercise(name):
    """Decorator: register the check of the exercise `name`."""

    def register(function):
        CHECKS[name] = function
        return function

    return register


def written(name, right, inputs, **details):
    """Register an exercise whose answer is a function; arguments as in `Written`."""
    CHECKS[name] = Written(right, inputs, **details)


def judge(name, answer, seed=0):
    """(right?, sentence) for an answer to an exercise, on the inputs of a seed."""
    try:
        attempted(answer)
    except NotAttempted:
        return False, "not attempted yet"
    with seeded(seed), live.paused(only_faults=True):  # a mystery fools no check
        try:
            problem = CHECKS[name](answer)
        except NotAttempted:  # the answer was: a function that gives nothing
            if not callable(answer):
                return False, "not attempted yet"
            problem = "your function returns None: is the `return` missing?"
        except (Exception, SystemExit) as error:  # a learner's code may raise anything
            return False, f"your code stopped with {type(error).__name__}: {error}"
    if problem and (yours := live.changed()):
        problem += f" (in use here: your own {', '.join(yours)}; see live.restore)"
    return (False, problem) if problem else (True, "right")


def check(name, answer):
    """Print the verdict on `answer`; True if it is right. Every lesson's exercises."""
    right, sentence = judge(name, answer)
    print(f"{'✔' if right else '✘'} {name}: {sentence}")
    return right


@contextlib.contextmanager
def seeded(seed):
    """Random numbers from a seed; afterwards the lesson's go on where they were."""
    states = random.getstate(), np.random.get_state()
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    gradients = torch.is_grad_enabled()
    with torch.random.fork_rng(devices=gpus), torch.set_grad_enabled(gradients):
        seed_everything(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


class NotAttempted(Exception):
    """The answer is still the stub."""


def attempted(value):
    """`value`, unless it is an untouched stub, what one gives, or a tuple of these."""
    several = isinstance(value, (tuple, list)) and len(value) > 0
    blank = value is None or value is Ellipsis or is_stub(value)
    if blank or (several and all(part is None or part is ... for part in value)):
        raise NotAttempted
    return value


def is_stub(answer):
    """Whether a function does nothing but return None or ``...``."""
    if getattr(answer, "_kind", None) == "stub":  # a function in another process
        return True
    code = getattr(answer, "__code__", None)
    if code is None:
        return False
    does = {i.opname for i in dis.get_instructions(code)}
    idle = does <= {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
    doc = getattr(answer, "__doc__", None)
    return idle and all(c in (None, ..., doc) for c in code.co_consts)


def as_tensor(value):
    """A learner's numbers, in any form, as a float32 tensor."""
    value = attempted(listed(value))
    if (found := numbers(value)) is None:
        raise ValueError(f"numbers are expected, yours is a {type(value).__name__}")
    return found.float()


def close(a, b, tolerance=1e-3):
    """Whether two results have one shape and differ by less than the tolerance."""
    a, b = as_tensor(a), as_tensor(b)
    return a.shape == b.shape and bool(((a - b).abs() < tolerance).all())


def hint_for(got, hints, otherwise, tolerance=1e-3):
    """What `hints`, {numbers: sentence or None}, say of the numbers `got`.

    otherwise: the sentence for numbers that do not stand there.
    """
    for values, hint in hints.items():
        if close(got, values, tolerance):
            return hint
    return otherwise


# The exercises register themselves when their modules are read.
for _module in pkgutil.iter_modules(__path__):
    if _module.name.startswith(("lesson", "find")):
        importlib.import_module(f"{__name__}.{_module.name}")
