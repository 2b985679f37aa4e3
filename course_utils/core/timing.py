"""A clock for the phases of a detector."""

import time
from contextlib import contextmanager

from course_utils.core.devices import wait_for_device


class Timer:
    """Seconds spent in named phases: ``with timer("proposals"): ...``. Lesson 05.

    ``timer.seconds`` is {name: seconds}, summed over all times a phase was entered. The
    clock waits for a GPU's work, before a phase and at its end.
    """

    def __init__(self):
        self.seconds = {}

    @contextmanager
    def __call__(self, name):
        wait_for_device()
        start = time.perf_counter()
        try:
            yield
        finally:
            wait_for_device()
            passed = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0) + passed
