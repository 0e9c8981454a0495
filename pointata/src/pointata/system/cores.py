"""How many cores there are to use."""

import os


def core_count() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not everywhere
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def torch_threads(wanted: int = 0) -> int:
    """How many CPU threads torch is to use: `wanted`; where it is 0, those of OMP_NUM_THREADS, else all cores but one.

    Threads of torch wait for each other: one of them on a core that something else keeps busy delays all.
    """
    import torch

    if wanted or "OMP_NUM_THREADS" in os.environ:
        return wanted or torch.get_num_threads()
    return max(1, min(torch.get_num_threads(), core_count() - 1))
