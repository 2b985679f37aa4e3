"""Grade a class's notebooks, from the command line.

    python -m course_utils.grade SUBMISSIONS --out grades.csv

SUBMISSIONS is a folder with a notebook for each student (NAME.ipynb) or with a folder
for each, or a single notebook. Beside grades.csv come grades.html, a report to read,
and grades.json, from which a second call goes on where the first one stopped.

Notebooks run with your rights: `course_utils.lessons.grading` says what that means.
"""

import argparse
import json
import os
import secrets
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from course_utils.core.files import content_key, read_text, write_text
from course_utils.core.settings import REPOSITORY, in_ci
from course_utils.lessons.grading.runner import Limits, grade_notebook
from course_utils.lessons.grading.sandbox import landlock_version
from course_utils.lessons.grading.sheet import as_csv, as_html, make_sheet
from course_utils.lessons.grading.submissions import find_submissions, read_points

OPEN = (
    "This system does not keep notebooks from writing outside of their folders"
    " (Linux 5.13 or newer does): grade in a container."
)


class Store:
    """What is known of earlier calls: a JSON file beside the CSV file.

    {"seed", "written": {name: key of the file}, "outcomes": {key: outcome}}. Raises
    ValueError if a file that would be written over is not from here, or was changed.
    """

    def __init__(self, out, seed):
        self.table, self.report = out, out.with_suffix(".html")
        self.path = out.with_suffix(".json")
        self.data = {"seed": seed, "written": {}, "outcomes": {}}
        if self.path.exists():
            self.data = self.read()
        if seed is not None:
            self.data["seed"] = seed
        if self.data["seed"] is None:
            self.data["seed"] = secrets.randbelow(2**31)
        for path in (self.table, self.report):
            if path.exists() and self.data["written"].get(path.name) != key_of(path):
                raise ValueError(
                    f"--out {out}: {path} was made or changed by somebody else; move it"
                    " away, or choose another --out"
                )

    def read(self):
        try:
            data = json.loads(read_text(self.path))
            assert set(data) == set(self.data)
            return data
        except (ValueError, AssertionError, TypeError):
            raise ValueError(
                f"--out {self.table}: {self.path} is not from this command; move it"
                " away, or choose another --out"
            ) from None

    def save(self):
        write_text(self.path, json.dumps(self.data, indent=1) + "\n")

    def write(self, path, text):
        """Write the table or the report, and remember what was written."""
        write_text(path, text)
        self.data["written"][path.name] = key_of(path)
        self.save()


def key_of(path):
    return content_key(path.read_bytes())


def parse_arguments(arguments):
    """Parser and options; exits with a usage message for bad ones."""
    parser = argparse.ArgumentParser(
        "python -m course_utils.grade", description=__doc__.split("\n")[0]
    )
    parser.add_argument("submissions", metavar="SUBMISSIONS", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the table, a .csv")
    parser.add_argument("--points", type=Path, help="CSV or JSON: exercise, points")
    parser.add_argument("--jobs", type=int, default=1, help="notebooks at once")
    parser.add_argument("--minutes", type=float, default=10, help="for a notebook")
    parser.add_argument("--memory", type=float, default=4, help="GB for a notebook")
    parser.add_argument("--seed", type=int, help="of the checks' random inputs")
    options = parser.parse_args(arguments)
    if options.out.suffix.lower() != ".csv":
        parser.error(f"--out {options.out} must end with .csv")
    if options.out.is_dir() or not options.out.parent.is_dir():
        parser.error(f"--out {options.out} is a folder, or its folder is not there")
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs} must be 1 or more")
    if not 0.1 <= options.minutes <= 1440:
        parser.error(f"--minutes {options.minutes:g} is not in 0.1 to 1440")
    if not 0.5 <= options.memory <= 1000:
        parser.error(f"--memory {options.memory:g} is not in 0.5 to 1000 GB")
    if options.seed is not None and not 0 <= options.seed < 2**31:
        parser.error(f"--seed {options.seed} is not in 0 to {2**31 - 1}")
    return parser, options


def grade(submissions, store, options):
    """Grade those that are not in the store yet; returns all outcomes, in order.

    Each outcome is saved as it comes.
    """
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    limits = Limits(60 * options.minutes, round(1000 * options.memory), threads)
    checks = sorted((REPOSITORY / "course_utils" / "lessons").glob("checks/*.py"))
    base = [limits.seconds, limits.memory_mb, store.data["seed"], *map(key_of, checks)]
    keys = [content_key(*base, submission.key) for submission in submissions]
    outcomes, stop = store.data["outcomes"], threading.Event()
    todo = [(k, s) for k, s in zip(keys, submissions) if k not in outcomes]
    bar = tqdm(total=len(todo), unit="notebook", disable=in_ci())
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting = {
            pool.submit(grade_notebook, s, store.data["seed"], limits, stop): k
            for k, s in todo
        }
        try:
            for ready in as_completed(waiting):
                outcomes[waiting[ready]] = ready.result()
                store.save()
                bar.update()
        finally:  # stopped by hand, or the disk is full: end what runs
            stop.set()
            pool.shutdown(cancel_futures=True)
    return [outcomes[key] for key in keys], len(submissions) - len(todo)


def main(arguments=None):
    """The command line; returns the exit code: 0, or 130 if it was stopped.

    Bad usage exits with 2 before anything is run.
    """
    parser, options = parse_arguments(arguments)
    try:
        points = read_points(options.points) if options.points else None
        submissions, empty = find_submissions(options.submissions)
        store = Store(options.out, options.seed)
        store.save()
        outcomes, before = grade(submissions, store, options)
        sheet = make_sheet(outcomes, empty, points)
        store.write(store.table, as_csv(sheet))
        warnings = [] if landlock_version() else [OPEN]
        store.write(store.report, as_html(sheet, store.data["seed"], warnings))
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("stopped; call it again to go on", file=sys.stderr)
        return 130
    print(
        f"{len(sheet.rows)} students, {len(outcomes)} notebooks, {before} of them"
        f" graded before: {store.table} and {store.report}"
    )
    for line in warnings:
        print(line, file=sys.stderr)
    return 0


def stop_once(number, frame):
    """Signal handler: KeyboardInterrupt, and no other while all is cleaned up."""
    for known in (signal.SIGINT, signal.SIGTERM):
        signal.signal(known, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGINT, stop_once)
    signal.signal(signal.SIGTERM, stop_once)
    sys.exit(main())
