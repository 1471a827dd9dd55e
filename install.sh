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

python=$(pick_python)
if ! "$venv/bin/python" -c '' 2>/dev/null; then
    rm -rf "$venv"
    "$python" -m venv "$venv" || {
        echo "install: $python cannot make a virtual environment; on Debian: apt install python3-venv" >&2
        exit 2
    }
fi

# A folder of wheels (say, a CPU build of torch) may be named in PIP_FIND_LINKS, as for pip.
links=
[ -d "${PIP_FIND_LINKS:-}" ] && links="--find-links $PIP_FIND_LINKS"
echo "install: filling $venv ($("$venv/bin/python" --version)); about a minute, longer where CUDA builds are downloaded"
if "$venv/bin/pip" install --quiet --disable-pip-version-check uv >/dev/null 2>&1; then
    # Without byte-compiling, every start would pay ten seconds where Python may not write .pyc.
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --compile-bytecode \
        $links -c constraints.txt -e ".[$extras]"
else
    "$venv/bin/pip" install --quiet --disable-pip-version-check $links -c constraints.txt -e ".[$extras]"
fi
touch "$venv/.installed"
