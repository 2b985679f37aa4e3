"""What the code keeps to throughout: who imports whom, and one way for each job."""

import ast
import re

import nbformat
import pytest

from course_utils import authoring
from course_utils.env import REPOSITORY


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
        # env.cached_array keeps an array in memory where its file cannot be made.
        (r"os\.(replace|rename)\(", {"files.py", "env.py"}),
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
    for path in authoring.NOTEBOOKS.rglob("*.ipynb"):
        code = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
        assert not re.search(r"numba import .*jit|numba\.n?jit", "\n".join(code)), path
