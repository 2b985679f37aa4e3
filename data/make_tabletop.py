"""Render the "tabletop" data set: household objects on a table, path traced.

    pip install -e ".[data]"                       # in the repository: adds mitsuba
    python data/make_tabletop.py                   # everything, ~20 min on 2 cores
    python data/make_tabletop.py --out DIR --split test --count 5 --jobs 2

A scene is a function of (seed, split, index) only, so any one picture can be made
again alone. A scene that is already complete on disk is skipped, so an interrupted
run goes on where it stopped. Layout and numbers of the data set: data/README.md; how
its pictures are made: the package tabletop_maker, beside this file.
"""

import argparse
import functools
import multiprocessing
import os
from pathlib import Path

from tabletop_maker.files import write_scene, write_split, write_text
from tabletop_maker.layout import CLASSES, SEED, SPLITS
from tabletop_maker.rendering import load_mitsuba
from tqdm import tqdm


def main():
    parser = argparse.ArgumentParser(description="Render the tabletop data set.")
    here = Path(__file__).resolve().parent
    parser.add_argument("--out", type=Path, default=here / "tabletop")
    parser.add_argument("--split", choices=list(SPLITS), help="default: all")
    parser.add_argument("--count", type=int, help="scenes; default: the whole split")
    parser.add_argument("--start", type=int, default=0, help="first index")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    if min(args.start, args.seed, args.count or 0, args.jobs - 1) < 0:
        parser.error("--start, --seed and --count are at least 0, --jobs at least 1")
    load_mitsuba()
    write_text(args.out / "classes.txt", "".join(f"{name}\n" for name in CLASSES))
    how = {"seed": args.seed, "overwrite": args.overwrite}
    for split in [args.split] if args.split else SPLITS:
        count = SPLITS[split] if args.count is None else args.count
        write = functools.partial(write_scene, args.out, split, **how)
        with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
            scenes = pool.imap_unordered(write, range(args.start, args.start + count))
            for _ in tqdm(scenes, total=count, desc=split):
                pass
        write_split(args.out, split)


if __name__ == "__main__":
    main()
