#!/usr/bin/env bash
# minari 0.5.4: 'a/random-v0' is called malformed, by a message whose form it has.
#
# Expected: a namespace of one letter, as a data set's name of one letter is taken.
# Seen:     ValueError "Malformed dataset ID: a/random-v0. (IDs must be of the form (namespace/)(dataset_name)-v(version). The namespace
#           is optional.)"; 'ab/random-v0' and 'a-v0' are taken. The pattern of a namespace has a first and a last letter, which
#           must be two.
# Mend:     namespaces of two letters at least.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "minari[hdf5]==0.5.4"
cd "$folder"
MINARI_DATASETS_PATH="$folder/data" "$folder/venv/bin/python" -W ignore - <<'PY'
from minari.dataset.minari_dataset import parse_dataset_id

for name in ("ab/random-v0", "a-v0", "a/random-v0"):
    try:
        print(name, parse_dataset_id(name))
    except ValueError as error:
        print(name, error)
PY
