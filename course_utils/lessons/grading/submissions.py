"""What is handed in: whose notebooks they are, and how many points exercises give."""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from course_utils.core.files import content_key, read_text
from course_utils.lessons import checks

MOST_BYTES = 500_000_000  # of a submission


@dataclass(frozen=True)
class Submission:
    """A notebook of a student; `root` is the student's folder, or None for one file."""

    student: str
    path: Path
    root: Path | None

    @property
    def files(self):
        """All files that belong to it, as a notebook may read those beside it."""
        if self.root is None:
            return [self.path]
        inside = sorted(self.root.rglob("*"))
        return [p for p in inside if p.is_file() and not hidden(p, self.root)]

    @property
    def key(self):
        """A text that changes when the notebook, or a file beside it, does.

        Raises ValueError if the files are too large to be copied.
        """
        size = sum(path.stat().st_size for path in self.files)
        if size > MOST_BYTES:
            raise ValueError(
                f"the files take {size / 1e6:.0f} MB, over {MOST_BYTES / 1e6:.0f} MB:"
                " take out what the notebook does not need"
            )
        base = self.root or self.path.parent
        parts = [self.student, self.path.relative_to(base)]
        for path in self.files:
            parts += [path.relative_to(base), np.fromfile(path, np.uint8)]
        return content_key(*parts)


def hidden(path, root):
    """Whether a file is one that Jupyter or the system keeps for itself."""
    return any(
        part.startswith(".") or part == "__pycache__"
        for part in path.relative_to(root).parts
    )


def find_submissions(place):
    """(submissions, students with a folder but no notebook) of a folder or notebook.

    A file ``ann.ipynb`` is ann's, and so are all notebooks in a folder ``ann``. Raises
    ValueError if there is none, or two are of one name.
    """
    place = Path(place)
    if place.is_file() and place.suffix == ".ipynb":
        return [Submission(place.stem, place, None)], []
    if not place.is_dir():
        raise ValueError(f"SUBMISSIONS {place} is neither a folder nor a notebook")
    found, empty, owners = [], [], {}
    for path in sorted(place.iterdir()):
        if hidden(path, place) or not (path.is_dir() or path.suffix == ".ipynb"):
            continue
        student = path.name if path.is_dir() else path.stem
        if student in owners:
            raise ValueError(
                f"SUBMISSIONS: {owners[student]} and {path} are both of {student!r};"
                " rename one, or move the notebook into the folder"
            )
        owners[student] = path
        if not path.is_dir():
            found.append(Submission(student, path, None))
            continue
        inside = [p for p in sorted(path.rglob("*.ipynb")) if not hidden(p, path)]
        found += [Submission(student, notebook, path) for notebook in inside]
        empty += [] if inside else [student]
    if not found and not empty:
        raise ValueError(f"SUBMISSIONS {place} has no notebook; put NAME.ipynb there")
    return found, empty


def read_points(path):
    """{exercise: points} of a CSV or JSON file.

    CSV: lines ``exercise,points``, with or without that heading. An exercise goes by
    its name or by its number, ``03.1``. Raises ValueError that names file and value.
    """
    path = Path(path)
    text = read_text(path)
    if path.suffix.lower() == ".json":
        try:
            pairs = json.loads(text, object_pairs_hook=list)
        except ValueError as error:
            raise ValueError(f"--points {path} is no JSON: {error}") from None
        if not isinstance(pairs, list) or any(
            type(pair) is not tuple for pair in pairs
        ):
            raise ValueError(f'--points {path} must hold {{"03.1": 2, ...}}')
        lines = [(f"entry {n}", pair) for n, pair in enumerate(pairs, 1)]
    else:
        rows = csv.reader(text.splitlines())
        lines = [(f"line {n}", row) for n, row in enumerate(rows, 1) if row]
        if lines and [v.strip().lower() for v in lines[0][1]] == ["exercise", "points"]:
            del lines[0]
    points = {}
    for where, pair in lines:
        if len(pair) != 2:
            raise ValueError(f"--points {path}, {where}: not exercise,points: {pair}")
        exercise = exercise_named(pair[0], f"--points {path}, {where}")
        if exercise in points:
            raise ValueError(f"--points {path}, {where}: {exercise} stands there twice")
        points[exercise] = number_of_points(pair[1], f"--points {path}, {where}")
    if not points:
        raise ValueError(f"--points {path} is empty; write lines exercise,points")
    return {e: points[e] for e in sorted(points)}


def exercise_named(name, where):
    """The exercise of a name or number; ValueError if there is none."""
    name = str(name).strip()
    for exercise in checks.CHECKS:
        if name in (exercise, exercise.split()[0]):
            return exercise
    near = [e for e in checks.CHECKS if e[:2] == name[:2]] or list(checks.CHECKS)
    raise ValueError(
        f"{where}: no exercise {name!r}; there are {', '.join(sorted(near))}"
    )


def number_of_points(value, where):
    """Points as a number from 0 on; ValueError if they are none."""
    try:
        points = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        points = math.nan
    if not 0 <= points < math.inf:
        raise ValueError(f"{where}: {value!r} points; give a number, 0 or more")
    return int(points) if points == int(points) else points
