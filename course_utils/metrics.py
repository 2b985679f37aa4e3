"""Measures of a run: the figures a lesson reports (scoring detectors: lesson 04)."""

import json
import os
import time
from pathlib import Path

from course_utils.env import REPOSITORY, peak_memory_mb


def report(lesson, **figures):
    """Write a lesson's measured `figures` to data/results/<lesson>.json; return them.

    Adds ``peak_mb``, the peak memory of this process, and ``written``, the time in
    seconds since 1970. $COURSE_RESULTS names another folder. Raises ValueError for a
    figure that is not a number or text. Every lesson's last cell calls it.
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
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{lesson}.json.{os.getpid()}"
    temporary.write_text(json.dumps(figures, indent=2) + "\n")
    os.replace(temporary, folder / f"{lesson}.json")
    return figures
