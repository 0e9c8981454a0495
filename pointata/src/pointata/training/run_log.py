"""What a training run cost and reached, epoch by epoch, in a file that figures can be read from."""

import json
import logging
import resource
import time
from pathlib import Path
from typing import Any

import lightning
import torch

from pointata.tasks import TASKS, get

_log = logging.getLogger(__name__)

#: Shares that are better the larger they are, the first one present names the best epoch.
_SCORES = ("val/accuracy", *(f"val/{get(task).figure_name}" for task in TASKS))


class Ledger(lightning.Callback):
    """Notes every epoch's validation figures and seconds, and the peak of memory, also over resumed runs."""

    def __init__(self) -> None:
        self._epochs: list[dict[str, float]] = []
        self._earlier_peak_mib = 0.0  # of the processes that this one goes on from
        self._started = 0.0

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"epochs": self._epochs, "peak_memory_mb": self._peak_memory_mib()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self._epochs = list(state_dict["epochs"])
        self._earlier_peak_mib = float(state_dict.get("peak_memory_mb", 0.0))

    def _peak_memory_mib(self) -> float:
        return max(self._earlier_peak_mib, peak_memory_mib())

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop the clock: validation is not training."""
        self._seconds = time.perf_counter() - self._started

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the epoch."""
        if trainer.sanity_checking:
            return
        figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        self._epochs.append({"epoch": trainer.current_epoch, "seconds": self._seconds, **figures})
        said = ", ".join(f"{name.removeprefix('val/')} {value:.3f}" for name, value in sorted(figures.items()))
        _log.info("epoch %d (%.0f s): %s", trainer.current_epoch, self._seconds, said)

    def summary(self) -> dict[str, Any]:
        """Last and best epoch apart, seconds an epoch (median), peak memory of the process in MiB, and every epoch."""
        if not self._epochs:
            return {"epochs": []}
        score = next((name for name in _SCORES if name in self._epochs[-1]), None)
        best = self._epochs[-1] if score is None else max(self._epochs, key=lambda epoch: epoch[score])
        seconds = sorted(epoch["seconds"] for epoch in self._epochs)
        return {
            "last": self._epochs[-1],
            "best": best,
            "seconds_per_epoch": seconds[len(seconds) // 2],
            "peak_memory_mb": self._peak_memory_mib(),
            "epochs": self._epochs,
        }

    def save(self, path: Path, **more: Any) -> None:
        """Write the summary and further facts as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".partial")
        temporary.write_text(json.dumps({**more, **self.summary()}, indent=2) + "\n")
        temporary.replace(path)  # an interrupted save leaves the old file whole


def peak_memory_mib() -> float:
    """Most memory used so far: of the GPU's allocator where there is one, else of the process, MiB."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if status.exists():  # Linux; getrusage there also counts what the parent process held when it forked
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
