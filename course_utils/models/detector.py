"""What all detectors of the course have in common."""

from typing import Protocol

from torch import Tensor

from course_utils.core.timing import Timer
from course_utils.ops.targets import Detections


class Detector(Protocol):
    """Any network that finds objects in images, in evaluation mode. Lesson 10."""

    num_proposals: int  # how many boxes of an image are looked at
    min_score: float
    timer: Timer

    def eval(self) -> "Detector":
        """The detector itself, in evaluation mode."""

    def __call__(self, images: list[Tensor]) -> list[Detections]:
        """The detections of each image (3, H, W)."""

    def score_regions(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N, K) and boxes (N, K, 4) of an image's proposals, before NMS."""
