"""For authors: keep lessons and package in step, run lessons, find faults in them.

    python -m course_utils.authoring sync [LESSON ...]     rewrite cells from the package
    python -m course_utils.authoring run [LESSON ...]      run, save outputs, show cost
    python -m course_utils.authoring hygiene [LESSON ...]  list what is wrong

A code cell tagged ``same-as:course_utils.boxes.box_iou`` holds that function's source;
one tagged ``variant`` may use a package name for a naive version of its own; the outputs
of one tagged ``drop-output`` are not saved. Cells tagged ``nav`` hold the links to the
lessons before and after.
"""

import ast
import importlib
import inspect
import json
import os
import re
import statistics
import sys
import time
from pathlib import Path

import nbformat

from course_utils.env import REPOSITORY

NOTEBOOKS = REPOSITORY / "notebooks"
# Every function a lesson teaches stands in exactly one lesson, as a same-as cell.
TAUGHT = {
    "00_start_here": [],
    "01_boxes": [
        f"boxes.{name}"
        for name in (
            "box_area",
            "box_iou",
            "giou",
            "clip_boxes",
            "to_center",
            "encode_boxes",
            "decode_boxes",
            "greedy_nms",
            "nms",
            "batched_nms",
        )
    ],
    "02_classify_and_localize": [
        "backbone.ResidualBlock",
        "backbone.SmallResNet",
        "localize.LocalizeHead",
        "localize.localize_loss",
        "localize.left_to_right",
        "localize.localize_scores",
        "train.cosine_schedule",
    ],
}
# Homes, mounted drives and drive letters have no place in a lesson.
ABSOLUTE_PATH = re.compile(
    r"(?<![\w/.:])(/(?:home|root|Users|tmp|mnt|work)/|[A-Z]:\\\\)"
)


def lessons():
    """The lesson notebooks, in order."""
    return sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))


def tags(cell):
    return cell.metadata.get("tags", [])


def taught_name(cell):
    """The package name after ``same-as:``, or None."""
    names = [t.removeprefix("same-as:") for t in tags(cell) if t.startswith("same-as:")]
    return names[0] if names else None


def source_of(name):
    """Source text of a package function or class, by its full dotted name.

    Raises ValueError if the package has no such name.
    """
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        raise ValueError(f"same-as:{name}: the package has no such name") from None
    return inspect.getsource(getattr(found, "py_func", found)).rstrip()


def title_of(path):
    """A lesson's title: its first level-one heading."""
    for cell in nbformat.read(path, 4).cells:
        found = re.search(r"^# (.+)$", cell.source, re.M)
        if cell.cell_type == "markdown" and found:
            return found[1]
    raise ValueError(f"{path.name}: no '# title' in any text cell")


def navigation(path):
    """The line of links at both ends of a lesson."""
    order = lessons()
    at = order.index(path)
    links = [f"[{title_of(order[0])}]({order[0].name})"] if at > 1 else []
    if at > 0:
        links.insert(0, f"[← {title_of(order[at - 1])}]({order[at - 1].name})")
    if at + 1 < len(order):
        links.append(f"[{title_of(order[at + 1])} →]({order[at + 1].name})")
    return " | ".join(links)


def sync(path):
    """Rewrite a lesson's same-as and navigation cells; True if anything changed."""
    notebook = nbformat.read(path, 4)
    before = [cell.source for cell in notebook.cells]
    for cell in notebook.cells:
        if taught_name(cell):
            cell.source = source_of(taught_name(cell))
        if "nav" in tags(cell):
            cell.source = navigation(path)
    changed = before != [cell.source for cell in notebook.cells]
    if changed:
        nbformat.write(notebook, path)
    return changed


def run(path, save=True):
    """Execute a lesson in a fresh kernel; return (notebook, seconds).

    Outputs are cleaned and, if `save`, written. A cell that fails raises nbclient's
    CellExecutionError, and nothing is written.
    """
    from nbclient import NotebookClient

    os.environ.setdefault("CI", "true")  # no progress bars in saved outputs
    notebook = nbformat.read(path, 4)
    start = time.perf_counter()
    place = {"metadata": {"path": str(path.parent)}}
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources=place
    ).execute()
    seconds = time.perf_counter() - start
    clean(notebook)
    if save:
        nbformat.write(notebook, path)
    return notebook, seconds


def clean(notebook):
    """Drop what would not survive or should not be kept in a saved lesson."""
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        for key in ("execution", "collapsed"):
            cell.metadata.pop(key, None)
        if cell.cell_type != "code":
            continue
        if "drop-output" in tags(cell):
            cell.outputs = []
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:  # a widget's model dies with its kernel
                data.pop("application/vnd.jupyter.widget-view+json", None)


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


def package_names():
    """Every public function and class name of the package's modules."""
    names = set()
    for path in (REPOSITORY / "course_utils").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names.add(node.name)
    return names


def hygiene(path):
    """Everything wrong with a saved lesson, as a list of sentences."""
    notebook = nbformat.read(path, 4)
    cells = notebook.cells
    code = [c for c in cells if c.cell_type == "code"]
    faults = []
    if not 20 <= len(code) <= 35:
        faults.append(f"{len(code)} code cells, not 20 to 35")
    if len(cells) - len(code) < len(code):
        faults.append(f"{len(cells) - len(code)} text cells for {len(code)} code cells")
    sizes = [len(c.source.splitlines()) for c in code]
    if statistics.median(sizes) > 6:
        faults.append(f"code cells have a median of {statistics.median(sizes)} lines")
    if sum(size <= 20 for size in sizes) < 0.9 * len(sizes):
        faults.append(
            f"over a tenth of the code cells have more than 20 lines: {sizes}"
        )
    if max(sizes) > 40:
        faults.append(f"a code cell has {max(sizes)} lines, over 40")
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


def main(arguments):
    """Command line; returns the exit code."""
    commands = ("sync", "run", "hygiene")
    if not arguments or arguments[0] not in commands:
        print(__doc__)
        return 2
    command, *names = arguments
    paths = [p for p in lessons() if not names or p.stem in names]
    if names and len(paths) < len(names):
        print(f"no such lesson; there are {', '.join(p.stem for p in lessons())}")
        return 2
    faults = 0
    for path in paths:
        if command == "sync":
            print(f"{path.stem}: {'rewritten' if sync(path) else 'in step'}")
        elif command == "run":
            sync(path)
            _, seconds = run(path)
            report = REPOSITORY / "data" / "results" / f"{path.stem}.json"
            peak = json.loads(report.read_text())["peak_mb"] if report.exists() else 0
            size = path.stat().st_size / 1000
            print(
                f"{path.stem}: {seconds / 60:.1f} min, {peak} MB, {size:.0f} kB saved"
            )
        else:
            found = hygiene(path)
            faults += len(found)
            print(f"{path.stem}: {len(found)} faults", *found, sep="\n  ")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
