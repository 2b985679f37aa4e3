"""The tables and the picture of the README, from what the lessons measured."""

import base64
import json

import nbformat

from course_utils.core.files import write_text, write_whole
from course_utils.core.settings import REPOSITORY
from course_utils.lessons.notebooks import NOTEBOOKS, lessons, title_of

RESULTS = REPOSITORY / "data" / "results"
NONE = "–"  # for a phase that a detector has not: it is not 0 ms


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
    phases = ("proposals", "backbone", "regions", "nms")
    lines = [
        f"| detector | mAP@0.5 | mAP@[.5:.95] | ms an image | {' | '.join(phases)} |",
        "|---" * (4 + len(phases)) + "|",
    ]
    for name in names:
        split = [found.get(f"ms {phase} {name}") for phase in phases]
        cells = [with_interval(found, key, name) for key in ("map50", "map")]
        cells.append(f"{sum(ms or 0 for ms in split):.1f}")
        cells += [NONE if ms is None else f"{ms:.1f}" for ms in split]
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


def with_interval(found, key, name):
    """A detector's score as text, with its interval where the lesson wrote one."""
    text = f"{found[f'{key} {name}']:.3f}"
    ends = [found.get(f"{end} {key} {name}") for end in ("low", "high")]
    return text if None in ends else "{} [{:.3f}, {:.3f}]".format(text, *ends)


def photos_table():
    """The README's table of photographs, from what data/measure_photos.py measured."""
    found = json.loads((RESULTS / "photos.json").read_text())
    rows = {
        "R-CNN, 200 proposals": "rcnn",
        "Fast R-CNN, 200 proposals": "fast",
        "Faster R-CNN, 150 proposals": "faster",
        "the same, 600 photographs": "600 photographs",
        "the same, 200 photographs": "200 photographs",
        "the same, random backbone": "random",
    }
    lines = ["| detector | mAP@0.5 | training |", "|---|---|---|"]
    for name, key in rows.items():
        score, seconds = found[f"{key} map50 11-point"], found[f"{key} seconds"]
        lines.append(f"| {name} | {score:.3f} | {seconds:.0f} s |")
    return "\n".join(lines)


def results_picture():
    """The README's picture, PNG bytes: lesson 10's Pareto plot as it was saved."""
    for cell in nbformat.read(NOTEBOOKS / "10_speed_and_accuracy.ipynb", 4).cells:
        if "widgets.draw_pareto(" in cell.source:
            return base64.b64decode(cell.outputs[-1].data["image/png"])
    raise ValueError("lesson 10 has no cell with widgets.draw_pareto")


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
