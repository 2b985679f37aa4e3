"""The ONNX file says what the network says."""

import onnx
import onnxruntime
import pytest
import skimage.data
import torch
from torch import nn
from torchvision import ops

from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.models.imagenet import imagenet_backbone
from course_utils.models.onnx import OnnxDetector, export_onnx
from course_utils.models.photo_detector import PhotoFasterRCNN, load_detector
from course_utils.ops.boxes import box_iou
from course_utils.ops.nms import nms

pytestmark = pytest.mark.slow

TENTHS = [n / 10 for n in range(1, 10)]


def assert_same(ours, theirs):
    assert ours["labels"].tolist() == theirs["labels"].tolist()
    for key in "scores", "boxes":
        torch.testing.assert_close(ours[key], theirs[key], rtol=0, atol=1e-3)


def small_model():
    torch.manual_seed(0)
    model = PhotoFasterRCNN(imagenet_backbone(), 5, channels=32, hidden=32).eval()
    with torch.no_grad():  # larger numbers, so that boxes and classes differ
        for part in model.head.logits, model.head.deltas, model.rpn.head.deltas:
            part.weight.mul_(20)
    return model


def test_onnx_answers_as_torch_does(tmp_path):
    model, file = small_model(), tmp_path / "mine.onnx"
    # Many proposals are thinner than a pixel, and NMS leaves too few of the others.
    model.rpn.head.deltas.weight.data.mul_(4)
    model.rpn.nms_iou = 0.2
    export_onnx(model, file, ["a", "b", "c", "d"])
    assert [p.name for p in tmp_path.iterdir()] == ["mine.onnx"]
    detector = OnnxDetector(file)
    assert detector.classes == ["a", "b", "c", "d"]
    scenes = VOCDataset(find_data("tabletop"), "test", first=4)
    images = [scenes[i][0] for i in range(4)]
    model.min_score = detector.min_score = 0.0
    model.nms_iou = detector.nms_iou = 1.0  # copies would stay
    for ours, theirs in zip(model(images), detector(images)):
        assert len(ours["boxes"]) > 10
        assert_same(ours, theirs)


@pytest.fixture(scope="module")
def photo_detector(tmp_path_factory):
    """The shipped detector, its ONNX file, three photographs."""
    model, classes = load_detector("voc2007")
    file = tmp_path_factory.mktemp("onnx") / "voc2007.onnx"
    export_onnx(model, file, classes)
    pictures = [getattr(skimage.data, n)() for n in ("coffee", "chelsea", "astronaut")]
    images = [torch.from_numpy(p).permute(2, 0, 1) / 255 for p in pictures]
    return model, file, images


@pytest.mark.parametrize("limit", TENTHS)
def test_onnx_at_every_limit(photo_detector, monkeypatch, limit):
    # pitfall: boxes: IoU equal to the threshold
    model, file, images = photo_detector
    for min_score, nms_iou in (0.02, limit), (limit, model.nms_iou):
        monkeypatch.setattr(model, "min_score", min_score)
        monkeypatch.setattr(model, "nms_iou", nms_iou)
        detector = OnnxDetector(file, min_score, nms_iou)
        for ours, theirs in zip(model(images), detector(images)):
            assert_same(ours, theirs)


@pytest.mark.parametrize("limit", TENTHS)
def test_nms_of_the_proposals_in_the_file(photo_detector, monkeypatch, tmp_path, limit):
    model, file, images = photo_detector
    graph = onnx.load(file)
    (node,) = [n for n in graph.graph.node if n.op_type == "NonMaxSuppression"]
    (given,) = [v for v in graph.graph.initializer if v.name == node.input[3]]
    assert onnx.numpy_helper.to_array(given) == torch.tensor(model.rpn.nms_iou).numpy()
    other = torch.tensor(limit).reshape(tuple(given.dims)).numpy()
    given.CopyFrom(onnx.numpy_helper.from_array(other, given.name))
    onnx.save(graph, tmp_path / "other.onnx")
    monkeypatch.setattr(model.rpn, "nms_iou", limit)
    detector = OnnxDetector(tmp_path / "other.onnx")
    assert (detector.min_score, detector.nms_iou) == (model.min_score, model.nms_iou)
    for ours, theirs in zip(model(images), detector(images)):
        assert_same(ours, theirs)


class Suppress(nn.Module):
    def forward(self, boxes, scores):
        return tuple(ops.nms(boxes, scores, limit) for limit in TENTHS)


def test_nms_of_a_graph_is_ours(tmp_path):
    # pitfall: boxes: IoU equal to the threshold
    generator, ties = torch.Generator().manual_seed(0), 0
    example = torch.rand(40, 4), torch.rand(40)
    program = torch.onnx.export(
        Suppress().eval(),
        example,
        dynamo=True,
        verbose=False,
        input_names=["boxes", "scores"],
    )
    program.save(tmp_path / "nms.onnx")
    session = onnxruntime.InferenceSession(
        tmp_path / "nms.onnx", providers=["CPUExecutionProvider"]
    )
    for _ in range(100):
        corner = torch.randint(0, 4, (40, 2), generator=generator)
        size = torch.randint(1, 11, (40, 2), generator=generator)
        many = torch.cat([corner, corner + size], 1).float()
        scores = torch.randint(0, 20, (40,), generator=generator) / 20
        given = {"boxes": many.numpy(), "scores": scores.numpy()}
        overlap = box_iou(many, many)
        for limit, keep in zip(TENTHS, session.run(None, given)):
            ties += int((overlap == limit).sum())
            assert keep.tolist() == nms(many, scores, limit).tolist(), limit
    assert ties > 1000, "pairs whose IoU is the threshold"


def test_limits_and_files_of_an_onnx_detector(photo_detector, tmp_path):
    _, file, _ = photo_detector
    for limits in {"min_score": 1.5}, {"nms_iou": -0.1}, {"min_score": float("nan")}:
        with pytest.raises(ValueError, match=r"= .*: give a number in 0\.\.1"):
            OnnxDetector(file, **limits)
    graph = onnx.load(file)
    del graph.metadata_props[:]
    onnx.save(graph, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match=r"other\.onnx: no file of export_onnx"):
        OnnxDetector(tmp_path / "other.onnx")
