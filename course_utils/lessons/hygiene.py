"""For authors: what is wrong with a saved lesson (see `authoring`)."""

import ast
import functools
import json
import re
import statistics

import nbformat

from course_utils.core.settings import REPOSITORY
from course_utils.lessons.notebooks import (
    TAUGHT,
    fingerprint,
    lessons,
    source_of,
    tags,
    taught_name,
)

# Homes, mounted drives and drive letters have no place in a lesson.
ABSOLUTE_PATH = re.compile(r"(?<![\w/.:])(/(?:home|root|Users|tmp|mnt)/|[A-Z]:\\\\)")


def redefined(cell):
    """Package names that a code cell defines or assigns at its top level."""
    try:
        body = ast.parse(cell.source).body
    except SyntaxError:  # a cell with a magic
        return set()
    names = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {
                n.id for t in node.targets for n in ast.walk(t) if hasattr(n, "id")
            }
    return names & package_names()


@functools.cache  # for every cell of every lesson
def package_names():
    """Every public function and class name of the package's modules."""
    names = set()
    for path in (REPOSITORY / "course_utils").rglob("*.py"):
        own = {"checks", "widgets", "grading", "mutants"} & set(path.parts)
        if own or path.stem.startswith("live"):  # names of their own
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names.add(node.name)
    return frozenset(names)


def hygiene(path):
    """Everything wrong with a saved lesson, as a list of sentences."""
    notebook = nbformat.read(path, 4)
    cells = notebook.cells
    code = [c for c in cells if c.cell_type == "code"]
    faults = []
    if not 20 <= len(code) <= 75:
        faults.append(f"{len(code)} code cells, not 20 to 75")
    if len(cells) - len(code) < len(code):
        faults.append(f"{len(cells) - len(code)} text cells for {len(code)} code cells")
    sizes = [len(c.source.splitlines()) for c in code]
    if statistics.median(sizes) > 8:
        faults.append(f"code cells have a median of {statistics.median(sizes)} lines")
    if sum(size <= 25 for size in sizes) < 0.9 * len(sizes):
        faults.append(
            f"over a tenth of the code cells have more than 25 lines: {sizes}"
        )
    if max(sizes) > 45:
        faults.append(f"a code cell has {max(sizes)} lines, over 45")
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        faults.append("the kernel's name is not python3")
    counts = [c.execution_count for c in code]
    if counts != list(range(1, len(code) + 1)):
        faults.append(
            "execution counts are not 1, 2, 3, ...: run it from top to bottom"
        )
    if path.stat().st_size > 600_000:
        faults.append(f"the file has {path.stat().st_size // 1000} kB, over 600")
    if "nav" not in tags(cells[0]) or "nav" not in tags(cells[-1]):
        faults.append("the first or the last cell is not tagged nav")
    for number, cell in enumerate(cells):
        faults += [f"cell {number}: {fault}" for fault in cell_faults(cell)]
    return faults


def cell_faults(cell):
    """What is wrong with one cell, as a list of sentences."""
    faults = []
    if ABSOLUTE_PATH.search(json.dumps(cell)):
        faults.append("holds an absolute path")
    if cell.cell_type != "code":
        return faults
    if any(len(line) > 88 for line in cell.source.splitlines()):
        faults.append("a line is longer than 88 characters")
    for output in cell.get("outputs", []):
        if output.output_type == "error" or output.get("name") == "stderr":
            faults.append("an error or a warning is saved in its output")
    if cell.metadata.get("ran", now := fingerprint(cell.source)) != now:
        faults.append("was changed after it ran; run the lesson again")
    name = taught_name(cell)
    if name and cell.source != source_of(name):
        faults.append(f"differs from {name}; run authoring sync")
    if not name and "variant" not in tags(cell) and redefined(cell):
        faults.append(f"defines package names: {', '.join(sorted(redefined(cell)))}")
    return faults


def taught_faults():
    """Names of TAUGHT that do not stand in exactly their lesson, and strays."""
    faults = []
    for path in lessons():
        cells = [taught_name(cell) for cell in nbformat.read(path, 4).cells]
        found = sorted(name for name in cells if name)
        wanted = sorted(f"course_utils.{name}" for name in TAUGHT.get(path.stem, ()))
        if found != wanted:
            faults.append(f"{path.name} teaches {found}, the list says {wanted}")
    return faults
