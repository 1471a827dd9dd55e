#!/bin/sh
# Compare our attacks with those of torchattacks and foolbox. Both pin old versions of what we
# need, so they get an environment of their own, .venv-oracles, beside the one of `make`.
set -eu
cd "$(dirname "$0")/.."
venv=.venv-oracles
recipe="$venv/.installed"
test=tests/regmix/evaluation/test_cross_library.py

install() { # with uv where `make` has brought it, else with pip
    if [ -x .venv/bin/uv ]; then
        .venv/bin/uv pip install --quiet --python "$venv/bin/python" "$@"
    else
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
    fi
}

fill() {
    python=.venv/bin/python
    [ -x "$python" ] || python=${PYTHON:-python3}
    rm -rf "$venv"
    "$python" -m venv "$venv"
    # A folder of wheels (say, a CPU build of torch) may be named in PIP_FIND_LINKS, as for pip.
    links=
    [ -d "${PIP_FIND_LINKS:-}" ] && links="--find-links $PIP_FIND_LINKS"
    echo "oracles: filling $venv; about a minute, longer where CUDA builds are downloaded"
    # What regmix and its tests import, then what the two libraries import.
    # shellcheck disable=SC2086  # no links is no argument
    install $links -c constraints.txt \
        torch numpy pillow pyautoattack safetensors scikit-learn hypothesis pytest \
        gitpython requests scipy tqdm typing-extensions
    install --no-deps torchattacks==3.5.1 foolbox==3.3.4 eagerpy==0.30.0
    touch "$recipe"
}

if [ ! -e "$recipe" ] || [ -n "$(find constraints.txt tests/oracles.sh -newer "$recipe")" ]; then
    fill
fi
# A library that cannot be imported must fail here: the test itself skips where it is missing.
"$venv/bin/python" -c 'import foolbox, torchattacks'
PYTHONPATH=. exec "$venv/bin/python" -m pytest "$test" "$@"
