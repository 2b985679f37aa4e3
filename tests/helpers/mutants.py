"""Measures of a mutant's symptom: of the right code and with the fault in it."""

import time

import pytest

from course_utils.lessons.mutants import MUTANTS, mystery


class Symptoms(dict):
    """{mystery: (measure, right, broken)} of one test file, filled by `symptom`."""

    def symptom(self, name, right, broken):
        """Decorator of a measure that returns one number.

        right, broken: the number itself, to 1e-3, or the (lowest, highest) one.
        """

        def register(measure):
            self[name] = measure, right, broken
            return measure

        return register

    def cases(self, *slow):
        marks = {name: pytest.mark.slow for name in slow}
        return [pytest.param(n, marks=marks.get(n, ()), id=n) for n in self]

    def hold(self, name, capsys):
        """Measure before, while the mystery is on, and after; assert what is due."""
        measure, right, broken = self[name]
        start = time.perf_counter()
        try:
            before = measure()
            mystery(name)
            now = measure()
        finally:
            mystery.give_back()
        after = measure()
        mutant, seconds = MUTANTS[name], time.perf_counter() - start
        with capsys.disabled():
            where = f"{mutant.where.partition('.')[2]}, {mutant.kinds[0]}"
            print(
                f"\n{name} {where}: {before:.3f} / {now:.3f}, {seconds:.1f} s", end=""
            )
        assert within(before, right), f"right: {before}"
        assert within(now, broken), f"broken: {now}"
        assert within(after, right), f"right again: {after}"


def within(value, wanted):
    low, high = wanted if isinstance(wanted, tuple) else (wanted - 1e-3, wanted + 1e-3)
    return low <= value <= high
