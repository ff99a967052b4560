#!/usr/bin/env bash
# minari 0.5.4: the extra hdf5, which is for reading and writing HDF5, does not bring Pillow, without which it can do neither.
#
# Expected: pip install "minari[hdf5]" is enough to read a data set in Minari's default format.
# Seen:     ModuleNotFoundError: No module named 'PIL', from the import of its HDF5 storage; Pillow comes with no extra but others' needs.
# Mend:     install pillow as well; rl_jax has it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "minari[hdf5]==0.5.4"
cd "$folder"
for step in without with; do
  [ "$step" = with ] && "$folder/venv/bin/pip" install -q --disable-pip-version-check pillow
  "$folder/venv/bin/python" -W ignore -c "
try:
    import minari.dataset._storages.hdf5_storage
    print('$step pillow: imported')
except ModuleNotFoundError as error:
    print('$step pillow:', error)"
done
