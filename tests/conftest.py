"""Shared by all tests: a private cache, and no downloads."""

import os

import matplotlib
import pytest

import course_utils  # noqa: F401 - before torch: it sets the threads
from tests.helpers.lab import browser, lab, page  # noqa: F401 - fixtures

matplotlib.use("Agg")


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory):
    """Tests neither use nor fill the user's cache, nor touch the committed results.

    They download nothing either, but from a server of their own in test_download.py.
    """
    os.environ["COURSE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["COURSE_RESULTS"] = str(tmp_path_factory.mktemp("results"))
    os.environ["COURSE_OFFLINE"] = "1"
