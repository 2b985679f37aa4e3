#!/usr/bin/env bash
# numba undoes torch.set_num_threads(1), and OMP_NUM_THREADS=1, in the same process.
#
# Guess: each library keeps its own number of threads; each loads a libgomp file of its own.
# Seen: once torch has computed or was asked for its number, the first call of any numba
#   function with parallel=True (OpenMP layer, so the system needs libgomp; Linux wheels)
#   sets torch back to all cores. Setting it again after that call holds.
# Matters: box code in numba beside a torch detector is common. Workers of a data loader,
#   jobs under a CPU quota and timings "on one core" run on all of them again and slow
#   each other down, from the first box operation on, not from the start.
# Versions: torch 2.13.0, numba 0.68.1, Python 3.11, Linux. 28 November 2026.
set -euo pipefail
if [ "$(nproc)" -lt 2 ]; then
    echo "note: one core only, nothing to see here"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq torch==2.13.0 numba==0.68.1
cat >see.py <<'PY'
import os
import sys

import numba
import numpy as np
import torch

if "set" in sys.argv:
    torch.set_num_threads(1)
before = torch.get_num_threads()


@numba.njit(parallel=True)
def areas(boxes):
    out = np.empty(len(boxes))
    for i in numba.prange(len(boxes)):
        out[i] = (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
    return out


areas(np.ones((8, 4)))
after = torch.get_num_threads()
torch.set_num_threads(1)
areas(np.ones((8, 4)))
again = torch.get_num_threads()
print(f"torch {torch.__version__} numba {numba.__version__} {numba.threading_layer()}")
asked = "set_num_threads(1)" if "set" in sys.argv else "OMP_NUM_THREADS=1"
print(f"{asked}: torch has {before} thread, after numba {after}, set once more {again}")
assert before == 1 and after == numba.config.NUMBA_NUM_THREADS > 1 and again == 1
PY
export NUMBA_THREADING_LAYER=omp
env -u OMP_NUM_THREADS env/bin/python see.py set
NUMBA_NUM_THREADS=$(nproc) OMP_NUM_THREADS=1 env/bin/python see.py
