"""Which pixel sees which object; masks, boxes and flags from that."""

import cv2
import numpy as np

from .camera import HEIGHT, WIDTH, project
from .mesh import all_vertices
from .poses import build, position_of

SUPER = 4  # mask samples per pixel side: 4 x 4 samples vote


def depth_map(points, inverse, faces):
    """Nearest 1/depth of a mesh at the centres of the pixels that it covers.

    points (n, 2) are pixel coordinates, inverse (n,) the 1/depth of the vertices.
    Returns x0, y0 and an array (rows, cols), 0 where the mesh is not seen.
    """
    origin = np.floor(points.min(0)).astype(int)
    w, h = np.ceil(points.max(0)).astype(int) - origin + 1
    out = np.zeros(w * h)
    p, q = (points - origin)[faces], inverse[faces]
    a, b, c = p[:, 0], p[:, 1], p[:, 2]
    (bx, by), (cx, cy) = (b - a).T, (c - a).T
    area = bx * cy - by * cx
    low = np.ceil(p.min(1) - 0.5).astype(int)
    n = np.maximum(np.floor(p.max(1) - 0.5).astype(int) - low + 1, 0)
    count = n.prod(1) * (np.abs(area) > 1e-12)
    area = np.where(count, area, 1)
    # One row per (triangle, pixel of its bounding box).
    t = np.repeat(np.arange(len(faces)), count)
    k = np.arange(len(t)) - np.repeat(np.cumsum(count) - count, count)
    ix, iy = low[t, 0] + k % n[t, 0], low[t, 1] + k // n[t, 0]
    x, y = ix + 0.5, iy + 0.5
    e, f = (c - b) / area[:, None], (a - c) / area[:, None]
    wa = e[t, 0] * (y - b[t, 1]) - e[t, 1] * (x - b[t, 0])
    wb = f[t, 0] * (y - c[t, 1]) - f[t, 1] * (x - c[t, 0])
    wc = 1 - wa - wb
    inside = (wa >= -1e-9) & (wb >= -1e-9) & (wc >= -1e-9)
    value = wa * q[t, 0] + wb * q[t, 1] + wc * q[t, 2]
    np.maximum.at(out, (iy * w + ix)[inside], value[inside])
    return origin[0], origin[1], out.reshape(h, w)


def visibility(scene, scale):
    """Which object each sample sees, with scale x scale samples per pixel.

    Returns the index image (HEIGHT * scale, WIDTH * scale), 0 = no object, and for
    each object its areas in pixels: "full" (alone, canvas without borders), "inside"
    (alone, within the image) and "visible".
    """
    shape = (HEIGHT * scale, WIDTH * scale)
    nearest, index = np.zeros(shape), np.zeros(shape, np.uint8)
    areas = []
    for k, item in enumerate(scene["objects"], 1):
        parts, _ = build(item)
        start = np.cumsum([0] + [len(p.vertices) for p in parts])
        faces = np.concatenate([p.faces + s for p, s in zip(parts, start)])
        px, depth = project(all_vertices(parts) + position_of(item), scene["camera"])
        x, y, z = depth_map(px * scale, 1 / depth, faces)
        full = np.count_nonzero(z)
        rows = slice(max(0, y), min(shape[0], y + z.shape[0]))
        cols = slice(max(0, x), min(shape[1], x + z.shape[1]))
        z = z[rows.start - y : rows.stop - y, cols.start - x : cols.stop - x]
        areas.append({"full": full, "inside": np.count_nonzero(z)})
        front = z > nearest[rows, cols]
        nearest[rows, cols][front] = z[front]
        index[rows, cols][front] = k
    for k, area in enumerate(areas, 1):
        area["visible"] = np.count_nonzero(index == k)
    return index, [{k: n / scale**2 for k, n in area.items()} for area in areas]


def instance_mask(scene):
    """Mask (HEIGHT, WIDTH) of object numbers by majority, and the objects' records.

    A record has the "name", the half-open "box" x1, y1, x2, y2 and the flags
    "truncated", "occluded" and "difficult". Raises RuntimeError if an object has fewer
    than 20 pixels.
    """
    index, areas = visibility(scene, SUPER)
    blocks = index.reshape(HEIGHT, SUPER, WIDTH, SUPER)
    votes = np.stack([(blocks == k).sum((1, 3)) for k in range(len(areas) + 1)])
    mask = votes.argmax(0).astype(np.uint8)
    objects = []
    for k, (item, area) in enumerate(zip(scene["objects"], areas), 1):
        pixels = np.count_nonzero(mask == k)
        if pixels < 20:
            raise RuntimeError(f"hidden object in {scene['split']} {scene['index']}")
        x, y, w, h = cv2.boundingRect((mask == k).astype(np.uint8))
        seen, inside, full = area["visible"], area["inside"], area["full"]
        objects.append(
            {
                "name": item["name"],
                "truncated": int(inside < 0.99 * full),
                "occluded": int(seen < 0.99 * inside),
                "difficult": int(seen < 0.25 * full or pixels < 60),
                "box": [x, y, x + w, y + h],
            }
        )
    return mask, objects
