"""All detectors of the course on the same images: accuracy, time by phase, size."""

import numpy as np
import torch

from course_utils.core.devices import device_of, predict_one, to_device
from course_utils.core.timing import Timer
from course_utils.evaluation.average_precision import evaluate
from course_utils.models.faster_rcnn import FasterRCNN
from course_utils.models.rcnn import RCNN, region_features
from course_utils.models.single_shot import SingleShot
from course_utils.models.torchvision_reference import LibraryTwin
from course_utils.ops.batches import stack_images
from course_utils.ops.boxes import BOX_DELTA_STDS, decode_boxes
from course_utils.ops.postprocess import postprocess_detections
from course_utils.proposals.selective_search import selective_search


def set_num_proposals(model, count):
    """Let a detector look at `count` proposals of an image. Lesson 10.

    A `SingleShot` has none; it lets its best `count` anchors into NMS.
    """
    if isinstance(model, FasterRCNN):
        model.rpn.post_nms_top_n_test = count
    elif isinstance(model, LibraryTwin):
        model.net.rpn._post_nms_top_n["testing"] = count
    elif isinstance(model, SingleShot):
        model.before = count
    else:
        model.num_proposals = count
    return model


def run_all(model, scenes, num_proposals):
    """Score a detector on all scenes, one at a time, with a clock on each phase.

    scenes: a `pictures.Scenes`. Returns the numbers of `metrics.evaluate` and
    ``ms``, {phase: milliseconds an image}, proposals included. Lesson 10.
    """
    set_num_proposals(model.eval(), num_proposals)
    predict_one(model, scenes[0][0])  # warm up
    model.timer = Timer()
    detections = [predict_one(model, scenes[i][0]) for i in range(len(scenes))]
    spent = model.timer.seconds
    ms = {phase: 1000 * value / len(scenes) for phase, value in spent.items()}
    return evaluate(detections, scenes.targets, scenes.classes) | {"ms": ms}


@torch.no_grad()
def region_numbers(model, image, num_proposals):
    """What a detector says of each proposal of an image, before NMS.

    (scores (N, K), boxes (N, K, 4)), best proposal first, N at most `proposals`. Scores
    are probabilities, R-CNN's are decision values. Both are on the device of the image,
    whatever the model's. Lesson 10.
    """
    set_num_proposals(model.eval(), num_proposals)
    given, image = image.device, image.to(device_of(model))
    return to_device(numbers_there(model, image, num_proposals), given)


def numbers_there(model, image, num_proposals):
    """`region_numbers` of an image on the model's device."""
    if isinstance(model, RCNN):
        regions = selective_search(image, num_proposals)
        return model.read(
            region_features(model.net, image, regions, model.side), regions
        )
    if isinstance(model, SingleShot):
        logits, deltas, anchors = model.numbers(
            model.maps(stack_images([image], 16)[0])
        )
        return model.best_boxes(logits[0], deltas[0], anchors)
    features = model.backbone(model.prepare([image])[0])
    if isinstance(model, FasterRCNN):
        size = tuple(image.shape[1:])
        regions = model.rpn.proposals(*model.rpn(features), [size])[0][0]
    else:
        regions = selective_search(image, num_proposals)
    scores, deltas = model.head(model.pooled(features, [regions]))
    return scores.softmax(1)[:, 1:], decode_boxes(
        deltas, regions[:, None], BOX_DELTA_STDS
    )


def detections_from(numbers, model, size, num_proposals, nms_iou):
    """The detector's detections, had it looked at the best `proposals` proposals only."""
    scores, boxes = (part[:num_proposals] for part in numbers)
    return postprocess_detections(scores, boxes, size, model.min_score, nms_iou)


def settings_table(models, scenes, num_proposals, nms_ious):
    """mAP@0.5 at all settings: {(name, proposals, nms_iou): mAP}, and the numbers used.

    The second is {name: [region_numbers of each scene]}. Lesson 10.
    """
    numbers = {
        name: [
            region_numbers(model, scenes[i][0], max(num_proposals))
            for i in range(len(scenes))
        ]
        for name, model in models.items()
    }
    size, table = tuple(scenes[0][0].shape[1:]), {}
    for name, model in models.items():
        for count in num_proposals:
            for iou in nms_ious:
                detections = [
                    detections_from(n, model, size, count, iou) for n in numbers[name]
                ]
                found = evaluate(detections, scenes.targets, scenes.classes)
                table[name, count, iou] = found["map50"]
    return table, numbers


def phase_times(models, scenes, num_proposals):
    """{(name, proposals): {phase: ms}}: the median over scenes. Lesson 10."""
    times = {}
    for name, model in models.items():
        for count in num_proposals:
            set_num_proposals(model.eval(), count)
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


def pareto_front(points):
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


def model_megabytes(model):
    """Size of a network's weights as float32, in MB. Lesson 10."""
    return sum(w.numel() for w in model.state_dict().values()) * 4 / 1e6
