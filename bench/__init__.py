"""Our functions against the libraries', side by side: see `bench/__main__.py`."""

import course_utils  # noqa: F401 - before torch: it sets the threads
