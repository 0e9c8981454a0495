"""Confusion matrix of a labelled task, accumulated frame by frame."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.errors import DataError


class ConfusionMatrix:
    """Counts of (truth, predicted) pairs.

    Truth 255 carries no ground truth and is left out. A prediction of 255 on a labelled sample is an error: it is
    counted in a column of its own, so that a network cannot gain by staying silent.

    Attributes:
        names: C class names, by class id.
        counts: (C, C + 1) int64; row = truth, column = predicted, last column = not predicted (255).
    """

    def __init__(self, names: Sequence[str], counts: NDArray[np.int64] | None = None) -> None:
        shape = (len(names), len(names) + 1)
        if counts is not None and counts.shape != shape:
            raise DataError(f"confusion counts of {len(names)} classes must have shape {shape}, got {counts.shape}")
        self.names = tuple(names)
        self.counts: NDArray[np.int64] = np.zeros(shape, np.int64) if counts is None else counts.astype(np.int64)

    def update(self, truth: NDArray[np.integer], predicted: NDArray[np.integer]) -> None:
        """Add samples.

        Args:
            truth: (N,) class ids, 255 where unknown.
            predicted: (N,) class ids, 255 where not predicted.

        Raises:
            DataError: where the lengths differ or an id names no class.
        """
        if truth.shape != predicted.shape:
            raise DataError(f"truth {truth.shape} and prediction {predicted.shape} differ in shape")
        labelled = truth != UNLABELLED
        rows = self._checked(truth[labelled], "truth")
        columns = self._checked(predicted[labelled], "prediction")
        count, width = self.counts.shape
        columns[columns == UNLABELLED] = count
        self.counts += np.bincount(rows * width + columns, minlength=count * width).reshape(count, width)

    def _checked(self, ids: NDArray[np.integer], what: str) -> NDArray[np.int64]:
        numbers: NDArray[np.int64] = np.asarray(ids, np.int64).copy()
        wrong = ((numbers < 0) | (numbers >= len(self.names))) & (numbers != UNLABELLED)
        if wrong.any():
            raise DataError(
                f"{what} holds class {numbers[wrong][0]}, but there are {len(self.names)} classes "
                f"({', '.join(self.names)}); 255 means unlabelled"
            )
        return numbers

    @property
    def total(self) -> int:
        """Number of labelled samples seen."""
        return int(self.counts.sum())

    @property
    def support(self) -> NDArray[np.int64]:
        """(C,) int64: labelled samples per true class."""
        return np.asarray(self.counts.sum(axis=1), np.int64)

    def normalised(self) -> NDArray[np.float64]:
        """(C, C + 1) share of each true class that went to each prediction; rows without support are NaN."""
        support = self.support[:, None].astype(np.float64)
        shares = np.full(self.counts.shape, np.nan)
        np.divide(self.counts, support, out=shares, where=support > 0)
        return shares

    @classmethod
    def side_by_side(cls, parts: Mapping[str, "ConfusionMatrix"]) -> "ConfusionMatrix":
        """One matrix of several tasks with classes of their own, which become `part/class`; none is confused across."""
        names = [f"{part}/{name}" for part, matrix in parts.items() for name in matrix.names]
        counts = np.zeros((len(names), len(names) + 1), np.int64)
        start = 0
        for matrix in parts.values():
            stop = start + len(matrix.names)
            counts[start:stop, start:stop] = matrix.counts[:, :-1]
            counts[start:stop, -1] = matrix.counts[:, -1]
            start = stop
        return cls(names, counts)
