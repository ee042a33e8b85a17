"""A system that refuses: no permission, no space, no hard links. For child processes, before they run.

Root may write anywhere, and no test can mount a full disk: so the kernel is told to answer certain
calls of the child with an error (seccomp), or a right is taken from root (capabilities).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys

import pytest

_NUMBERS = {
    "x86_64": {"link": (86, 265), "write": (1,), "fsync": (74,), "rename": (82, 264, 316)},
    "aarch64": {"link": (37,), "write": (64,), "fsync": (82,), "rename": (38, 276)},
}
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 24, 38, 22, 2
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_FOWNER = 1, 2, 3
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000

linux_only = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in _NUMBERS, reason="asks the Linux kernel to refuse calls"
)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def _prctl(*arguments: object) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(*arguments) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def refuse(call: str, error: int, *, beyond_descriptor: int | None = None) -> None:
    """From now on this process gets ``error`` from ``call``; with a number, only for later descriptors."""

    def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("HBBI", code, if_true, if_false, value)

    load, equal, greater, give_back = 0x20, 0x15, 0x25, 0x06
    program = [instruction(load, 0)]
    for number in _NUMBERS[platform.machine()][call]:
        if beyond_descriptor is None:
            program += [instruction(equal, number, 0, 1), instruction(give_back, _ERROR | error)]
        else:
            program += [
                instruction(equal, number, 0, 3),
                instruction(load, 16),  # the low half of the first argument
                instruction(greater, beyond_descriptor, 0, 1),
                instruction(give_back, _ERROR | error),
                instruction(load, 0),
            ]
    program.append(instruction(give_back, _ALLOW))
    raw = b"".join(program)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(_Program(len(program), raw)), 0, 0)


def no_hard_links() -> None:
    refuse("link", errno.EPERM)


def no_space_left() -> None:
    """Nothing can be written to a file; standard streams work."""
    refuse("write", errno.ENOSPC, beyond_descriptor=2)


def files_of_at_most_4_kb() -> None:
    """A file grows to 4 kB, then writing fails: something half-written is left by the call itself."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def no_right_to_ignore_permissions() -> None:
    """Root becomes like anybody as to files; does nothing for anybody else."""
    if os.geteuid() == 0:
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_FOWNER):
            _prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
