"""Runs a marker for each notebook in a folder of its own, and watches over it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil

from course_utils.core.cache import cache_dir
from course_utils.core.settings import REPOSITORY

MOST_PROCESSES = 64
GRACE = 30  # seconds beside a notebook's own, to start and to end


@dataclass(frozen=True)
class Limits:
    """Seconds, memory in MB (10^6 bytes) and threads of each notebook."""

    seconds: float
    memory_mb: int
    threads: int


def grade_notebook(submission, seed, limits, stop):
    """The outcome for one notebook, as a dictionary of plain values.

    {"student", "notebook", "lesson" (or None), "marks": {exercise: [right, sentence]},
    "notes": [what went wrong], "seconds", "peak_mb"}. Nothing that it started or wrote
    is left. stop: a threading.Event; once it is set, InterruptedError is raised.
    """
    outcome = {
        "student": submission.student,
        "notebook": submission.path.name,
        "lesson": None,
        "marks": {},
        "notes": [],
        "seconds": 0.0,
        "peak_mb": 0,
    }
    try:
        nbformat.validate(nbformat.read(submission.path, 4))
    except Exception as error:  # any bytes may be in the file
        text = first_line(error) or type(error).__name__
        outcome["notes"] = [f"cannot be read as a notebook: {text}; save it again"]
        return outcome
    start = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="course-grade-")).resolve()
    try:
        job = prepare(submission, folder / "kernel") | {"seed": seed}
        job["variables"] = variables(folder / "kernel", limits.threads)
        job |= {"seconds": limits.seconds, "memory_mb": limits.memory_mb}
        lines, reason, outcome["peak_mb"] = run_marker(
            job, folder / "marker", limits, stop
        )
    finally:
        remove(folder)
    take_lines(outcome, lines, reason)
    outcome["seconds"] = round(time.monotonic() - start, 1)
    return outcome


def prepare(submission, folder):
    """Copy a submission into `folder`, and make the rooms that its kernel uses."""
    for name in ("work", "cache"):
        (folder / name).mkdir(parents=True)
    with contextlib.suppress(OSError):  # the course's downloads stay where they are
        if (cache_dir() / "data").is_dir():
            (folder / "cache" / "data").symlink_to((cache_dir() / "data").resolve())
    root = submission.root or submission.path.parent
    for path in submission.files:
        place = folder / "work" / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    notebook = folder / "work" / submission.path.relative_to(root)
    return {"notebook": str(notebook), "name": notebook.name, "folder": str(folder)}


def variables(folder, threads):
    """Those of a process that keeps all that it writes in `folder`.

    Marker and kernel have folders of their own: what the marker keeps, such as compiled
    code, no notebook can write to.
    """
    rooms = {
        "home": (
            "HOME",
            "USERPROFILE",
            "IPYTHONDIR",
            "MPLCONFIGDIR",
            "XDG_CONFIG_HOME",
        ),
        "tmp": ("TMPDIR", "TEMP", "TMP"),
        "cache": ("COURSE_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TORCH_HOME"),
        "results": ("COURSE_RESULTS",),
        "run": ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"),
    }
    own = {name: str(folder / room) for room, names in rooms.items() for name in names}
    own |= {"COURSE_OFFLINE": "1", "CI": "true", "OMP_NUM_THREADS": str(threads)}
    own["NUMBA_NUM_THREADS"] = str(threads)
    if os.environ.get("COURSE_DATA"):
        own["COURSE_DATA"] = str(Path(os.environ["COURSE_DATA"]).resolve())
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    own["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    for room in rooms:
        (folder / room).mkdir(parents=True, exist_ok=True)
    return own


def run_marker(job, folder, limits, stop):
    """Run a marker to its end: (lines of its outcome, why it was stopped, peak MB)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        marker = subprocess.Popen(
            [sys.executable, "-m", "course_utils.lessons.grading.marking"],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=errors,
            env=os.environ | variables(folder, limits.threads),
            cwd=REPOSITORY,
            start_new_session=True,
        )
        seen = {}
        try:
            with contextlib.suppress(OSError):  # it has ended already
                marker.stdin.write(json.dumps(job).encode() + b"\n")
                marker.stdin.close()
            reason, peak = watch(marker, limits, stop, seen)
        finally:
            end_family(marker, seen)
        out.seek(0)
        lines = out.read().decode(errors="replace").splitlines()
    return [read_line(line) for line in lines], reason, peak


def read_line(line):
    """A line of a marker's outcome; one that is cut off counts as none."""
    try:
        return json.loads(line)
    except ValueError:
        return {}


def watch(marker, limits, stop, seen):
    """Wait for a marker; end its family where a limit is passed.

    seen: takes all processes that the marker's family had. Returns (why it was ended or
    None, peak memory of the family without the marker in MB).
    """
    began, reason, peak = time.monotonic(), None, 0
    while marker.poll() is None:
        if stop.is_set():
            raise InterruptedError("stopped")
        used, count = measure_family(marker, seen)
        peak = max(peak, used)
        late = time.monotonic() - began - limits.seconds - GRACE
        if late > GRACE:
            break  # the marker itself hangs
        if used > limits.memory_mb:
            reason = f"it took more than {limits.memory_mb / 1000:g} GB of memory"
        elif count > MOST_PROCESSES:
            reason = f"it started more than {MOST_PROCESSES} processes"
        elif late > 0:
            reason = f"it took more than {limits.seconds / 60:g} minutes"
        else:
            time.sleep(0.1)
            continue
        kill(family(marker))
        time.sleep(0.1)
    return reason, round(peak)


def family(marker):
    """The processes below a marker: the kernel, and all that the notebook started."""
    try:
        return psutil.Process(marker.pid).children(recursive=True)
    except psutil.Error:
        return []


def measure_family(marker, seen):
    """(MB, number) of the processes below a marker; adds them to `seen`."""
    used, processes = 0, family(marker)
    for process in processes:
        seen[process.pid] = process
        with contextlib.suppress(psutil.Error):
            used += process.memory_info().rss / 1e6
    return used, len(processes)


def kill(processes):
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()  # psutil makes sure that the number is not another's


def end_family(marker, seen):
    """End a marker and all that it or its notebook started."""
    for _ in range(50):
        below = family(marker)
        kill(below)
        if not below or marker.poll() is not None:
            break
        time.sleep(0.02)  # one may just have started another
    marker.kill()
    marker.wait()
    kill(seen.values())
    psutil.wait_procs(list(seen.values()), timeout=5)


def remove(folder):
    """Remove a folder, parts that were made unreadable included."""
    for place, folders, _ in os.walk(folder):
        for name in folders:
            inner = Path(place) / name
            if not inner.is_symlink():
                with contextlib.suppress(OSError):
                    inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def first_line(text):
    """The first line of a text or error that is not blank, 300 letters at most."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[0][:300] if lines else ""


def take_lines(outcome, lines, reason):
    """Put a marker's lines, and why it was stopped, into the outcome."""
    done = any(line.get("done") for line in lines)
    for line in lines:
        if "lesson" in line:
            outcome["lesson"] = line["lesson"]
        if "mark" in line:
            exercise, right, sentence = line["mark"]
            outcome["marks"][exercise] = [right, first_line(sentence)]
        if "note" in line:
            outcome["notes"].append(first_line(line["note"]))
    if reason:
        outcome["notes"].append(reason)
    elif not done and not any(line.get("stopped") for line in lines):
        outcome["notes"].append("its marker ended without a word")
