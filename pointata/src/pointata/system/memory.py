"""How the process gets large buffers from the operating system."""

import ctypes
import sys

# Parameters of glibc's mallopt (malloc.h)
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let glibc reuse freed buffers of any size instead of returning them to the system.

    Torch allocates and frees tensors of many megabytes at every step. By default each is mapped again and every page of
    it faulted in again, which can cost more than the arithmetic on few cores. The price: memory of the largest step
    stays with the process. Does nothing without glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
        mallopt(_TOP_PAD, 64 * 2**20)
