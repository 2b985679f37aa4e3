"""Whether a learner found the fault: the name of the function, and the kind."""

import ast
import functools

from course_utils.lessons.live_source import sources, syntax
from course_utils.lessons.mutants import KINDS, MUTANTS
from course_utils.lessons.mutants.examples import example


def verdict(name, answer):
    """None if `answer` says where and what mystery `name` is, else a sentence.

    answer: (name of a function or class, kind), in this order; the kind one of KINDS.
    """
    form = 'answer with two texts, (function, kind), such as ("box_iou", "off by one")'
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        return form
    function, kind = (getattr(part, "__name__", part) for part in answer)
    if not isinstance(function, str) or not isinstance(kind, str):
        return form
    if function in KINDS and kind not in KINDS:
        return "the function comes first, then the kind"
    mutant = MUTANTS[name]
    function = function.strip().removesuffix("()").removeprefix("course_utils.")
    kind = kind.strip().lower()
    if function not in mutant.names:
        return not_there(function, mutant)
    if kind not in KINDS:
        return f"`{function}` it is; as the kind give one of: {', '.join(KINDS)}"
    if kind not in mutant.kinds:
        return f"`{function}` it is, but not {kind!r} ({KINDS[kind]})"


def not_there(function, mutant):
    """The sentence for a function that has no fault."""
    short = function.split(".")[-1]
    known = [n for n in (short, *function.split(".")) if n in uses()]
    if not known and short not in methods():
        return f"the package has no function {function!r}: give its name alone"
    if known and mutant.name in reached(known[0]):
        return (
            f"`{function}` does what it says, but something that it calls does not:"
            " go on there"
        )
    return f"`{function}` is fine{example(short)}"


@functools.cache
def uses():
    """The names in each public function and class of the package: {name: names}."""
    found = {}
    for module in sources():
        for name, node in syntax(module).items():
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                inside = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                found[name] = found.get(name, set()) | inside
    return found


@functools.cache
def methods():
    """The names of all methods of the package's classes."""
    nodes = (n for m in sources() for n in syntax(m).values())
    classes = (n for n in nodes if isinstance(n, ast.ClassDef))
    return {p.name for c in classes for p in c.body if isinstance(p, ast.FunctionDef)}


def reached(name):
    """All that a function uses of the package, directly or not."""
    found, more = set(), {name}
    while more:
        found |= more
        more = {u for n in more for u in uses()[n] if u in uses()} - found
    return found
