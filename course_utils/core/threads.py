"""Threads that share the machine: no more than the container's quota, and none spins.

`course_utils` calls `fit_threads` when it is imported. What the user has set in the
environment stays as it is.
"""

import math
import os
import sys
from pathlib import Path

# A thread of torch that has nothing to do asks so many times for work before it sleeps.
# The default, 300,000, takes the processor from whatever else runs (measured by
# `python -m bench threads`).
SPINS = "1000"
# What limits each library. numba comes first: its start sets torch's number anew.
VARIABLES = {
    "numba": "NUMBA_NUM_THREADS",
    "torch": "OMP_NUM_THREADS",
    "cv2": "OPENCV_FOR_THREADS_NUM",
}


def cpu_quota(groups="/proc/self/cgroup", mounted="/sys/fs/cgroup"):
    """Processors that this container may use, such as 1.5; None without a limit.

    groups: the file that names the control groups of this process; mounted: where they
    are. Reads versions 1 and 2 of Linux's control groups; the smallest limit of a group
    and those above it counts. Source: the Linux kernel's documentation, "CFS Bandwidth
    Control" and "Control Group v2". Lesson 00.
    """
    try:
        lines = Path(groups).read_text().splitlines()
    except OSError:  # not Linux
        return None
    limits = []
    for line in lines:
        _, controllers, inner = line.split(":", 2)
        if controllers == "":
            limits += limits_above(Path(mounted), inner, read_version_2)
        elif "cpu" in controllers.split(","):
            for name in {controllers, "cpu"}:
                limits += limits_above(Path(mounted) / name, inner, read_version_1)
    return min(limits, default=None)


def limits_above(root, inner, read):
    """What `read` finds in a group's folder and in those above it, up to `root`.

    A container often sees its own group as the root, but under its name outside.
    """
    folder = root / inner.strip("/")
    places = [folder, *folder.parents][: len(folder.parts) - len(root.parts) + 1]
    found = []
    for place in places:
        try:
            quota, period = read(place)
        except (OSError, ValueError):  # no such folder or no limit there
            continue
        if quota > 0 and period > 0:
            found.append(quota / period)
    return found


def read_version_2(folder):
    quota, period = (folder / "cpu.max").read_text().split()  # "max 100000": no limit
    return int(quota), int(period)


def read_version_1(folder):
    names = "cpu.cfs_quota_us", "cpu.cfs_period_us"
    return tuple(int((folder / name).read_text()) for name in names)


def threads_allowed(quota, cores=None):
    """Whole threads for a quota of processors: rounded up, at least 1.

    cores: processors that the process may run on, by default asked from the system.
    None if the quota is no limit beside them. Lesson 00.
    """
    if cores is None:
        affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    allowed = max(1, math.ceil(quota)) if quota is not None else cores
    return allowed if allowed < cores else None


def fit_threads(quota=None):
    """Limit the threads of torch, numba and OpenCV to the container's CPU quota.

    quota: processors, by default `cpu_quota`. Works by environment variables, and for
    libraries that are loaded already by their own calls. A variable that is set
    already, and the library it is for, are left alone. Returns the number of threads,
    None where there is no limit. Lesson 00.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    allowed = threads_allowed(cpu_quota() if quota is None else quota)
    if allowed is None:
        return None
    for module, variable in VARIABLES.items():
        if variable in os.environ:
            continue
        os.environ[variable] = str(allowed)
        loaded = sys.modules.get(module)
        if module == "cv2" and loaded:
            loaded.setNumThreads(min(allowed, loaded.getNumThreads()))
        elif loaded:
            loaded.set_num_threads(min(allowed, loaded.get_num_threads()))
    return allowed


def describe_threads():
    """One line: how many threads torch, numba and OpenCV take here, and why."""
    import cv2
    import numba
    import torch

    counts = torch.get_num_threads(), numba.get_num_threads(), cv2.getNumThreads()
    line = "threads: torch {}, numba {}, OpenCV {}".format(*counts)
    quota = cpu_quota()
    if quota is not None:
        line += f"; the container may use {quota:g} of {os.cpu_count()} cores"
    return line
