#!/usr/bin/env bash
# NMS at an IoU that equals the threshold: torchvision, onnxruntime and OpenCV disagree.
#
# Guess: the documents say "greater than", so a box whose IoU is exactly the threshold stays.
# Seen: torchvision on the CPU compares a float32 IoU with a float64 threshold and drops the
#   box at .1 .2 .3 .4 .6 .8, keeps it at .5 .7 .9; OpenCV drops it at .1; onnxruntime never.
# Matters: IoUs of whole-number boxes are often exactly .6 or .3. A detector exported to ONNX
#   then returns other boxes than the one in torch, and the search for the export's fault
#   starts at the wrong end.
# Versions: torchvision 0.29.1, torch 2.14.1 (CPU), onnxruntime 1.32.0, onnx 1.23.2,
#   opencv-python-headless 5.0.0.93, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq torch==2.14.1 torchvision==0.29.1 onnxruntime==1.32.0 onnx==1.23.2 \
    opencv-python-headless==5.0.0.93
env/bin/python -W ignore - <<'PY'
import cv2
import numpy as np
import onnxruntime
import torch
import torchvision
from onnx import TensorProto, helper

KINDS = {
    "boxes": (TensorProto.FLOAT, [1, 2, 4]),
    "scores": (TensorProto.FLOAT, [1, 1, 2]),
    "most": (TensorProto.INT64, [1]),
    "threshold": (TensorProto.FLOAT, [1]),
}
graph = helper.make_graph(
    [helper.make_node("NonMaxSuppression", list(KINDS), ["kept"])],
    "nms",
    [helper.make_tensor_value_info(name, *kind) for name, kind in KINDS.items()],
    [helper.make_tensor_value_info("kept", TensorProto.INT64, [None, 3])],
)
opset = [helper.make_opsetid("", 13)]
model = helper.make_model(graph, opset_imports=opset, ir_version=9)
onnx_nms = onnxruntime.InferenceSession(model.SerializeToString())

print(f"torchvision {torchvision.__version__} torch {torch.__version__}", end=" ")
print(f"onnxruntime {onnxruntime.__version__} OpenCV {cv2.__version__}")
scores = np.array([0.9, 0.8], np.float32)
dropped = {"torchvision": [], "onnxruntime": [], "OpenCV": []}
for tenths in range(1, 10):  # (0, 0, 10, 10) and (0, 0, 10, k): IoU k / 10
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, tenths]], np.float32)
    threshold = tenths / 10
    feed = {"boxes": boxes[None], "scores": scores[None, None], "most": np.array([9])}
    feed["threshold"] = np.array([threshold], np.float32)
    kept = {
        "torchvision": torchvision.ops.nms(
            torch.tensor(boxes), torch.tensor(scores), threshold
        ),
        "onnxruntime": onnx_nms.run(None, feed)[0],
        "OpenCV": cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, threshold),
    }
    for tool, indices in kept.items():
        if len(indices) == 1:
            dropped[tool].append(threshold)
for tool, thresholds in dropped.items():
    print(f"{tool} drops a box with IoU = threshold at {thresholds or 'none'}")
assert dropped["torchvision"] == [0.1, 0.2, 0.3, 0.4, 0.6, 0.8]
assert dropped["onnxruntime"] == [] and dropped["OpenCV"] == [0.1]
PY
