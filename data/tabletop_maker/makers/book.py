"""Books: two boards, a spine and the sheets between."""

import numpy as np

from ..draws import contrast_color, draw_rgb, object_color, object_gloss
from ..mesh import atlas, rounded_box
from ..textures import label, mix, noise

CELL = (144, 108)  # texels of a side


def make_book(rng):
    """Parts of a book, lying with its spine at -x; no profile."""
    w, h = rng.uniform(0.105, 0.16), rng.uniform(0.155, 0.22)
    thick = rng.uniform(0.014, 0.045)
    hard = rng.random() < 0.65
    board, lip = (0.0026, 0.0035) if hard else (0.0009, 0.0002)
    edge = 0.001 if hard else 0.0004
    front, back, flat, spine = cover(rng)
    gloss = object_gloss(rng)
    level = (thick - board) / 2
    top, bottom = atlas([flat] * 4 + [front, flat]), atlas([flat] * 5 + [back])
    side = atlas([flat, spine] + [flat] * 4)
    parts = [
        rounded_box((w, h, board), edge, (0, 0, level), top, gloss),
        rounded_box((w, h, board), edge, (0, 0, -level), bottom, gloss),
        rounded_box((board * 1.5, h, thick), edge * 1.5, (-w / 2, 0, 0), side, gloss),
    ]
    paper = draw_rgb(rng, 0.11, (0.03, 0.3), (0.72, 0.95))
    sheets = mix(paper, paper * 0.72, noise(rng, CELL, (60, 2), 1))
    size = (w - lip, h - 2 * lip, thick - 2 * board + 0.0002)
    middle = (-lip / 2, 0, 0)
    parts.append(rounded_box(size, 0.0004, middle, atlas([sheets] * 6), "matte"))
    return parts, None


def cover(rng):
    """Textures of front, back, their rims and the spine, each of CELL texels."""
    a = object_color(rng)
    b = contrast_color(rng, a)
    spine_color = a if rng.random() < 0.7 else b
    front = label(rng, CELL, a, b)
    flat = np.broadcast_to(a, (*CELL, 3))
    back = flat if rng.random() < 0.5 else label(rng, CELL, a, contrast_color(rng, a))
    spine = np.broadcast_to(spine_color, (*CELL, 3)).copy()
    if rng.random() < 0.7:  # title and bands on the spine
        ink = contrast_color(rng, spine_color)
        n = int(CELL[1] * rng.uniform(0.3, 0.5))
        spine[40:104, n : n + int(CELL[1] * 0.35)] = ink
        spine[:, 10:16] = spine[:, -16:-10] = ink
    return front[::-1], back[::-1], flat, spine
