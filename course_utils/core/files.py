"""Files that are whole or not there, whatever happens while they are written."""

import contextlib
import hashlib
import mmap
import os
import platform
import shutil
import time
from pathlib import Path

import numpy as np
import psutil
import torch


def cannot_write(path, error):
    """Why a file or folder of the cache cannot be written and what helps, in a line.

    error: an OSError.
    """
    reason = getattr(error, "strerror", None) or error
    return (
        f"cannot write {path} ({reason}); make room there, or name another folder in"
        " $COURSE_CACHE"
    )


def temporary_name(path):
    """Another name beside `path`, which holds machine and process."""
    path = Path(path)
    return path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}")


def unfinished(path):
    """The `temporary_name` of `path`, to make a large file or a folder under.

    What killed processes left under such names is removed: those of this machine that
    run no more, and any a day old. The folder is made if it is missing.
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
    return temporary_name(path)


@contextlib.contextmanager
def write_whole(path):
    """Context that gives a temporary name, renamed to `path` when the block ends well.

    ``with write_whole(path) as place: place.write_bytes(...)``. A file or a folder may
    be made there. If the block fails nothing is left, and an older file stays.
    """
    place = temporary_name(path)
    try:
        yield place
        os.replace(place, path)
    finally:
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)


def write_text(path, text):
    """Write a text file in UTF-8: whole, or an older one stays as it is."""
    with write_whole(path) as place:
        place.write_text(text, encoding="utf-8")


def content_key(*parts):
    """Twelve hex digits that tell contents apart: texts, numbers, tensors, arrays.

    Tensors and arrays count with their shapes and kinds of number, on any device.
    """
    digest = hashlib.sha256()
    for part in parts:
        if torch.is_tensor(part):
            part = part.detach().cpu().numpy()
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part))
        else:
            digest.update(f"{part}\n".encode())
    return digest.hexdigest()[:12]


def file_state(path):
    """A text that changes when a file does: its name, size and time of writing."""
    state = Path(path).stat()
    return f"{Path(path).name} {state.st_size} {state.st_mtime_ns}"


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
