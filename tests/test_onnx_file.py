"""The ONNX file says what the network says."""

import torch

from course_utils import onnx_file, photos
from course_utils.backbone import imagenet_trunk
from course_utils.data import VOCDataset, find_data


def test_onnx_answers_as_torch_does(tmp_path):
    torch.manual_seed(0)
    model = photos.PhotoFasterRCNN(imagenet_trunk(), 5, channels=32, hidden=32).eval()
    with torch.no_grad():  # larger numbers, so that boxes and classes differ
        for part in model.head.scores, model.head.deltas, model.rpn.head.deltas:
            part.weight.mul_(20)
    file = tmp_path / "mine.onnx"
    onnx_file.export_onnx(model, file, ["a", "b", "c", "d"])
    assert [p.name for p in tmp_path.iterdir()] == ["mine.onnx"]
    detector = onnx_file.OnnxDetector(file)
    assert detector.classes == ["a", "b", "c", "d"]
    scenes = VOCDataset(find_data("tabletop"), "test", first=4)
    images = [scenes[i][0] for i in range(4)]
    for ours, theirs in zip(model(images), detector(images)):
        assert len(ours["boxes"]) > 10
        assert ours["labels"].tolist() == theirs["labels"].tolist()
        assert (ours["scores"] - theirs["scores"]).abs().max() < 1e-3
        assert (ours["boxes"] - theirs["boxes"]).abs().max() < 1e-3
