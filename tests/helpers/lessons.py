"""Small notebooks, and a run of a lesson by nbval."""

import json
import os
import subprocess
import sys
import time

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.core.settings import REPOSITORY


def most_memory(path):
    """MB that a lesson may take at its peak; Binder has 2,000."""
    photographs = path.stem in ("12_real_photos", "13_your_own_images")
    return 1600 if photographs else 1500


def run_nbval(path, results):
    """Run a notebook by nbval, once, up to its first fault; returns (passed, output).

    Passed needs every cell to end well (`nbval_guard`), and a fresh report, the work of
    the last cell. A cell has half an hour, however busy the machine is: only one that
    hangs needs a limit, since a kernel that dies is noticed at once.
    """
    start = time.time()
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env"]
    command += ["--nbval-cell-timeout=1800", "--nbval-kernel-startup-timeout=300"]
    command += ["-x", "-p", "tests.nbval_guard", "-p", "no:cacheprovider", str(path)]
    environment = os.environ | {"CI": "true", "COURSE_RESULTS": str(results)}
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    report = results / f"{path.stem}.json"
    fresh = report.exists() and json.loads(report.read_text())["written"] >= start - 1
    return done.returncode == 0 and fresh, done.stdout + done.stderr


def small_lesson(path, *sources, outputs=()):
    """A notebook of code cells, for the tests of the machinery itself."""
    cells = [new_code_cell(source, execution_count=1) for source in sources]
    for cell, output in zip(cells, outputs):
        cell.outputs = [output]
    nbformat.write(new_notebook(cells=cells), path)
    return path


REPORT = 'from course_utils.lessons.report import report\nreport("x", n=1);'
