#!/usr/bin/env bash
# Does the course run with the lowest versions that requirements.txt allows? Outside CI.
# torch and torchvision are the newest that it allows: their oldest need a Python of
# their time, and take gigabytes.
set -euo pipefail
cd "$(dirname "$0")/.."
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
${PYTHON:-python3} -m venv "$room/venv"
sed -nE '/^(torch|torchvision)>/d; s/^([a-z0-9-]+)>=([0-9.]+),.*/\1==\2.*/p' \
    requirements.txt > "$room/lowest.txt"
"$room/venv/bin/pip" install --quiet -e ".[test]" -c "$room/lowest.txt"
"$room/venv/bin/pip" list
COURSE_OFFLINE=1 "$room/venv/bin/python" -m pytest -p no:cacheprovider \
    -m "not lesson and not browser" "$@"
