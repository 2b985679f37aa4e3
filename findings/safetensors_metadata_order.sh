#!/usr/bin/env bash
# safetensors: the same weights with the same metadata give files of different bytes.
#
# Guess: tensors are written in a fixed order, so equal content is an equal file; its hash
#   tells whether a checkpoint has changed.
# Seen: with two or more metadata entries their order is drawn anew in each process, and
#   the bytes with it; without metadata, or with one entry, the file is always the same.
# Matters: class names and settings of a detector lie there. A hash of the file as cache
#   key, in a data version tool or in git, sees a new model at each save.
# Versions: safetensors 0.8.0, numpy 2.4.6, Python 3.11. 28 November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq safetensors==0.8.0 numpy==2.4.6
cat >save.py <<'PY'
import hashlib
import sys

import numpy as np
from safetensors.numpy import save

about = {"classes": "cat dog", "sizes": "16 32", "stride": "8"}
about = dict(list(about.items())[: int(sys.argv[1])])
data = save({"weight": np.arange(6.0).reshape(2, 3)}, metadata=about or None)
print(hashlib.sha256(data).hexdigest()[:12])
PY
env/bin/pip list 2>/dev/null | grep -iE "^(safetensors|numpy) "
for entries in 0 1 3; do
    for _ in $(seq 12); do env/bin/python save.py $entries; done | sort -u >"$entries"
    echo "$entries metadata entries: $(wc -l <"$entries") different files of 12"
done
[ "$(wc -l <0)" = 1 ] && [ "$(wc -l <1)" = 1 ] && [ "$(wc -l <3)" -gt 1 ]
