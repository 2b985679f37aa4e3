"""How much memory this process holds, and giving it back."""

import ctypes
import gc
import sys

import psutil


def peak_memory_mb():
    """The most memory this process has held so far, in MB (10^6 bytes). Lesson 00."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 1e6
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def return_memory():
    """Hand freed memory back to the system; glibc keeps much of it otherwise."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        if trim:
            trim(0)
