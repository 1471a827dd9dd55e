#!/bin/sh
# Make .venv with everything in it; `make` calls this when pyproject.toml or constraints.txt
# is newer than the last installation. Needs Python >= 3.11, nothing else.
# ./install.sh [EXTRAS]: of pyproject.toml, comma-separated (default: dev).
set -eu
cd "$(dirname "$0")"
venv=.venv
extras=${1:-dev}

pick_python() { # 3.11 first: the constraints were tested on it
    for name in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "install: no Python >= 3.11 on PATH; install one, or name it: make PYTHON=/path/to/python3.11" >&2
    return 2
}

say() {
    echo "install: $*"
}

beat() { # how far it is, every four seconds: to look at the folder takes one, too
    begun=$(date +%s)
    while sleep 4 >/dev/null 2>&1; do
        say "$(($(date +%s) - begun)) s, $(du -sm "$venv" 2>/dev/null | cut -f1) MB in $venv so far"
    done
}

python=$(pick_python)
beat &
trap "kill $! 2>/dev/null" EXIT
trap 'exit 130' INT TERM

if ! "$venv/bin/python" -c '' 2>/dev/null; then
    say "1 of 4: $venv, a virtual environment by $python ($("$python" --version))"
    rm -rf "$venv"
    "$python" -m venv "$venv" || {
        echo "install: $python cannot make a virtual environment; on Debian: apt install python3-venv" >&2
        exit 2
    }
fi

# A folder of wheels (say, a CPU build of torch) may be named in PIP_FIND_LINKS, as for pip.
links=
[ -d "${PIP_FIND_LINKS:-}" ] && links="--find-links $PIP_FIND_LINKS"
say "2 of 4: uv, which installs the rest (20 MB)"
uv=$venv/bin/uv
"$venv/bin/pip" install --quiet --disable-pip-version-check uv >/dev/null 2>&1 || uv=
say "3 of 4: torch, Ray, MLflow and what they need: 2.5 GB on the disk, more with CUDA builds of torch; one to a few minutes"
if [ -n "$uv" ]; then
    "$uv" pip install --quiet --python "$venv/bin/python" $links -c constraints.txt -e ".[$extras]"
else
    "$venv/bin/pip" install --quiet --disable-pip-version-check $links -c constraints.txt -e ".[$extras]"
fi
# Without it, every start would pay ten seconds where Python may not write .pyc.
say "4 of 4: all of it compiled to bytecode, once, so that every start is quick"
"$venv/bin/python" -m compileall -q -j 0 "$venv"/lib/python*/site-packages >/dev/null 2>&1 || true
touch "$venv/.installed"
say "done"
