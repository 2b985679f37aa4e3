"""The figures that a lesson measured, written to data/results/."""

import json
import os
import time
from pathlib import Path

from course_utils.core.files import write_text
from course_utils.core.memory import peak_memory_mb
from course_utils.core.settings import REPOSITORY


def report(lesson, **figures):
    """Write a lesson's measured `figures` to data/results/<lesson>.json; return them.

    Adds ``peak_mb``, the peak memory of this process, and ``written``, the time in
    seconds since 1970. $COURSE_RESULTS names another folder. A folder that cannot be
    written is said in one line, and the lesson goes on. Raises ValueError for a figure
    that is not a number or text. Every lesson's last cell calls it.
    """
    for name, value in figures.items():
        if not isinstance(value, (int, float, str)) or value != value:
            raise ValueError(
                f"report {lesson}: {name} = {value!r} is no number or text"
            )
    figures = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in figures.items()
    }
    figures |= {"peak_mb": round(peak_memory_mb()), "written": round(time.time(), 1)}
    folder = Path(os.environ.get("COURSE_RESULTS") or REPOSITORY / "data" / "results")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / f"{lesson}.json", json.dumps(figures, indent=2) + "\n")
    except OSError as error:
        trouble = f"cannot write {folder} ({error.strerror or error})"
        print(f"NOTE  not kept: {trouble}; $COURSE_RESULTS names another folder")
    return figures
