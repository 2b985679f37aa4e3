"""Tensors in, tensors out, on any device: boxes, NMS, anchors, matching, RoI layers."""
