"""For authors: keep lessons and package in step, run lessons, find faults in them.

    python -m course_utils.authoring sync [LESSON ...]    rewrite cells from the package
    python -m course_utils.authoring run [LESSON ...]     run, save outputs, show cost
    python -m course_utils.authoring hygiene [LESSON ...] list what is wrong

A code cell tagged ``same-as:course_utils.boxes.box_iou`` holds that function's source;
one tagged ``variant`` may use a package name for a naive version of its own; the
outputs of one tagged ``drop-output`` are not saved. Cells tagged ``nav`` hold the links
to the lessons before and after.
"""

import base64
import importlib
import inspect
import io
import json
import os
import re
import sys
import time

import nbformat
from PIL import Image

from course_utils.env import REPOSITORY
from course_utils.files import write_text, write_whole

NOTEBOOKS = REPOSITORY / "notebooks"
RESULTS = REPOSITORY / "data" / "results"
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
        "localize.cell_anchors",
        "localize.look_target",
        "localize.LocalizeHead",
        "localize.localize_loss",
        "localize.localize_scores",
    ],
    "03_region_proposals": [
        "segmentation.join_pixels",
        "grouping.similarity",
        "proposals.sliding_windows",
        "proposals.proposal_recall",
    ],
    "04_measuring_detectors": [
        "metrics.match_to_objects",
        "metrics.precision_recall",
        "metrics.average_precision",
    ],
    "05_rcnn": [
        "rcnn.warp_regions",
        "rcnn.region_targets",
        "rcnn.RegionNet",
        "linear.train_svm",
        "linear.ridge",
        "rcnn.pick_answers",
    ],
    "06_roi_pooling": [
        "roi.round_half_away",
        "roi.bin_edges",
        "roi.pool_bins",
        "roi.MaxOverBins",
        "roi.sampling_matrix",
        "roi.roi_align",
    ],
    "07_fast_rcnn": [
        "fast_rcnn.RegionHead",
        "matching.sample_balanced",
        "fast_rcnn.sample_regions",
        "fast_rcnn.head_loss",
        "fast_rcnn.compress",
    ],
    "08_region_proposal_network": [
        "anchors.AnchorGrid",
        "rpn.RPNHead",
        "rpn.rpn_loss",
        "rpn.pick_proposals",
    ],
    "09_faster_rcnn": [
        "faster_rcnn.FasterRCNN",
        "faster_rcnn.train_in_four_steps",
    ],
    "10_speed_and_accuracy": [
        "compare.pareto_front",
    ],
    "11_single_shot": [
        "single_shot.ShotHead",
        "single_shot.hard_negative_loss",
        "single_shot.focal_loss",
        "single_shot.shot_loss",
    ],
    "12_real_photos": [
        "photos.Neck",
        "photos.PhotoHead",
        "metrics.sort_mistakes",
    ],
    "13_your_own_images": [],
}


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


def smaller(png, limit=40_000):
    """A base64 PNG in 256 colours if it has more than `limit` characters."""
    if len(png) <= limit:
        return png
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def lesson_table():
    """The README's table of lessons, from their titles and measured results."""
    lines = ["| lesson | runs in | memory |", "|---|---|---|"]
    for path in lessons():
        report = json.loads(result_file(path).read_text())
        seconds = report["seconds"]
        time_text = f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.1f} min"
        name = f"[{title_of(path)}](notebooks/{path.name})"
        lines.append(f"| {name} | {time_text} | {report['peak_mb']} MB |")
    return "\n".join(lines)


def results_table():
    """The README's table of detectors, from what lesson 10 measured."""
    found = json.loads((RESULTS / "10_speed_and_accuracy.json").read_text())
    names = [key.removeprefix("map50 ") for key in found if key.startswith("map50 ")]
    phases = ("proposals", "trunk", "regions", "nms")
    lines = [
        f"| detector | mAP@0.5 | mAP@[.5:.95] | ms an image | {' | '.join(phases)} |",
        "|---" * (4 + len(phases)) + "|",
    ]
    for name in names:
        split = [found.get(f"ms {phase} {name}", 0.0) for phase in phases]
        cells = [f"{found[f'{key} {name}']:.3f}" for key in ("map50", "map")]
        cells += [f"{ms:.1f}" for ms in (sum(split), *split)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append("")
    steps = ("R-CNN", "Fast R-CNN"), ("Fast R-CNN", "Faster R-CNN")
    for before, after in (*steps, ("R-CNN", "Faster R-CNN")):
        whole, rest = (
            sum(found.get(f"ms {phase} {before}", 0.0) for phase in counted)
            / sum(found.get(f"ms {phase} {after}", 0.0) for phase in counted)
            for counted in (phases, phases[1:])
        )
        lines.append(
            f"- {before} to {after}: {whole:.1f} times as fast, {rest:.1f} times with"
            " proposals left out"
        )
    return "\n".join(lines)


def photos_table():
    """The README's table of photographs, from what data/measure_photos.py measured."""
    found = json.loads((RESULTS / "photos.json").read_text())
    rows = {
        "R-CNN, 200 windows": "rcnn",
        "Fast R-CNN, 200 windows": "fast",
        "Faster R-CNN, 150 proposals": "faster",
        "the same, 600 photographs": "600 photographs",
        "the same, 200 photographs": "200 photographs",
        "the same, random trunk": "random",
    }
    lines = ["| detector | mAP@0.5 | training |", "|---|---|---|"]
    for name, key in rows.items():
        score, seconds = found[f"{key} map50 11-point"], found[f"{key} seconds"]
        lines.append(f"| {name} | {score:.3f} | {seconds:.0f} s |")
    return "\n".join(lines)


def results_picture():
    """The README's picture, PNG bytes: lesson 10's explorer as it was saved."""
    for cell in nbformat.read(NOTEBOOKS / "10_speed_and_accuracy.ipynb", 4).cells:
        if "widgets.speed_and_accuracy(" in cell.source:
            return base64.b64decode(cell.outputs[-1].data["image/png"])
    raise ValueError("lesson 10 has no cell with widgets.speed_and_accuracy")


def result_file(path):
    """Where a lesson's measured figures are kept."""
    return RESULTS / f"{path.stem}.json"


def write_readme():
    """Put the tables into the README, each between its two marks, and its picture."""
    readme = REPOSITORY / "README.md"
    text = readme.read_text()
    tables = {
        "lessons": lesson_table(),
        "results": results_table(),
        "photos": photos_table(),
    }
    for name, table in tables.items():
        start, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, rest = text.split(start)
        text = before + start + table + end + rest.split(end)[1]
    write_text(readme, text)
    with write_whole(RESULTS / "detectors.png") as place:
        place.write_bytes(results_picture())


def main(arguments):
    """Command line; returns the exit code."""
    commands = ("sync", "run", "hygiene")
    if not arguments or arguments[0] not in commands:
        print(__doc__)
        return 2
    from course_utils.hygiene import hygiene  # it needs the names above

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
