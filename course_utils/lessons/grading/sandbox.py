"""Starts a learner's kernel with limits that it cannot lift again.

    python sandbox.py FOLDER MEGABYTES COMMAND...

On Linux the command can write only below FOLDER (Landlock, from version 5.13 on) and
open no TCP connection (from 6.7 on); it can neither signal nor trace other processes
(from 6.12 on). Where there are resource limits, a file has 1 GB at most, and memory is
limited to twice MEGABYTES, as a last resort: `runner` watches it more closely. All that
the command starts is limited, too. Source: the Linux kernel's documentation, "Landlock:
unprivileged access control".
"""

import contextlib
import ctypes
import os
import struct
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # numbers of system calls
SET_NO_NEW_PRIVS = 38
# Bits of the rights that are taken: writing files, removing and making anything (1, 4
# to 12), then by version linking into another folder (13) and cutting off files (14).
WRITE = 1 << 1 | sum(1 << bit for bit in range(4, 13))
NEWER = ((2, 1 << 13), (3, 1 << 14))
IN_A_FILE = 1 << 1 | 1 << 14


def landlock_version():
    """The version of Landlock of this system, 0 without it."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, 1))


def restrict(folder):
    """Let this process, and what it starts, write only below `folder`; see above.

    Returns whether the system can do that. Raises OSError if it should and fails.
    """
    version = landlock_version()
    if not version:
        return False
    libc = ctypes.CDLL(None, use_errno=True)

    def call(*arguments):
        result = libc.syscall(*arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), "Landlock failed")
        return result

    rights = WRITE | sum(bits for since, bits in NEWER if version >= since)
    # Fields of the ruleset: files, network (bind and connect), scopes (sockets without
    # a file, signals). Older versions know only the first ones.
    fields = [rights] + [3] * (version >= 4) + [3] * (version >= 6)
    ruleset = struct.pack(f"={len(fields)}Q", *fields)
    rules = call(CREATE_RULESET, ruleset, ctypes.c_size_t(len(ruleset)), 0)
    for place, allowed in ((folder, rights), ("/dev/null", rights & IN_A_FILE)):
        opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
        call(ADD_RULE, rules, 1, struct.pack("=Qi", allowed, opened), 0)
        os.close(opened)
    if libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl failed")
    call(RESTRICT_SELF, rules, 0)
    os.close(rules)
    return True


def limit_resources(megabytes):
    """Limit memory and the size of files, where the platform can."""
    with contextlib.suppress(ImportError):  # Windows
        import resource

        for name, most in (
            ("RLIMIT_DATA", 2 * megabytes * 10**6),
            ("RLIMIT_FSIZE", 10**9),
            ("RLIMIT_CORE", 0),
        ):
            with contextlib.suppress(ValueError, OSError):  # a lower limit is there
                resource.setrlimit(getattr(resource, name), (most, most))


if __name__ == "__main__":
    folder, megabytes, *command = sys.argv[1:]
    limit_resources(int(megabytes))
    restrict(folder)
    os.execv(command[0], command)
