"""Helpers of the object detection course: what the lessons built, ready to use.

Conventions, used in every module:

- Boxes are ``x1, y1, x2, y2``, float32, in pixels of the image as loaded, half-open:
  the width is ``x2 - x1``, with no ``+ 1``.
- A VOC XML file counts from 1 and includes the last pixel, so ``x1 = xmin - 1``,
  ``y1 = ymin - 1``, ``x2 = xmax``, ``y2 = ymax``, clamped at 0.
- Labels run from 1 to K; 0 is background; -1 means ignore.
- Aspect ratio is height / width.
- NMS suppresses at an IoU strictly greater than the threshold, both in float32; among
  equal scores the lowest index comes first.
- Letters in shape comments: B images, N boxes, R regions, A anchors of a cell, M all
  anchors of an image, G ground-truth boxes, K classes, C channels, H and W cells or
  pixels, P the pooled side.

Rooms, each importing only from itself and those before it: `core`, `ops`, `data`,
`proposals`, `models`, `training`, `evaluation`, `lessons`; `detect` and `grade` are
command lines.
"""

from course_utils.core.threads import fit_threads

fit_threads()  # here, because OpenMP asks the environment when torch is loaded
