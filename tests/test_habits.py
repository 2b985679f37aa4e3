"""What the code keeps to throughout: who imports whom, and one way for each job."""

import ast
import re

import nbformat
import pytest

from course_utils.core.settings import REPOSITORY
from course_utils.lessons import notebooks


def sources(*folders):
    """(path below the repository, text) of the Python files of some folders."""
    for folder in folders:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            yield path.relative_to(REPOSITORY).as_posix(), path.read_text()


def imported(text):
    """Full names of all that a module's text imports, inside functions too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from (f"{base}.{name.name}" for name in node.names)


def test_no_test_imports_another_and_no_bench_a_test():
    for path, text in sources("tests", "bench"):
        for name in imported(text):
            assert not re.search(r"(^|\.)test_", name), f"{path} imports {name}"
            if not path.startswith("tests/"):
                assert not name.startswith("tests"), f"{path} imports {name}"


@pytest.mark.parametrize(
    "pattern, owners",
    [
        # cache.cached_array keeps an array in memory where its file cannot be made.
        (r"os\.(replace|rename)\(", {"files.py", "cache.py"}),
        (r"hashlib\.", {"files.py", "compiled.py", "download.py"}),
        (r"float\(\) / 255", {"targets.py"}),
        (r"ImageDraw\.Draw\(", {"plot.py"}),
        (r"numba import .*njit|numba\.(?:n?jit|vectorize)\(", {"compiled.py"}),
    ],
)
def test_one_place_for_each_job(pattern, owners):
    modules = sources("course_utils")
    found = {p.split("/")[-1] for p, text in modules if re.search(pattern, text)}
    assert found == owners


def test_lessons_compile_by_our_njit_only():
    for path in notebooks.NOTEBOOKS.rglob("*.ipynb"):
        code = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
        assert not re.search(r"numba import .*jit|numba\.n?jit", "\n".join(code)), path


ROOMS = (
    *("core", "ops", "data", "proposals", "models", "training", "evaluation"),
    *("lessons", "detect", "grade"),
)


def room_of(name):
    """The room of ``course_utils.ROOM...``, None for the package itself."""
    return (name.split(".") + [None])[1]


def test_an_import_goes_only_up_the_list_of_rooms():
    for path, text in sources("course_utils"):
        room = room_of(path.removesuffix(".py").replace("/", "."))
        for name in imported(text):
            if not name.startswith("course_utils.") or room == "__init__":
                continue
            assert room_of(name) in ROOMS, f"{path} imports {name}"
            above = ROOMS.index(room_of(name)) <= ROOMS.index(room)
            assert above, f"{path} imports {name}, which is further down: {ROOMS}"


def test_the_package_has_these_rooms_and_no_long_file():
    folder = REPOSITORY / "course_utils"
    there = {p.stem for p in folder.iterdir() if p.name[0] not in "_."}
    assert there == set(ROOMS)
    for path, text in sources("course_utils"):
        assert text.count("\n") <= 300, path


def test_nobody_asks_which_detector_it_is():
    kinds = r"isinstance\([^)]*\b(RCNN|FastRCNN|FasterRCNN|SingleShot|LibraryTwin)\b"
    texts = dict(sources("course_utils/evaluation", "course_utils/lessons"))
    texts |= {p.name: p.read_text() for p in notebooks.NOTEBOOKS.rglob("*.ipynb")}
    assert [name for name, text in texts.items() if re.search(kinds, text)] == []


TYPED_ROOMS = ("ops", "models", "evaluation")


def public_functions(text):
    """(name, node) of a module's public functions, constructors and public methods.

    Not those that numba compiles: it finds their types itself.
    """
    for node in ast.parse(text).body:
        name = getattr(node, "name", "_")
        for part in node.body if isinstance(node, ast.ClassDef) else [node]:
            own = getattr(part, "name", "_")
            hidden = own.startswith("_") and not re.fullmatch("__.+__", own)
            if name.startswith("_") or hidden or not isinstance(part, ast.FunctionDef):
                continue
            if not any("njit" in ast.unparse(d) for d in part.decorator_list):
                yield (own if part is node else f"{name}.{own}"), part


def without_type(function):
    """The parameters of a function that have no type, and "return" if that has none.

    `ctx` is to an autograd.Function what `self` is to a class.
    """
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    every = [*named, *filter(None, (given.vararg, given.kwarg))]
    missing = [
        a.arg for a in every if a.annotation is None and a.arg not in ("self", "ctx")
    ]
    return missing + ([] if function.returns else ["return"])


def test_public_functions_of_the_detectors_rooms_are_annotated():
    count = 0
    for path, text in sources(*(f"course_utils/{room}" for room in TYPED_ROOMS)):
        for name, function in public_functions(text):
            missing, count = without_type(function), count + 1
            assert not missing, f"{path}: {name} has no type for {', '.join(missing)}"
    assert count > 100
