"""Files that are whole or not there, whatever happens while they are written."""

import contextlib
import mmap
import os
import platform
import shutil
import time
from pathlib import Path

import numpy as np
import psutil


def cannot_write(path, error):
    """Why a file or folder of the cache can not be written and what helps, in a line.

    error: an OSError.
    """
    reason = getattr(error, "strerror", None) or error
    return (
        f"can not write {path} ({reason}); make room there, or name another folder in"
        " $COURSE_CACHE"
    )


def unfinished(path):
    """Another name beside `path`, to make it under and rename it when it is whole.

    The name holds machine and process. What killed processes left under such names is
    removed: those of this machine that run no more, and any a day old. The folder is
    made if it is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    start, here = f".{path.name}.", platform.node()
    for left in path.parent.iterdir():
        machine, _, number = left.name.removeprefix(start).rpartition(".")
        if left.name.startswith(start) and number.isdecimal():
            with contextlib.suppress(OSError):  # another kernel removed it just now
                written = left.stat().st_mtime
                lost = machine == here and not ran_at(int(number), written)
                if lost or written < time.time() - 86_400:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
    return path.with_name(f"{start}{here}.{os.getpid()}")


def ran_at(number, when):
    """Whether process `number` of this machine runs and did at a time, in seconds.

    One that started later only has the number of another that is gone.
    """
    try:
        return psutil.Process(number).create_time() < when + 60
    except psutil.Error:
        return False


def load_array(path, shape, dtype):
    """A whole array file of this shape, mapped into memory; None if there is none."""
    try:
        array = np.lib.format.open_memmap(path, "r")
    except (OSError, ValueError, EOFError):  # not there, or cut off
        return None
    fits = array.shape == tuple(shape) and array.dtype == dtype
    return array if fits else None


def new_array_file(path, shape, dtype):
    """A zero array in a new file, mapped into memory; OSError if the disk is too small.

    All of its disk is taken at once: when a disk gets full behind a mapped file, the
    kernel dies without a word.
    """
    try:
        array = np.lib.format.open_memmap(path, "w+", dtype, tuple(shape))
        size = path.stat().st_size
        if shutil.disk_usage(path.parent).free < size:
            raise OSError(f"{size / 1e6:.0f} MB are needed")
        if hasattr(os, "posix_fallocate"):
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return array


def let_go(array):
    """Give back the memory that a mapped file's pages take in this process.

    What was written stays: the system brings it to the disk. Without this, all that was
    ever touched of a mapping counts as memory of the process. Does nothing on Windows.
    """
    pages = getattr(array, "_mmap", None)
    if hasattr(pages, "madvise"):
        pages.madvise(mmap.MADV_DONTNEED)


def read_text(path):
    """A text file in UTF-8, with or without the mark at its start.

    Raises ValueError that names a file in another encoding.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it"
            " as UTF-8"
        ) from None


def read_list(path):
    """The lines of a text file that are not blank, without spaces at their ends."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]
