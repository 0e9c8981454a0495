"""Lightning callbacks for tests of training runs in processes of their own: they run there, and leave files."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch

from pointata.training.clips import ClipBatch


def fingerprints(batch: ClipBatch) -> list[str]:
    """One for the points of each clip."""
    return [hashlib.sha256(points.numpy().tobytes()).hexdigest() for points in batch.clip.points]


class Witness(lightning.Callback):
    """Writes <folder>/<rank>.json: the clips trained and validated on, and a fingerprint of the trained weights."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._seen: Mapping[str, list[str]] = {"train": [], "val": []}

    def on_train_batch_start(self, trainer: Any, module: Any, batch: ClipBatch, batch_idx: int) -> None:
        self._seen["train"].extend(fingerprints(batch))

    def on_validation_batch_start(
        self, trainer: Any, module: Any, batch: ClipBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._seen["val"].extend(fingerprints(batch))

    def on_fit_end(self, trainer: Any, module: Any) -> None:
        weights = torch.cat([parameter.detach().flatten() for parameter in module.parameters()]).numpy()
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        content = {**self._seen, "weights": hashlib.sha256(weights.tobytes()).hexdigest(), "metrics": metrics}
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{trainer.global_rank}.json").write_text(json.dumps(content))


class Halt(lightning.Callback):
    """Stops in the middle of the second epoch: writes a file and waits to be killed."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: ClipBatch, batch_idx: int) -> None:
        if trainer.current_epoch == 1 and batch_idx == trainer.num_training_batches // 2:
            self._file.touch()
            time.sleep(600)
