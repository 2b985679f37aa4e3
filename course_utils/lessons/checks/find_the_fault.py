"""Checks of the exercises "find the fault": which function it is, and what kind."""

from course_utils.lessons.checks import exercise
from course_utils.lessons.mutants.verdict import verdict

# {exercise: the mystery that it is about}
FAULTS = {
    f"{lesson}.3 find the fault": f"{lesson}.1"
    for lesson in ("01", "02", "03", "04", "05", "06", "08", "09")
} | {"07.3 find the fault": "07.5", "10.4 find the fault": "10.3"}


def register(name, mystery):
    @exercise(name)
    def fault(answer):
        return verdict(mystery, answer)


for name, mystery in FAULTS.items():
    register(name, mystery)
