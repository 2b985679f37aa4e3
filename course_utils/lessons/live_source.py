"""What a cell says and what the package says: the eyes of `live`."""

import ast
import functools
import importlib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_utils.core.files import content_key
from course_utils.core.settings import REPOSITORY
from course_utils.lessons.notebooks import TAUGHT

# In the package's order, as imports go.
ROOMS = ("core", "ops", "data", "proposals", "models", "training", "evaluation")
# What these keep is made by code of a later room, which they are given.
GIVEN = {"weights": "training", "feature_maps": "models"}
# The cell magics that run their cell among the lesson's names.
MAGICS = ("time", "capture")
# A definition that begins a line: reading 50 files so takes 10 ms, parsing them 400.
TOP_LEVEL = re.compile(r"^(?:def |class )?(\w+(?:, \w+)*)(?:\(|:|: .+ =| =)", re.M)


@dataclass
class Change:
    """A name of the package that is the learner's."""

    module: str
    name: str
    course: Any  # the package's object
    now: Any  # the one in its place
    node: ast.AST  # what the learner wrote
    fault: tuple | None = None  # of a mystery: what is there unless the learner mends

    @property
    def hidden(self):
        """Whether a mystery's fault stands there, which is told to nobody."""
        return self.fault is not None and self.node is self.fault[1]


@functools.cache
def taught():
    return {name for names in TAUGHT.values() for name in names}


@functools.cache
def sources():
    """The text of each module of the rooms, by its dotted name."""
    root = REPOSITORY / "course_utils"
    paths = [path for room in ROOMS for path in sorted((root / room).rglob("*.py"))]
    names = [path.relative_to(REPOSITORY).with_suffix("").parts for path in paths]
    return {".".join(n): p.read_text("utf-8") for n, p in zip(names, paths)}


@functools.cache
def modules_with():
    """The modules that define each public name at their top level: {name: [module]}."""
    found = {}
    for module, text in sources().items():
        for names in TOP_LEVEL.findall(text):
            for name in re.findall(r"\w+", names):
                if not name.startswith("_") and module not in found.get(name, ()):
                    found.setdefault(name, []).append(module)
    return found


@functools.cache
def syntax(module):
    """What a module of the package defines: {name: its syntax}."""
    return definitions(ast.parse(sources()[module]))


def is_code(node):
    """Whether a definition is a function or a class, and no constant."""
    return isinstance(node, (ast.FunctionDef, ast.ClassDef))


def part_owner(decorators):
    """The class's name if one of the decorators is ``part_of(its name)``, or None."""
    for call in decorators:
        if isinstance(call, ast.Call) and len(call.args) == 1:
            name = getattr(call.func, "attr", getattr(call.func, "id", None))
            if name == "part_of":
                return getattr(call.args[0], "id", None)
    return None


def definitions(tree):
    """What a module or a cell defines at its top level: {name: syntax}.

    Methods are there too, as "Class.method"; so is a function that is ``part_of`` it.
    """
    found = {}
    for node in tree.body:
        if is_code(node):
            owner = part_owner(node.decorator_list)
            found[f"{owner}.{node.name}" if owner else node.name] = node
            for part in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(part, ast.FunctionDef):
                    found.setdefault(f"{node.name}.{part.name}", part)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            for target in getattr(node, "targets", None) or [node.target]:
                for part in ast.walk(target):  # of `A, B = 1, 2` both
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                        found[part.id] = node
    return found


def read_cell(shell, text):
    """What a cell imports from the package, {name: module}, and what it defines."""
    tree = ast.parse(shell.transform_cell(text))
    call = tree.body[0].value if len(tree.body) == 1 and text[:2] == "%%" else None
    if call:  # get_ipython().run_cell_magic(name, line, body)
        name, _, body = (arg.value for arg in call.args)
        if name not in MAGICS:
            return {}, {}
        return read_cell(shell, body)
    imports = {
        alias.name: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if alias.asname in (None, alias.name)
    }
    return imports, definitions(tree)


def code(node):
    """What a definition says, without docstrings, comments and formatting."""
    node = ast.parse(ast.unparse(node))  # a copy
    for part in ast.walk(node):
        if isinstance(part, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(
            part
        ):
            del part.body[0]
    return ast.dump(node)


def same_code(a, b):
    return a is b or code(a) == code(b)


def init_of(node):
    """What a class's ``__init__`` says; None if it has none of its own."""
    for part in getattr(node, "body", ()):
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return code(part)
    return None


def same_value(a, b):
    """Whether two constants are of one kind and equal."""
    if type(a) is not type(b) or np.shape(a) != np.shape(b):
        return False
    return bool(np.all(a == b))


def package_object(module, name):
    return getattr(importlib.import_module(module), name)


def import_users(name):
    """Import and return the modules that mention a name, so that no user is missed."""
    texts = sources().items()
    return [importlib.import_module(module) for module, text in texts if name in text]


def part_caches(changes):
    """Keep what changed code makes apart from the course's, on disk.

    changes: all that differ from the course now. Kept arrays and weights are found by
    `content_key`. It now counts what is changed in the module's own room and those
    before it, as imports go.
    """
    for module in import_users("content_key"):
        if module.__name__ == content_key.__module__:
            continue
        _, room, file = module.__name__.split(".")[:3]
        room = ROOMS.index(GIVEN.get(file, room))
        texts = sorted(
            f"{change.name} {code(change.node)}"
            for change in changes
            if ROOMS.index(change.module.split(".")[1]) <= room
        )
        module.content_key = (
            functools.partial(content_key, *texts) if texts else content_key
        )
