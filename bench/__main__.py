"""Our functions against the libraries', side by side in one process: `make bench`.

    python -m bench                       all rows of ours against a library's
    python -m bench proposals             recall and MABO of selective search, 10 min
    python -m bench faster                train Faster R-CNN, ours and torchvision's
    python -m bench localizer             lesson 02's training with three seeds, 6 min
    python -m bench training              how good ours is after its first minutes
    python -m bench roi                   RoI pooling against RoIAlign in one detector
    python -m bench held_out              an RPN that is never told of one class, 3 min
    python -m bench ablations             Faster R-CNN, one change at a time, 8 min
    python -m bench sliders [LESSON ...]  how soon the explorers react
    python -m bench threads [ROUNDS]      what idle threads cost

Each row is the median of several pairs of calls, ours and the reference in turn, so
that both meet the same machine. A ratio below 1 means that ours is faster.
"""

import importlib
import sys

JOBS = {
    "rows": "rows.main",
    "proposals": "proposals.proposal_table",
    "faster": "training.bench_faster",
    "localizer": "localizer.bench_localizer",
    "training": "training.bench_training",
    "roi": "roi_layer.bench_roi_layer",
    "held_out": "held_out.bench_held_out",
    "ablations": "ablations.bench_ablations",
    "sliders": "sliders.bench_sliders",
    "threads": "threads.main",
}


def main(name="rows", *arguments):
    if name not in JOBS:
        sys.exit(__doc__)
    module, function = JOBS[name].split(".")
    getattr(importlib.import_module(f"bench.{module}"), function)(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
