"""For authors: keep lessons and package in step, run lessons, find faults in them.

    python -m course_utils.lessons.authoring sync [LESSON ...]    cells from the package
    python -m course_utils.lessons.authoring run [LESSON ...]     run, save outputs
    python -m course_utils.lessons.authoring hygiene [LESSON ...] list what is wrong

A code cell tagged ``same-as:course_utils.ops.boxes.box_iou`` holds that source;
one tagged ``variant`` may use a package name for a naive version of its own; the
outputs of one tagged ``drop-output`` are not saved. Cells tagged ``nav`` hold the links
to the lessons before and after.
"""

import base64
import io
import json
import os
import sys
import time

import nbformat
import numpy as np
from PIL import Image

from course_utils.core.files import write_whole
from course_utils.lessons.notebooks import (
    fingerprint,
    lessons,
    source_of,
    tags,
    taught_name,
    title_of,
)
from course_utils.lessons.readme import result_file, write_readme

# Every function a lesson teaches stands in exactly one lesson, as a same-as cell.


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
        write_notebook(notebook, path)
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
        write_notebook(notebook, path)
    return notebook, seconds


def write_notebook(notebook, path):
    with write_whole(path) as place:
        nbformat.write(notebook, place)


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
        cell.metadata["ran"] = fingerprint(cell.source)  # see hygiene
        if "drop-output" in tags(cell):
            cell.outputs = []
        for output in list(cell.outputs):
            data = output.get("data", {})
            # A widget's model dies with its kernel; Lab would say "model not found".
            widget = data.pop("application/vnd.jupyter.widget-view+json", None)
            if widget and "image/png" not in data:
                cell.outputs.remove(output)
            elif "image/png" in data:
                data["image/png"] = smaller(data["image/png"])


def smaller(png, limit=12_000, enough=50_000):
    """A base64 PNG in few colours if it has more than `limit` characters.

    256 colours, or down to 32 until `enough` characters do. The error of each pixel
    goes to its neighbours, so that a smooth ground shows no bands; Pillow does that
    only for a palette that is given.
    """
    if len(png) <= limit:
        return png
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    for colors in 256, 128, 64, 32:
        palette, buffer = image.quantize(colors, kmeans=1), io.BytesIO()
        near = np.reshape(palette.getpalette(), (-1, 3))
        near[(near > 245).all(1)] = 255  # white stays white
        palette.putpalette(near.flatten().tolist())
        spread = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        spread.save(buffer, "PNG", optimize=True)
        png = base64.b64encode(buffer.getvalue()).decode()
        if len(png) <= enough:
            break
    return png


def main(arguments):
    """Command line; returns the exit code."""
    commands = ("sync", "run", "hygiene")
    if not arguments or arguments[0] not in commands:
        print(__doc__)
        return 2
    from course_utils.lessons.hygiene import hygiene  # it needs the names above

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
            peak = json.loads(result_file(path).read_text())["peak_mb"]
            size = path.stat().st_size / 1000
            print(
                f"{path.stem}: {seconds / 60:.1f} min, {peak} MB, {size:.0f} kB saved"
            )
        else:
            found = hygiene(path)
            faults += len(found)
            print(f"{path.stem}: {len(found)} faults", *found, sep="\n  ")
    if command == "run":
        write_readme()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
