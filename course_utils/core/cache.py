"""What lessons keep between runs: a folder, and arrays mapped into memory."""

import contextlib
import os
from pathlib import Path

import numpy as np

from course_utils.core.files import cannot_write, load_array, new_array_file, unfinished

IN_MEMORY = 256_000_000  # bytes of an array that may stay there without a cache


def cache_dir():
    """The folder for what lessons keep: $COURSE_CACHE, else one in ~/.cache."""
    fallback = Path.home() / ".cache" / "object-detection-course"
    return Path(os.environ.get("COURSE_CACHE") or fallback)


def cached_array(name, shape, dtype, fill):
    """A large array kept in the cache, read-only and mapped into memory.

    name: file name that tells its contents apart, such as one with a hash. fill: a
    function that writes all of a zero array of this shape, called only if the cache
    has no whole file. It works on a temporary file that is renamed when full, so a
    kernel killed in the middle leaves nothing that is used; what such a one left is
    removed. If the cache cannot be written, an array of up to 256 MB stays in memory,
    which is said in a line; for a larger one OSError is raised, with the mend.
    Lesson 05.
    """
    path = cache_dir() / "arrays" / f"{name}.npy"
    array = load_array(path, shape, dtype)
    if array is not None:
        return array
    try:
        temporary = unfinished(path)
        array = new_array_file(temporary, shape, dtype)
    except OSError as error:
        trouble = f"{name}: {cannot_write(path.parent, error)}"
        array = np.zeros(shape, dtype)
        if array.nbytes > IN_MEMORY:
            raise OSError(trouble) from None
        print(f"NOTE  kept in memory only, {trouble}")
        fill(array)
        array.flags.writeable = False
        return array
    try:
        fill(array)
        array.flush()
        del array  # unmapped: Windows renames no open file
        with contextlib.suppress(PermissionError):  # there, if another kernel reads it
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return np.lib.format.open_memmap(path, "r")
