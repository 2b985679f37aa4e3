"""Find the fault: classic mistakes, put into the package for a learner to find.

    mystery("01.1")     breaks one function of the package, and does not say which
    mystery.end()       gives the course's own back; so does `mystery(None)`

The fault is in force wherever the package uses the function, as a learner's own change
is: detectors, widgets and compiled callers use it. Objects that exist follow, unless
the fault lies in the ``__init__`` of their class: build detectors after `mystery`.
Checks are never affected, and kept features and weights are kept apart.

A learner's own changes are set aside until the end. What a cell defines meanwhile is
used as always, in the place of the fault, too: who mends the right function sees the
symptom go. The course's own text changes nothing while a mystery is on.
"""

import ast
import importlib
from typing import Any

from course_utils.lessons import live
from course_utils.lessons.live_source import package_object, sources, syntax
from course_utils.lessons.mutants import lessons_01_04, lessons_05_08, lessons_09_11
from course_utils.lessons.mutants.kinds import KINDS, Mutant

__all__ = ["KINDS", "MUTANTS", "Mutant", "broken", "mystery"]

MUTANTS: dict[str, Mutant] = {
    **lessons_01_04.MUTANTS,
    **lessons_05_08.MUTANTS,
    **lessons_09_11.MUTANTS,
}


def broken(mutant: Mutant) -> tuple[Any, ast.AST]:
    """The function or class with the mutant's mistake in it, and its syntax.

    For tracebacks and `inspect` it stands at the lines of the right one. Raises
    ValueError where the package no longer says what the mutant replaces.
    """
    node = syntax(mutant.module)[mutant.name]
    first = min(part.lineno for part in (node, *node.decorator_list))
    lines = sources()[mutant.module].splitlines()[first - 1 : node.end_lineno]
    text = "\n".join(lines)
    for old, new in mutant.pairs:
        if old not in text:
            raise ValueError(
                f"{mutant.where} does not say {old!r} any more: the mutant needs"
                " another text"
            )
        text = text.replace(old, new)
    tree = ast.parse(text)
    ast.increment_lineno(tree, first - 1)
    module, made = importlib.import_module(mutant.module), {}
    exec(compile(tree, module.__file__, "exec"), vars(module), made)
    return made[mutant.name], tree.body[0]


class Mystery:
    """What the notebook calls; `name` is that of the mystery that is on, or None."""

    def __init__(self) -> None:
        self.live: Any = None
        self.change: Any = None
        self.began, self.aside = "", []

    @property
    def name(self) -> str | None:
        on = self.live is not None and self.live is live.LIVE
        return self.began if on else None

    def __call__(self, name: str | None) -> None:
        """Put a mystery in the place of the one that is on; None: end that one.

        Raises ValueError for a name that there is not.
        """
        if name is None:
            return self.end()
        if name not in MUTANTS:
            raise ValueError(f"no mystery {name!r}: there are {', '.join(MUTANTS)}")
        self.give_back()
        self.put(name)
        print(
            f"Mystery {name}: one function of the package is broken from now on. Find"
            " it; mystery.end() gives the course's own back."
        )
        if self.aside:
            yours = ", ".join(f"`{change.name}`" for change, _, _ in self.aside)
            print(f"Until then yours is set aside: {yours}.")

    def end(self) -> None:
        """The course's own again, and what is the learner's."""
        name = self.name
        self.give_back()
        print(f"Mystery {name} is over." if name else "No mystery is on.")

    def put(self, name):
        if live.LIVE is None:
            live.on()
        if live.LIVE is None:  # outside of IPython
            live.LIVE = live.Live()
        mutant = MUTANTS[name]
        new, node = broken(mutant)
        self.live, self.began, self.aside = live.LIVE, name, []
        live.set_aside(self.aside)
        course = package_object(mutant.module, mutant.name)
        known = syntax(mutant.module)[mutant.name]
        self.change = live.Change(mutant.module, mutant.name, course, course, known)
        self.change.fault = (new, node)
        try:
            self.live.put(self.change, new, node)
        except Exception:
            self.give_back()
            raise

    def give_back(self):
        """End the mystery, if one is on, and say nothing."""
        if self.name:
            if self.change.hidden:
                self.live.give_back(self.change, all_of_it=True)
            self.change.fault = None  # what a learner put in its place stays
            live.put_back(self.aside)
        self.live, self.aside = None, []


mystery = Mystery()
