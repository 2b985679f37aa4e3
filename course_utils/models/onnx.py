"""A trained detector as one ONNX file, which runs without torch's training code."""

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from course_utils.core.files import write_whole
from course_utils.data.feature_maps import SIDE, to_square
from course_utils.models.photo_detector import PhotoFasterRCNN, in_pixels
from course_utils.ops.boxes import BOX_DELTA_STDS, clip_boxes, decode_boxes
from course_utils.ops.postprocess import postprocess_detections
from course_utils.ops.targets import Detections


class OneGraph(nn.Module):
    """A `PhotoFasterRCNN` from a square picture to scored regions, as one graph.

    image (1, 3, 384, 384) in 0..1 -> scores (N, K) and boxes (N, 4) in pixels of the
    square, for a fixed number N of proposals; where NMS leaves fewer, rows with scores
    of -1 fill up. The operations are those that ONNX has a name for; onnxruntime's NMS
    compares IoU and threshold in float32, as `nms.nms` does. Lesson 13.
    """

    def __init__(self, model: PhotoFasterRCNN) -> None:
        super().__init__()
        self.lower, self.neck = model.prepare.backbone, model.backbone
        self.rpn, self.head, self.settings = model.rpn.head, model.head, model.rpn
        self.stride = model.stride
        cells = SIDE // model.stride
        self.anchors = nn.Buffer(model.rpn.grid(cells, cells))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        from torchvision import ops  # here, because it takes 170 MB

        features = self.neck(self.lower(image))
        objectness, deltas = self.rpn(features)
        best = objectness[0].topk(min(self.settings.pre_nms_top_n, len(self.anchors)))
        boxes = decode_boxes(
            deltas[0, best.indices], self.anchors[best.indices], BOX_DELTA_STDS
        )
        boxes = clip_boxes(boxes, (SIDE, SIDE))
        real = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1).nonzero().flatten()
        keep = real[ops.nms(boxes[real], best.values[real], self.settings.nms_iou)]
        count = self.settings.post_nms_top_n_test
        keep = torch.cat([keep, keep.new_full((count,), -1)])[:count]
        regions = boxes[keep.clamp(min=0)]
        size, scale = self.head.pool_size, 1 / self.stride
        pooled = ops.roi_align(features, [regions], size, scale, 2, aligned=True)
        scores, deltas = self.head(pooled)
        scores = torch.where(keep[:, None] < 0, -1.0, scores.softmax(1)[:, 1:])
        return scores, decode_boxes(deltas[:, 0], regions, BOX_DELTA_STDS)


def export_onnx(
    model: PhotoFasterRCNN, path: str | Path, classes: Sequence[str]
) -> None:
    """Write a `PhotoFasterRCNN`, backbone and all, as an ONNX file with class names.

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
    proto = program.model_proto  # type: ignore[union-attr]
    about = {
        "classes": json.dumps(list(classes)),
        "min_score": str(model.min_score),
        "nms_iou": str(model.nms_iou),
    }
    onnx.helper.set_model_props(proto, about)
    with write_whole(path) as place:
        onnx.save(proto, place)


class OnnxDetector:
    """The detector in a file of `export_onnx`, run by onnxruntime.

    detector(images), with images a list of (3, H, W) in 0..1, gives the detections that
    the model itself would give; ``classes`` holds the names. min_score, nms_iou: limits
    of detections, those that the model had if left out; they may be changed later, as
    the model's. The NMS of the proposals is fixed in the file. Raises ValueError for a
    limit outside 0..1 and a file that `export_onnx` did not write. Lesson 13.
    """

    min_score: float
    nms_iou: float

    def __init__(
        self,
        path: str | Path,
        min_score: float | None = None,
        nms_iou: float | None = None,
    ) -> None:
        import onnxruntime

        self.session = onnxruntime.InferenceSession(
            str(path), providers=["CPUExecutionProvider"]
        )
        about = self.session.get_modelmeta().custom_metadata_map
        if not {"classes", "min_score", "nms_iou"} <= about.keys():
            raise ValueError(f"{path}: no file of export_onnx; write one with it")
        self.classes = json.loads(about["classes"])
        limits = {"min_score": min_score, "nms_iou": nms_iou}
        for name, given in limits.items():
            value = float(about[name] if given is None else given)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} = {given}: give a number in 0..1")
            setattr(self, name, value)

    def __call__(self, images: list[Tensor]) -> list[Detections]:
        detections = []
        for image in images:
            inputs = {"image": to_square(image)[None].numpy()}
            scores, boxes = map(torch.from_numpy, self.session.run(None, inputs))
            boxes = boxes[:, None].expand(-1, scores.shape[1], -1)
            limits = self.min_score, self.nms_iou
            detections.append(
                postprocess_detections(scores, boxes, (SIDE, SIDE), *limits)
            )
        return in_pixels(detections, images)
