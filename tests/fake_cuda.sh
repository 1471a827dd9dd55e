#!/bin/sh
# Prove without a card that training and judging mix no devices and wait for none: torch's CUDA
# build makes tensors of a card that is not there. 2.7 GB to download, 5 GB on the disk, so it has
# an environment of its own, .venv-fake-cuda, beside the one of `make`.
set -eu
cd "$(dirname "$0")/.."
venv=${FAKE_CUDA_VENV:-.venv-fake-cuda}
recipe="$venv/.installed"

fill() {
    python=.venv/bin/python
    [ -x "$python" ] || python=${PYTHON:-python3}
    rm -rf "$venv"
    "$python" -m venv "$venv"
    echo "fake cuda: filling $venv; minutes, most of them for torch's CUDA build"
    # Neither a folder of wheels nor a file of settings may bring a CPU build in its place.
    PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS='' \
        "$venv/bin/pip" install --quiet --disable-pip-version-check -c constraints.txt \
        torch torchvision numpy pillow pyautoattack safetensors scikit-learn hypothesis pytest
    touch "$recipe"
}

if [ ! -e "$recipe" ] || [ -n "$(find constraints.txt tests/fake_cuda.sh -newer "$recipe")" ]; then
    fill
fi
PYTHONPATH=. exec "$venv/bin/python" -m pytest tests/fake_cuda.py "$@"
