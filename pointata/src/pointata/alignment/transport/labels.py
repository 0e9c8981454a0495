"""Samples by label: which labels count, their samples as one padded tensor, labels where there are none."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from pointata.errors import DataError

#: A label with fewer samples has no spread to measure, and drops out.
MIN_SAMPLES = 2


@dataclass(frozen=True)
class Labelled:
    """Features of the labels that have at least two samples.

    Attributes:
        features: (N, D) float, the kept samples.
        index: (N,) int64, 0 to K - 1: each sample's label.
        counts: (K,) int64, samples of each label.
    """

    features: Tensor
    index: Tensor
    counts: Tensor

    @classmethod
    def of(cls, features: Tensor, labels: Tensor) -> "Labelled":
        """Drop the labels of a single sample, and number the others.

        Args:
            features: (N, D) float.
            labels: (N,) integers of any value.

        Raises:
            DataError: no label has two samples, or the numbers of features and labels differ.
        """
        if features.dim() != 2 or labels.shape != features.shape[:1]:
            raise DataError(
                f"a labelled set needs features (N, D) and labels (N,), got {tuple(features.shape)} and "
                f"{tuple(labels.shape)}"
            )
        _, index, counts = torch.unique(labels, return_inverse=True, return_counts=True)
        enough = counts >= MIN_SAMPLES
        if not enough.any():
            raise DataError(
                f"none of the {len(counts)} labels of {len(features)} samples has {MIN_SAMPLES} samples: "
                "give more samples of each label, or fewer labels"
            )
        kept = enough[index]
        return cls(features[kept], (enough.cumsum(0) - 1)[index[kept]], counts[enough])

    def groups(self) -> list[Tensor]:
        """The samples of each label: K tensors (n, D)."""
        by_label = self.features[self.index.argsort(stable=True)]
        return list(torch.split(by_label, self.counts.tolist()))


def pseudo_labels(features: Tensor, clusters: int, seed: int = 0) -> Tensor:
    """Labels for features that have none: k-means (k-means++ start), (N,) int64.

    Args:
        features: (N, D) float.
        clusters: number of labels; at most N.
        seed: of the start.
    """
    if not 1 <= clusters <= len(features):
        raise DataError(f"{clusters} clusters of {len(features)} samples: choose 1 to {len(features)}")
    points = features.detach().cpu().double().numpy()
    # an empty cluster is a label without samples: it does no harm
    _, index = kmeans2(points, clusters, minit="++", missing="warn", seed=np.random.default_rng(seed))
    return torch.from_numpy(index.astype(np.int64)).to(features.device)
