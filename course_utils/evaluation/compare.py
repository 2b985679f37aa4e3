"""All detectors of the course on the same images: accuracy, time by phase, size."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from course_utils.core.devices import device_of, predict_one, to_device
from course_utils.core.timing import Timer
from course_utils.data.datasets import Scenes
from course_utils.evaluation.average_precision import evaluate
from course_utils.models.detector import Detector
from course_utils.ops.postprocess import postprocess_detections
from course_utils.ops.targets import Detections


def run_all(model: Detector, scenes: Scenes, num_proposals: int) -> dict:
    """Score a detector on all scenes, one at a time, with a clock on each phase.

    scenes: a `datasets.Scenes`; num_proposals: of each image. Returns the numbers of
    `evaluate` and ``ms``, {phase: milliseconds an image}, proposals included.
    Lesson 10.
    """
    model.eval().num_proposals = num_proposals
    predict_one(model, scenes[0][0])  # warm up
    model.timer = Timer()
    detections = [predict_one(model, scenes[i][0]) for i in range(len(scenes))]
    spent = model.timer.seconds
    ms = {phase: 1000 * value / len(scenes) for phase, value in spent.items()}
    return evaluate(detections, scenes.targets, scenes.classes) | {"ms": ms}


def score_regions(
    model: Detector, image: Tensor, num_proposals: int
) -> tuple[Tensor, Tensor]:
    """What a detector says of each proposal of an image, before NMS.

    (scores (N, K), boxes (N, K, 4)), best proposal first, N at most `num_proposals`.
    Scores are probabilities, R-CNN's are decision values. Both are on the device of the
    image, whatever the model's. Lesson 10.
    """
    model.eval().num_proposals = num_proposals
    scored = model.score_regions(image.to(device_of(model)))
    return to_device(scored, image.device)


def detections_from(
    scored: tuple[Tensor, Tensor],
    model: Detector,
    size: tuple[int, int],
    num_proposals: int,
    nms_iou: float,
) -> Detections:
    """The detections, had the model looked at its best `num_proposals` only."""
    scores, boxes = (part[:num_proposals] for part in scored)
    return postprocess_detections(scores, boxes, size, model.min_score, nms_iou)


def settings_table(
    models: dict[str, Detector],
    scenes: Scenes,
    counts: Sequence[int],
    nms_ious: Sequence[float],
) -> tuple[dict, dict]:
    """mAP@0.5 at all settings: {(name, num_proposals, nms_iou): mAP}, and the scores.

    counts: the numbers of proposals to try. The second is
    {name: [score_regions of each scene]}. Lesson 10.
    """
    scored = {
        name: [
            score_regions(model, scenes[i][0], max(counts)) for i in range(len(scenes))
        ]
        for name, model in models.items()
    }
    size, table = tuple(scenes[0][0].shape[1:]), {}
    for name, model in models.items():
        for count in counts:
            for iou in nms_ious:
                detections = [
                    detections_from(part, model, size, count, iou)
                    for part in scored[name]
                ]
                found = evaluate(detections, scenes.targets, scenes.classes)
                table[name, count, iou] = found["map50"]
    return table, scored


def phase_times(
    models: dict[str, Detector], scenes: Scenes, counts: Sequence[int]
) -> dict:
    """{(name, num_proposals): {phase: ms}}: the median over scenes. Lesson 10."""
    times = {}
    for name, model in models.items():
        for count in counts:
            model.eval().num_proposals = count
            rows = []
            for i in range(len(scenes)):
                model.timer = Timer()
                predict_one(model, scenes[i][0])
                rows.append(model.timer.seconds)
            times[name, count] = {
                phase: 1000 * float(np.median([row[phase] for row in rows]))
                for phase in rows[0]
            }
    return times


def pareto_front(points: dict[str, tuple[float, float]]) -> list[str]:
    """The names of {name: (ms, accuracy)} that no other beats in both.

    A point is beaten if another is at least as fast and as accurate, and better in one
    of the two. Lesson 10.
    """

    def beaten(ms, accuracy):
        return any(
            m <= ms and a >= accuracy and (m, a) != (ms, accuracy)
            for m, a in points.values()
        )

    return [name for name, point in points.items() if not beaten(*point)]


def model_megabytes(model: nn.Module) -> float:
    """Size of a network's weights as float32, in MB. Lesson 10."""
    return sum(w.numel() for w in model.state_dict().values()) * 4 / 1e6
