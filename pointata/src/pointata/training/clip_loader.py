"""Clips in batches, shared out among the processes of a training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from pointata.errors import ConfigError
from pointata.model.tensors import joined
from pointata.training.clips import ClipBatch, FixedClips, RandomClips


def collate(items: Sequence[ClipBatch]) -> ClipBatch:
    """Join batches of clips of equal length."""
    labels = {task: torch.cat([item.labels[task] for item in items]) for task in items[0].labels}
    actions, videos = (torch.cat([getattr(item, name) for item in items]) for name in ("actions", "videos"))
    return ClipBatch(joined([item.clip for item in items]), labels, actions, videos)


class EpochSampler(Sampler[int]):
    """This process's share of the numbers 0 to size - 1; where `fresh`, of other numbers in every epoch."""

    def __init__(self, size: int, rank: int, processes: int, fresh: bool, epoch: int = 0) -> None:
        """Take the number of items and the place among the processes; `epoch` is the first one."""
        self._size, self._rank, self._processes, self._fresh = size, rank, processes, fresh
        self._epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of every epoch; of a resumed run's first one too late for its loader."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(range(self._rank, self._size, self._processes))

    def __iter__(self) -> Iterator[int]:
        first = self._epoch * self._size if self._fresh else 0
        return iter(range(first + self._rank, first + self._size, self._processes))


@dataclass(frozen=True)
class ClipLoader:
    """Makes the loaders of one of a training's processes."""

    batch_size: int
    workers: int
    """Processes that cut clips; 0 for the training process itself."""
    rank: int = 0
    processes: int = 1

    def drawn(self, clips: RandomClips, per_epoch: int, first_epoch: int) -> DataLoader[ClipBatch]:
        """Other clips in every epoch, `per_epoch` over all processes, beginning with those of `first_epoch`."""
        # every process draws as many: one with a batch less would keep the others waiting
        size = -(-per_epoch // self.processes) * self.processes
        return self._loader(clips, EpochSampler(size, self.rank, self.processes, fresh=True, epoch=first_epoch))

    def fixed(self, clips: FixedClips) -> DataLoader[ClipBatch]:
        """The same clips in every epoch."""
        if len(clips) < self.processes:
            raise ConfigError(
                f"{len(clips)} validation clips for {self.processes} processes: use fewer processes or shorter clips"
            )
        return self._loader(clips, EpochSampler(len(clips), self.rank, self.processes, fresh=False))

    def _loader(self, clips: Dataset[ClipBatch], sampler: EpochSampler) -> DataLoader[ClipBatch]:
        return DataLoader(
            clips,
            batch_size=self.batch_size,
            sampler=sampler,
            collate_fn=collate,
            generator=torch.Generator(),  # one of its own: the network's dropout must not depend on when loaders start
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )
