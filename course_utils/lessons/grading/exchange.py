"""In the learner's kernel: reads the marker's request from a file, writes the reply."""

from pathlib import Path

from IPython import get_ipython

from course_utils.core.files import write_whole
from course_utils.lessons.grading.remote import answer_request


def reply(folder):
    """Answer the request in ``folder/asked`` in ``folder/reply``."""
    answer = answer_request(
        (Path(folder) / "asked").read_bytes(), get_ipython().user_ns
    )
    with write_whole(Path(folder) / "reply") as place:
        place.write_bytes(answer)
