"""All detectors of the course on the same images: accuracy, time by phase, size."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor, nn

from course_utils.core.devices import (
    device_of,
    predict_one,
    to_device,
    wait_for_device,
)
from course_utils.core.timing import Timer
from course_utils.data.datasets import Scenes
from course_utils.evaluation.average_precision import evaluate
from course_utils.models.detector import Detector
from course_utils.ops.postprocess import postprocess_detections
from course_utils.ops.targets import Detections


def run_timed(
    model: Detector, scenes: Scenes, num_proposals: int, warm_up: int = 3
) -> tuple[list[Detections], list[dict[str, float]]]:
    """The detections of each scene, one scene at a time, and its {phase: seconds}.

    scenes: a `datasets.Scenes`; num_proposals: of each image; warm_up: scenes that go
    through before the clock counts. Proposals are made anew for each scene, never read
    from the cache, and their time is that of the phase ``proposals``. Lesson 10.
    """
    model.eval().num_proposals = num_proposals
    for i in range(min(warm_up, len(scenes))):
        predict_one(model, scenes[i][0])
    detections, seconds = [], []
    for i in range(len(scenes)):
        model.timer = Timer()
        detections.append(predict_one(model, scenes[i][0]))
        seconds.append(dict(model.timer.seconds))
    return detections, seconds


def phase_medians(seconds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """{phase: milliseconds}: of each phase the median over the scenes.

    seconds: {phase: seconds} of each scene, as from `run_timed`. Lesson 10.
    """
    return {
        phase: 1000 * float(np.median([row[phase] for row in seconds]))
        for phase in seconds[0]
    }


def run_all(model: Detector, scenes: Scenes, num_proposals: int) -> dict:
    """Score a detector on all scenes, one at a time, with a clock on each phase.

    Arguments as in `run_timed`. Returns the numbers of `evaluate`, ``found``, the
    detections of each scene, and ``ms``, {phase: milliseconds an image}. Lesson 10.
    """
    found, seconds = run_timed(model, scenes, num_proposals)
    scores = evaluate(found, scenes.targets, scenes.classes)
    return scores | {"found": found, "ms": phase_medians(seconds)}


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
    """The detections, had the model looked at its best `num_proposals` only.

    scored: of `score_regions`; size: (height, width) of the image. Lesson 10.
    """
    scores, boxes = (part[:num_proposals] for part in scored)
    return postprocess_detections(scores, boxes, size, model.min_score, nms_iou)


def settings_table(
    models: Mapping[str, Detector],
    scenes: Scenes,
    counts: Mapping[str, Sequence[int]],
    nms_ious: Sequence[float],
) -> tuple[dict, dict]:
    """mAP@0.5 at all settings: {(name, num_proposals, nms_iou): mAP}, and the scores.

    counts: the numbers of proposals to try, {name: numbers}. The second is
    {name: [score_regions of each scene]}. Lesson 10.
    """
    scored = {
        name: [
            score_regions(model, scenes[i][0], max(counts[name]))
            for i in range(len(scenes))
        ]
        for name, model in models.items()
    }
    size, table = tuple(scenes[0][0].shape[1:]), {}
    for name, model in models.items():
        for count in counts[name]:
            for iou in nms_ious:
                detections = [
                    detections_from(part, model, size, count, iou)
                    for part in scored[name]
                ]
                found = evaluate(detections, scenes.targets, scenes.classes)
                table[name, count, iou] = found["map50"]
    return table, scored


def phase_times(
    models: Mapping[str, Detector],
    scenes: Scenes,
    counts: Mapping[str, Sequence[int]],
) -> dict:
    """{(name, num_proposals): {phase: milliseconds}}, see `phase_medians`.

    One scene warms up for each setting. Arguments as in `settings_table`. Lesson 10.
    """
    return {
        (name, count): phase_medians(run_timed(model, scenes, count, 1)[1])
        for name, model in models.items()
        for count in counts[name]
    }


def images_per_second(
    model: nn.Module, images: Sequence[Tensor], batch: int, repeats: int = 3
) -> list[float]:
    """How many images a detector does in a second, `batch` at a time, in each repeat.

    images: (3, H, W) each; they lie on the model's device before the clock starts, and
    the first batch goes through once before. Lesson 10.
    """
    model.eval()
    images = [image.to(device_of(model)) for image in images]
    batches = [images[i : i + batch] for i in range(0, len(images), batch)]
    model(batches[0])  # warm up
    rates = []
    for _ in range(repeats):
        wait_for_device()
        start = time.perf_counter()
        for some in batches:
            model(some)
        wait_for_device()
        rates.append(len(images) / (time.perf_counter() - start))
    return rates


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
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
