"""Meshes: parts of objects, most of them from a grid of points."""

from typing import NamedTuple

import numpy as np


class Part(NamedTuple):
    """A mesh of one texture and one gloss."""

    vertices: np.ndarray  # (n, 3) in metres
    faces: np.ndarray  # (m, 3) numbers of vertices
    uv: np.ndarray  # (n, 2) places in the texture, 0..1
    texture: np.ndarray  # (rows, cols, 3) sRGB in 0..1
    gloss: str  # "matte", "satin", "plastic" or "metal"
    upright_only: bool = False  # a liquid: not there once the object is tilted


def all_vertices(parts):
    """The vertices of some parts together, (n, 3)."""
    return np.concatenate([p.vertices for p in parts])


def unit(vectors):
    """Vectors (..., d) scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def rotation(axis, angle):
    """3 x 3 matrix of a turn by `angle` radians about coordinate axis 0, 1 or 2."""
    c, s = np.cos(angle), np.sin(angle)
    m = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    m[i, i], m[i, j], m[j, i], m[j, j] = c, -s, s, c
    return m


def grid_faces(rows, cols):
    """Two triangles for each cell of a (rows, cols) grid of points."""
    i = np.arange(rows * cols).reshape(rows, cols)
    a, b, c, d = i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]
    return np.stack([(a, b, c), (a, c, d)]).transpose(0, 2, 3, 1).reshape(-1, 3)


def grid_part(points, texture, gloss):
    """Part from a (rows, cols, 3) grid of points; v runs over rows, u over cols."""
    rows, cols = points.shape[:2]
    uv = np.meshgrid(np.linspace(0, 1, cols), row_coordinate(points))
    uv = np.stack(uv, -1).reshape(-1, 2)
    return Part(points.reshape(-1, 3), grid_faces(rows, cols), uv, texture, gloss)


def row_coordinate(points):
    """Arc length over the rows of a grid, 0..1, along its longest column."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=2).max(1)
    s = np.concatenate([[0], np.cumsum(steps)])
    return s / s[-1]


def smooth_profile(radii, heights):
    """Profile (n, 2) of (radius, z), its corners rounded by cutting them (Chaikin)."""
    p = np.stack([radii, heights], 1)
    for _ in range(2):
        q = np.empty((2 * len(p), p.shape[1]))
        q[0], q[-1] = p[0], p[-1]
        q[1:-1:2] = 0.75 * p[:-1] + 0.25 * p[1:]
        q[2::2] = 0.25 * p[:-1] + 0.75 * p[1:]
        p = q
    return p


def revolve(profile, sides=48):
    """Grid of points of the surface that a profile (n, 2) of (radius, z) sweeps."""
    phi = np.linspace(0, 2 * np.pi, sides + 1)
    r, z = profile[:, :1], profile[:, 1:]
    return np.stack([r * np.cos(phi), r * np.sin(phi), z + 0 * phi], -1)


def sweep(path, radius, sides=12, flat=1.0, corners=0.0):
    """Grid of a tube along a path (n, 2) of (x, z), closed at both ends.

    radius (n,) is the tube's; flat widens the section across the plane of the path;
    corners makes it pentagonal.
    """
    tangent = unit(np.gradient(path, axis=0))
    path, tangent = [np.concatenate([a[:1], a, a[-1:]]) for a in (path, tangent)]
    radius = np.concatenate([[1e-5], radius, [1e-5]])
    phi = np.linspace(0, 2 * np.pi, sides + 1)
    r = radius[:, None] * (1 + corners * np.cos(5 * phi))
    out, side = r * np.cos(phi), r * flat * np.sin(phi)
    x, z = path[:, :1] - tangent[:, 1:] * out, path[:, 1:] + tangent[:, :1] * out
    return np.stack([x, side, z], -1)


def rounded_box(size, radius, center, texture, gloss):
    """Box with rounded edges; texture: an atlas of 2 x 3 cells, +x -x +y / -y +z -z."""
    half = np.asarray(size, float) / 2
    radius = min(radius, 0.49 * min(size))
    points, faces, uv = [], [], []
    for k in range(6):
        axis, sign = k // 2, 1 - 2 * (k % 2)
        a, b = [i for i in range(3) if i != axis]
        ticks = []
        for i in (a, b):
            edge = half[i] - radius * np.array([1, 0.7, 0.35, 0])
            inner = np.linspace(-edge[0], edge[0], 6)[1:-1]
            ticks.append(np.concatenate([-edge[::-1], inner, edge]))
        grid_a, grid_b = np.meshgrid(*ticks)
        p = np.empty(grid_a.shape + (3,))
        p[..., a], p[..., b], p[..., axis] = grid_a, grid_b, sign * half[axis]
        core = np.clip(p, radius - half, half - radius)
        d = p - core
        p = core + radius * d / np.linalg.norm(d, axis=-1, keepdims=True)
        points.append(p.reshape(-1, 3))
        f = grid_faces(*grid_a.shape) + k * grid_a.size
        turned_in = (sign > 0) == (axis == 1)
        faces.append(f[:, ::-1] if turned_in else f)
        cell = np.stack([grid_a / half[a], grid_b / half[b]], -1).reshape(-1, 2)
        uv.append((cell * 0.49 + 0.5 + [k % 3, k // 3]) / [3, 2])
    points, faces, uv = map(np.concatenate, (points, faces, uv))
    return Part(points + center, faces, uv, texture, gloss)


def atlas(cells):
    """2 x 3 texture atlas of six images of one shape, for rounded_box."""
    return np.concatenate([np.concatenate(cells[:3], 1), np.concatenate(cells[3:], 1)])


def vertex_normals(vertices, faces):
    """Smooth unit normals (n, 3); vertices at one place (a seam) share theirs."""
    _, same = np.unique(np.round(vertices, 6), axis=0, return_inverse=True)
    same = same.reshape(-1)
    p = vertices[faces]
    n = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
    total = np.zeros((same.max() + 1, 3))
    for corner in faces.T:
        for axis in range(3):
            total[:, axis] += np.bincount(same[corner], n[:, axis], len(total))
    total /= np.linalg.norm(total, axis=1, keepdims=True) + 1e-20
    return total[same]
