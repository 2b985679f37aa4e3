"""All detectors of the course on the same images: accuracy, time by phase, size."""

import copy

import numpy as np
import torch
from torch import nn

from course_utils.boxes import decode_boxes
from course_utils.devices import check_images, device_of, predict_one, to_device
from course_utils.fast_rcnn import STDS, stack_images
from course_utils.faster_rcnn import FasterRCNN, library_faster_rcnn
from course_utils.metrics import Timer, evaluate
from course_utils.proposals import selective_search
from course_utils.rcnn import RCNN, pick_answers, region_features
from course_utils.single_shot import SingleShot


def set_windows(model, count):
    """Let a detector look at `count` proposals of an image. Lesson 10.

    A `SingleShot` has none; it lets its best `count` anchors into NMS.
    """
    if isinstance(model, FasterRCNN):
        model.rpn.test_after = count
    elif isinstance(model, LibraryTwin):
        model.net.rpn._post_nms_top_n["testing"] = count
    elif isinstance(model, SingleShot):
        model.before = count
    else:
        model.windows = count
    return model


def run_all(model, scenes, windows):
    """Score a detector on all scenes, one at a time, with a clock on each phase.

    scenes: a `pictures.Scenes`. Returns the numbers of `metrics.evaluate` and
    ``ms``, {phase: milliseconds an image}, proposals included. Lesson 10.
    """
    set_windows(model.eval(), windows)
    predict_one(model, scenes[0][0])  # warm up
    model.timer = Timer()
    answers = [predict_one(model, scenes[i][0]) for i in range(len(scenes))]
    spent = model.timer.seconds
    ms = {phase: 1000 * value / len(scenes) for phase, value in spent.items()}
    return evaluate(answers, scenes.targets, scenes.classes) | {"ms": ms}


@torch.no_grad()
def region_numbers(model, image, windows):
    """What a detector says of each proposal of an image, before NMS.

    (scores (N, K), boxes (N, K, 4)), best proposal first, N at most `windows`. Scores
    are probabilities, R-CNN's are margins. Both are on the device of the image,
    whatever the model's. Lesson 10.
    """
    set_windows(model.eval(), windows)
    given, image = image.device, image.to(device_of(model))
    return to_device(numbers_there(model, image, windows), given)


def numbers_there(model, image, windows):
    """`region_numbers` of an image on the model's device."""
    if isinstance(model, RCNN):
        regions = selective_search(image, windows)
        return model.read(
            region_features(model.net, image, regions, model.side), regions
        )
    if isinstance(model, SingleShot):
        logits, deltas, anchors = model.numbers(
            model.maps(stack_images([image], 16)[0])
        )
        return model.best_boxes(logits[0], deltas[0], anchors)
    features = model.trunk(model.prepare([image])[0])
    if isinstance(model, FasterRCNN):
        size = tuple(image.shape[1:])
        regions = model.rpn.proposals(*model.rpn(features), [size])[0][0]
    else:
        regions = selective_search(image, windows)
    scores, deltas = model.head(model.pooled(features, [regions]))
    return scores.softmax(1)[:, 1:], decode_boxes(deltas, regions[:, None], STDS)


def answers_from(numbers, model, size, windows, nms_iou):
    """The detector's answer, had it looked at the best `windows` proposals only."""
    scores, boxes = (part[:windows] for part in numbers)
    return pick_answers(scores, boxes, size, model.min_score, nms_iou)


def settings_table(models, scenes, windows, nms_ious):
    """mAP@0.5 at all settings: {(name, windows, nms_iou): mAP}, and the numbers used.

    The second is {name: [region_numbers of each scene]}. Lesson 10.
    """
    numbers = {
        name: [
            region_numbers(model, scenes[i][0], max(windows))
            for i in range(len(scenes))
        ]
        for name, model in models.items()
    }
    size, table = tuple(scenes[0][0].shape[1:]), {}
    for name, model in models.items():
        for count in windows:
            for iou in nms_ious:
                answers = [
                    answers_from(n, model, size, count, iou) for n in numbers[name]
                ]
                found = evaluate(answers, scenes.targets, scenes.classes)
                table[name, count, iou] = found["map50"]
    return table, numbers


def phase_times(models, scenes, windows):
    """{(name, windows): {phase: ms}}: the median over scenes. Lesson 10."""
    times = {}
    for name, model in models.items():
        for count in windows:
            set_windows(model.eval(), count)
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


class LibraryTwin(nn.Module):
    """torchvision's Faster R-CNN with the weights of a trained `FasterRCNN`.

    model: ours, with `roi_align`; size: (height, width) of all images. In evaluation
    mode twin(images) gives a list of answers, and ``timer.seconds`` adds up the time of
    ``trunk``, ``proposals`` and ``regions``, NMS included. It runs torchvision's
    operations on our anchors: torchvision rounds its own, and puts them on the corners
    of the cells. Where an image is filled up to whole cells it is black, ours is grey.
    Lesson 10.
    """

    def __init__(self, model, size):
        super().__init__()
        from torchvision.ops import roi_align  # here, because it takes 170 MB

        grid, head, rpn = model.rpn.grid, model.head, model.rpn
        pool, stride = head.pool_size, model.stride

        class Pool(nn.Module):
            def forward(self, maps, regions, sizes):
                return roi_align(maps["0"], regions, pool, 1 / stride, 2, aligned=True)

        self.net = library_faster_rcnn(
            copy.deepcopy(model.trunk),
            grid,
            head.num_classes,
            size,
            head.fc1.out_features,
            rpn_post_nms_top_n_test=rpn.test_after,
            rpn_nms_thresh=rpn.nms_iou,
            box_score_thresh=model.min_score,
            box_nms_thresh=model.nms_iou,
        ).eval()
        self.net.roi_heads.box_roi_pool = Pool()
        self.net.rpn.anchor_generator.cell_anchors = [grid.shapes + grid.stride / 2]
        scale = torch.tensor(STDS).repeat(len(grid))  # its RPN divides no deltas
        theirs, boxes = self.net.rpn.head, self.net.roi_heads.box_predictor.bbox_pred
        fully = self.net.roi_heads.box_head
        with torch.no_grad():
            for to, of in (
                (theirs.conv[0][0], rpn.head.conv),
                (theirs.cls_logits, rpn.head.objectness),
                (theirs.bbox_pred, rpn.head.deltas),
                (fully.fc6, head.fc1),
                (fully.fc7, head.fc2),
                (self.net.roi_heads.box_predictor.cls_score, head.scores),
            ):
                to.load_state_dict(of.state_dict())
            theirs.bbox_pred.weight.mul_(scale[:, None, None, None])
            theirs.bbox_pred.bias.mul_(scale)
            boxes.weight[4:], boxes.bias[4:] = head.deltas.weight, head.deltas.bias
        self.timer = Timer()
        self.to(device_of(model))

    @torch.no_grad()
    def forward(self, images):
        net, images = self.net, check_images(self, images)
        with self.timer("trunk"):
            batch, _ = net.transform(images)
            maps = {"0": net.backbone(batch.tensors)}
        with self.timer("proposals"):
            regions, _ = net.rpn(batch, maps)
        with self.timer("regions"):
            return net.roi_heads(maps, regions, batch.image_sizes)[0]


def model_megabytes(model):
    """Size of a network's weights as float32, in MB. Lesson 10."""
    return sum(w.numel() for w in model.state_dict().values()) * 4 / 1e6
