"""The camera: from points in metres to pixels, and back to the table.

A camera is a dict: "fov" (across the picture), "azimuth", "elevation" and "roll" in
radians, "distance" from the origin in metres, at which it looks.
"""

import numpy as np

WIDTH, HEIGHT = 240, 180  # of a picture, in pixels


def focal_length(camera):
    """Focal length in pixels."""
    return WIDTH / 2 / np.tan(camera["fov"] / 2)


def camera_frame(camera):
    """Position (3,) and axes (right, down, forward) as rows (3, 3)."""
    e, a = camera["elevation"], camera["azimuth"]
    forward = np.array([-np.sin(a) * np.cos(e), np.cos(a) * np.cos(e), -np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    down = np.cross(forward, right)
    c, s = np.cos(camera["roll"]), np.sin(camera["roll"])
    right, down = c * right + s * down, c * down - s * right
    return -forward * camera["distance"], np.stack([right, down, forward])


def project(points, camera):
    """Pixel coordinates (n, 2) and depth in metres (n,) of points (n, 3)."""
    position, axes = camera_frame(camera)
    x, y, depth = ((points - position) @ axes.T).T
    focal, safe = focal_length(camera), np.maximum(depth, 1e-3)
    x, y = WIDTH / 2 + focal * x / safe, HEIGHT / 2 + focal * y / safe
    return np.stack([x, y], 1), depth


def on_table(pixel, camera):
    """Point of the table (x, y) that a pixel sees, or None above the horizon."""
    position, axes = camera_frame(camera)
    focal = focal_length(camera)
    ray = np.array([(pixel[0] - WIDTH / 2) / focal, (pixel[1] - HEIGHT / 2) / focal, 1])
    ray = ray @ axes
    if ray[2] > -0.03:
        return None
    return (position - ray * position[2] / ray[2])[:2]
