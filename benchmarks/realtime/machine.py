"""The machine that the figures belong to."""

import datetime
import os
import platform
from pathlib import Path
from typing import Any

import torch


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def describe() -> dict[str, Any]:
    """Processor, cores, versions, threads, load and date."""
    return {
        "cpu": processor(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "receive_buffer_limit": receive_buffer_limit(),
        "load_average": load(),
        "date": now(),
    }


def now() -> str:
    """Coordinated universal time to the minute."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")


def load() -> list[float]:
    """Load averages of the last 1, 5 and 15 minutes: what else the machine was doing."""
    return [round(value, 2) for value in os.getloadavg()]


def processor() -> str:
    """Name of the processor with the vector extensions that matter here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    extensions = [name for name in ("avx2", "avx512f", "amx_bf16") if name in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.machine())} ({', '.join(extensions)})"


def receive_buffer_limit() -> int | None:
    """Largest socket buffer that the kernel allows, bytes: best-effort clouds of megabytes need 4 MiB."""
    try:
        return int(Path("/proc/sys/net/core/rmem_max").read_text())
    except OSError:
        return None
