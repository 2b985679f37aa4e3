"""The same picture in two files: equal bytes, or equal pixels, whatever the format."""

from collections import defaultdict

import torch

from course_utils.data.images import look_at, read_pixels


def find_twins(records, pictures=None):
    """Groups of equal pictures among `records`, as lists of two or more places.

    pictures: the `frame.Picture` of each, unpacked, None for one to pass over; by
    default all are read. Pictures whose 16 x 16 sample is equal are compared pixel by
    pixel. Lesson 13.
    """
    if pictures is None:
        pictures = [look_at(record["file"], decode=True) for record in records]
    alike, groups = defaultdict(list), []
    for i, picture in enumerate(pictures):
        if picture:
            alike[picture.upright, picture.sample].append(i)
    for rest in alike.values():
        while len(rest) > 1:
            first = read_pixels(records[rest[0]]["file"])
            same = {rest[0]: True}
            for i in rest[1:]:
                same[i] = torch.equal(first, read_pixels(records[i]["file"]))
            group = [i for i in rest if same[i]]
            rest = [i for i in rest if not same[i]]
            groups += [group] if len(group) > 1 else []
    return sorted(groups)
