"""Segmentation, grouping and selective search."""
