"""Moving object segmentation: whether each point lies on a thing that moves over the ground."""

from pointata.metrics.confusion import ConfusionMatrix
from pointata.metrics.summary import iou_per_class
from pointata.tasks.points import PointTask


class Moving(PointTask):
    """Static (0) or moving (1): of all points of a thing alike, whichever of its parts moves."""

    name = "moving"
    figure_name = "moving_iou"

    def figure(self, matrix: ConfusionMatrix) -> float:
        """Intersection over union of the class moving; NaN where nothing moves and nothing is said to."""
        return float(iou_per_class(matrix)[1])


TASK = Moving()
