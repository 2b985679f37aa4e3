"""A trained detector as one ONNX file, which runs without torch's training code."""

import json
import logging
import os
import warnings
from pathlib import Path

import torch
from torch import nn

from course_utils.boxes import clip_boxes, decode_boxes
from course_utils.fast_rcnn import STDS
from course_utils.photos import SIDE, in_pixels, to_square
from course_utils.rcnn import pick_answers


class OneGraph(nn.Module):
    """A `PhotoFasterRCNN` from a square picture to scored regions, as one graph.

    image (1, 3, 384, 384) in 0..1 -> scores (N, K) and boxes (N, 4) in pixels of the
    square, for a fixed number N of proposals; where NMS leaves fewer, the best one
    stands again. The operations are those that ONNX has a name for. Lesson 13.
    """

    def __init__(self, model):
        super().__init__()
        self.lower, self.neck = model.prepare.trunk, model.trunk
        self.rpn, self.head, self.settings = model.rpn.head, model.head, model.rpn
        self.stride = model.stride
        cells = SIDE // model.stride
        self.register_buffer("anchors", model.rpn.grid(cells, cells))

    def forward(self, image):
        from torchvision import ops  # here, because it takes 170 MB

        features = self.neck(self.lower(image))
        objectness, deltas = self.rpn(features)
        best = objectness[0].topk(self.settings.before)
        boxes = decode_boxes(deltas[0, best.indices], self.anchors[best.indices], STDS)
        boxes = clip_boxes(boxes, (SIDE, SIDE))
        keep = ops.nms(boxes, best.values, self.settings.nms_iou)
        count = self.settings.test_after
        keep = torch.cat([keep, keep.new_zeros(count)])[:count]
        regions = boxes[keep]
        size, scale = self.head.pool_size, 1 / self.stride
        pooled = ops.roi_align(features, [regions], size, scale, 2, aligned=True)
        scores, deltas = self.head(pooled)
        return scores.softmax(1)[:, 1:], decode_boxes(deltas[:, 0], regions, STDS)


def export_onnx(model, path, classes):
    """Write a `PhotoFasterRCNN`, trunk and all, as an ONNX file with its class names.

    Written under a temporary name and renamed when whole. Lesson 13.
    """
    import onnx

    graph, example = OneGraph(model.eval()).eval(), torch.rand(1, 3, SIDE, SIDE)
    with warnings.catch_warnings():  # about operations that the exporter replaces
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["image"],
            output_names=["scores", "boxes"],
        )
    proto = program.model_proto
    about = {
        "classes": json.dumps(list(classes)),
        "min_score": str(model.min_score),
        "nms_iou": str(model.nms_iou),
    }
    onnx.helper.set_model_props(proto, about)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    onnx.save(proto, temporary)
    os.replace(temporary, path)


class OnnxDetector:
    """The detector in a file of `export_onnx`, run by onnxruntime.

    detector(images), with images a list of (3, H, W) in 0..1, gives the answers that
    the model itself would give; ``classes`` holds the names. Lesson 13.
    """

    def __init__(self, path):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(
            str(path), providers=["CPUExecutionProvider"]
        )
        about = self.session.get_modelmeta().custom_metadata_map
        self.classes = json.loads(about["classes"])
        self.limits = float(about["min_score"]), float(about["nms_iou"])

    def __call__(self, images):
        answers = []
        for image in images:
            inputs = {"image": to_square(image)[None].numpy()}
            scores, boxes = map(torch.from_numpy, self.session.run(None, inputs))
            boxes = boxes[:, None].expand(-1, scores.shape[1], -1)
            answers.append(pick_answers(scores, boxes, (SIDE, SIDE), *self.limits))
        return in_pixels(answers, images)
