#!/usr/bin/env bash
# Have every label tool write the small set again, and read what the course writes.
#
#   tests/data/label_tools/make.sh             all tools (minutes, 2 GB in a temporary folder)
#   tests/data/label_tools/make.sh globox ...  some of them
#
# Needs the network and the course's Python (PYTHON, by default .venv/bin/python). Not
# part of the tests: they read the files that this left here. One environment a tool,
# since some bring a second OpenCV wheel. KEEP=folder keeps the environments there.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
course=${PYTHON:-$root/.venv/bin/python}
work=${KEEP:-$(mktemp -d)}
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"

# tool, its version, what pip installs (pylabel's own readers fail with pandas 3)
tools="
pascal_voc_writer 0.1.4   pascal_voc_writer==0.1.4
supervision       0.31.2  supervision==0.31.2
globox            2.9.0   globox==2.9.0
labelformat       0.1.17  labelformat==0.1.17
datumaro          1.13.12 datumaro==1.13.12
label_studio_sdk  2.1.2   label-studio-sdk==2.1.2
labelImg          1.8.6   labelImg==1.8.6
pylabel           0.1.55  pylabel==0.1.55,pandas==2.3.3
"

wanted() { [ ${#asked[@]} -eq 0 ] || [[ " ${asked[*]} " == *" $1 "* ]]; }
asked=("$@")

PYTHONPATH=$root "$course" "$here/make_pictures.py"
rm -rf "$work/course" && PYTHONPATH=$root "$course" "$here/round_trip.py" write "$work/course"

while read -r tool version packages; do
    [ -n "$tool" ] && wanted "$tool" || continue
    python=$work/$tool/bin/python
    if [ ! -e "$work/$tool/installed" ]; then
        python3 -m venv "$work/$tool"
        # shellcheck disable=SC2086
        "$python" -m pip install -q --disable-pip-version-check ${packages//,/ }
        touch "$work/$tool/installed"
    fi

    echo "== $tool $version writes the small set"
    out=$work/written/$tool
    rm -rf "$out"
    "$python" -W ignore "$here/with_$tool.py" write "$out" >"$work/$tool.log" 2>&1 ||
        { cat "$work/$tool.log"; exit 1; }
    # Pictures are kept once, in pictures/; folders and dates of this run are taken out.
    find "$out" -name '*.jpg' -delete
    find "$out" -type d -empty -delete
    find "$out" -type f -exec sed -i -E \
        -e "s#$here/##" \
        -e 's#("date_captured": ")[^"]+#\101/01/2026,00:00:00#' \
        -e 's#("date_created": ")[0-9][^"]+#\12026-01-01 00:00:00#' \
        -e 's#("year": )[0-9]+#\12026#' {} +
    rm -rf "${here:?}/$tool-$version"
    mv "$out" "$here/$tool-$version"

    echo "== course -> $tool -> course"
    for form in voc0 voc1 coco yolo; do
        again=$work/again/$tool/$form
        rm -rf "$again"
        if "$python" -W ignore "$here/with_$tool.py" again "$work/course/$form" "$again" \
            >"$work/$tool-$form.log" 2>&1; then
            PYTHONPATH=$root "$course" "$here/round_trip.py" compare "$again"
        else
            echo "$tool $form: $(tail -n 1 "$work/$tool-$form.log")"
        fi
    done
done <<<"$tools"
