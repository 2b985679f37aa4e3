"""Divide pictures into train, val and test so that what belongs together stays so."""

import random

SPLITS = ("train", "val", "test")


def group_places(keys, twins=()):
    """Lists of places that may not be parted: equal keys, and groups of twins.

    keys: one for each picture, None for a picture that stands alone. twins: lists of
    places, see `twins.find_twins`. Chains count: a with b and b with c is one group.
    """
    root = list(range(len(keys)))

    def find(i):
        while root[i] != i:
            i = root[i]
        return i

    first = {}
    for i, key in enumerate(keys):
        if key is not None:
            root[find(i)] = find(first.setdefault(key, i))
    for group in twins:
        for i in group[1:]:
            root[find(i)] = find(group[0])
    groups = {}
    for i in range(len(keys)):
        groups.setdefault(find(i), []).append(i)
    return list(groups.values())


def divide_groups(groups, split, seed):
    """{"train": places, "val": places, "test": places}, drawn at random, each sorted.

    groups: lists of places; a group is never parted, so the parts are as near to
    `split` as the groups allow. With three groups or more, a part above 0 gets one at
    least. Larger groups are placed first, each where most is missing.
    """
    groups = list(groups)
    random.Random(seed).shuffle(groups)
    groups.sort(key=len, reverse=True)  # stable: still at random among equals
    wanted = part_sizes(sum(map(len, groups)), split)
    parts = {part: [] for part in SPLITS}

    def missing(part):
        return wanted[part] - len(parts[part])

    for n, group in enumerate(groups):
        bare = [part for part in SPLITS if wanted[part] and not parts[part]]
        if len(group) == 1 and len(bare) < len(groups) - n:  # the rest is as asked
            part = next((part for part in SPLITS if missing(part) > 0), SPLITS[0])
        else:
            choice = bare if bare and len(bare) >= len(groups) - n else SPLITS
            part = max(choice, key=missing)
        parts[part] += group
    return {part: sorted(places) for part, places in parts.items()}


def part_sizes(count, split):
    """{"train": n, "val": n, "test": n} of `count`; a part above 0 gets one."""
    sizes = [round(part * count) for part in split]
    sizes = [max(size, part > 0) for size, part in zip(sizes, split)]
    while sum(sizes) != count:
        largest = max(range(3), key=lambda i: (sizes[i], i))
        sizes[largest] += 1 if sum(sizes) < count else -1
    return dict(zip(SPLITS, sizes))


def kept_splits(records, groups):
    """The splits that records carry, as `divide_groups` gives them; or ValueError."""
    parts = {part: [] for part in SPLITS}
    for i, record in enumerate(records):
        if record.get("split") not in parts:
            raise ValueError(
                f"{record['file']}: it is in none of train, val, test; put it into a"
                " folder of one of them, or pass split=(0.7, 0.15, 0.15)"
            )
        parts[record["split"]].append(i)
    for group in groups:
        first = records[group[0]]
        for record in (records[i] for i in group):
            if record["split"] != first["split"]:
                raise ValueError(
                    f"{first['file']} ({first['split']}) and {record['file']}"
                    f" ({record['split']}) belong together but are in two splits; take"
                    " one out, or pass split=(0.7, 0.15, 0.15)"
                )
    return parts
