"""Semantic segmentation: the class of the thing that each point lies on."""

from collections.abc import Sequence
from typing import Any

from pointata.metrics.confusion import ConfusionMatrix
from pointata.metrics.summary import mean_iou
from pointata.tasks.points import PointEvaluation, PointTask
from pointata.tasks.task import Evaluation


class Semantic(PointTask):
    """The class of the thing that each point lies on."""

    name = "semantic"
    figure_name = "segmentation_miou_present"

    def figure(self, matrix: ConfusionMatrix) -> float:
        """Mean intersection over union of the classes that occur."""
        return mean_iou(matrix)

    def evaluation(self, names: Sequence[str], window_frames: int, recordings: int) -> Evaluation:
        """See `Task`."""
        return _SemanticEvaluation(self, names)


class _SemanticEvaluation(PointEvaluation):
    def published(self) -> dict[str, float]:
        """The mean IoU with absent classes counted as 0."""
        if not self.matrix.total:
            return {}
        return {"segmentation_miou_absent_as_zero": mean_iou(self.matrix, absent_as_zero=True)}

    def report(self) -> dict[str, Any]:
        """IoU by class."""
        return {"per_class_iou": self.ious()}


TASK = Semantic()
