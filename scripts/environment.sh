# Sourced by the other scripts: makes the environment .venv, or brings it up to date. Says what it does on standard error.
# Usage: environment EXTRAS

environment() {
    local extras=$1 venv=.venv python want
    # One at a time: whoever comes second waits and finds it made.
    exec 9<pyproject.toml
    flock 9
    want="$(sha256sum pyproject.toml | cut -d' ' -f1)"
    # The stamp is written last: without it the environment was never whole.
    if [ -x "$venv/bin/python" ] && grep -qsx "$extras $want" "$venv/stamp"; then
        flock -u 9
        exec 9>&-
        return
    fi
    python="$(find_python)" || exit 2
    # Whoever was killed while installing may have left half a package, which pip would take for a whole one.
    if [ -e "$venv/installing" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        echo "making the environment $venv with $("$python" --version)" >&2
        rm -rf "$venv"
        "$python" -m venv "$venv" || { echo "error: cannot make $venv: install Python's venv module" >&2; exit 2; }
    fi
    echo "installing rl_jax[$extras] into $venv (minutes the first time)" >&2
    # What another script installed for these requirements stays good.
    grep -sx ".* $want" "$venv/stamp" >"$venv/stamp.part"
    rm -f "$venv/stamp"
    touch "$venv/installing"
    if ! "$venv/bin/python" -m pip install -qq --disable-pip-version-check --root-user-action=ignore -e ".[$extras]" >&2; then
        rm -f "$venv/installing"
        echo "error: the installation failed, see above; start again to continue it" >&2
        exit 2
    fi
    echo "$extras $want" >>"$venv/stamp.part"
    mv "$venv/stamp.part" "$venv/stamp"
    rm -f "$venv/installing"
    flock -u 9
    exec 9>&-
}

find_python() {
    local name
    for name in python3.11 python3.12 python3; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
    done
    echo "error: rl_jax needs Python 3.11 or 3.12, and none is on the PATH: install one, such as python3.11" >&2
    return 1
}
