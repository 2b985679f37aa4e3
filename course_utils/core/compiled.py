"""Compiled loops: numba's njit, which no broken file and no second thread can stop.

Built on parts of numba that are the same in all versions the course allows (0.61 and
newer): `numba.core.caching` with FunctionCache, IndexDataCacheFile, NullCache, and a
compiled function's ``_cache``.
"""

import contextlib
import functools
import hashlib
import os
import pickle
import threading

import numba
import torch
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache

# numba's layer "workqueue", the usual one on a Mac, ends the whole process when two
# threads run parallel code at once. Held while the process forks, so that no child
# begins with it locked.
ONE_AT_A_TIME = threading.RLock()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=ONE_AT_A_TIME.acquire,
        after_in_parent=ONE_AT_A_TIME.release,
        after_in_child=ONE_AT_A_TIME.release,
    )


def njit(function=None, **options):
    """Compile a function at its first call, as numba.njit does, and keep the result.

    options: numba's, such as parallel or nogil; what is compiled always goes to numba's
    cache. A cache file that is cut off, emptied or not readable is compiled again, and
    where nothing can be written the code is kept in memory. Parallel code runs in one
    thread of Python at a time; call it from Python, not from compiled code. The plain
    function is kept as ``py_func``. Lesson 01.
    """
    if function is None:
        return functools.partial(njit, **options)
    compiled = numba.njit(**options)(function)
    compiled._cache = cache_of(function)
    if not options.get("parallel"):
        return compiled

    @functools.wraps(function)
    def in_turn(*args, **kwargs):
        with ONE_AT_A_TIME:
            threads = torch.get_num_threads()
            result = compiled(*args, **kwargs)
            if torch.get_num_threads() != threads:  # numba's start sets torch's, too
                torch.set_num_threads(threads)
            return result

    in_turn.py_func = function
    return in_turn


def cache_of(function):
    """numba's cache for a function; one that keeps nothing where none can be written.

    Lesson 01.
    """
    try:
        return ForgivingCache(function)
    except Exception:  # numba: RuntimeError, and whatever its search for a place meets
        return NullCache()


class ForgivingCache(FunctionCache):
    """numba's cache of one function, of which no file can stop a caller. Lesson 01."""

    def __init__(self, function):
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = CheckedFiles(
            self._cache_path, self._impl.filename_base, stamp
        )

    def load_overload(self, sig, target_context):
        """What was compiled for a signature, or None; broken files are thrown away."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # what broken bytes raise depends on the bytes
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig, data):
        """Keep what was compiled, if it can be written."""
        with contextlib.suppress(Exception):  # a full disk, a folder that is gone
            super().save_overload(sig, data)


class CheckedFiles(IndexDataCacheFile):
    """numba's cache files, each entry with its key and a checksum. Lesson 01.

    Two processes that begin at once may give their entries the same file; the key tells
    whose it is. Machine code with a hole in it would end the process, not raise.
    """

    def save(self, key, data):
        """Write one entry."""
        data = self._dump((key, data))
        super().save(key, (hashlib.sha256(data).digest(), data))

    def load(self, key):
        """One entry, or None; raises ValueError where its checksum is wrong."""
        found = super().load(key)
        if found is None:
            return None
        checksum, data = found
        if hashlib.sha256(data).digest() != checksum:
            raise ValueError(f"{self._index_path}: an entry is damaged")
        owner, data = pickle.loads(data)
        return data if owner == key else None
