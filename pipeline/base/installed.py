"""Whether this Python can run the project at all: asked first, in words that any Python reads."""

import importlib.util
import shlex
import sys
from pathlib import Path

OLDEST = (3, 11)
PACKAGES = {  # what pyproject.toml asks for -> the name that is imported
    "cmaes": "cmaes",
    "filelock": "filelock",
    "matplotlib": "matplotlib",
    "mlflow": "mlflow",
    "numpy": "numpy",
    "optuna": "optuna",
    "pandas": "pandas",
    "pillow": "PIL",
    "pyarrow": "pyarrow",
    "pyautoattack": "pyautoattack",
    "pyyaml": "yaml",
    "ray": "ray",
    "rich": "rich",
    "safetensors": "safetensors",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "sqlalchemy": "sqlalchemy",
    "threadpoolctl": "threadpoolctl",
    "torch": "torch",
    "torchvision": "torchvision",
}

_NAMED = 3  # missing packages that are named: mostly all are, since the wrong Python was typed


def prove(script: str) -> None:
    """End the process in one line, with status 2, where Python is too old or a package is missing.

    A command calls it before it imports anything that has to be installed.

    Args:
        script: the command's file.
    """
    lack = missing()
    if lack:
        path = Path(script)
        sys.stderr.write(f"{path.stem}: {_remedy(path)} ({lack})\n")
        raise SystemExit(2)


def missing() -> str:
    """Return what this Python lacks, in words; '' for nothing."""
    if sys.version_info[:2] < OLDEST:
        return "Python {}.{} or newer is needed, but this is {}.{}".format(
            *OLDEST, *sys.version_info[:2]
        )
    if sys.flags.optimize > 1:
        return "-OO and PYTHONOPTIMIZE=2 strip the docstrings that Ray reads: leave them out"
    lack = [name for name, module in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if len(lack) > _NAMED:
        return f"{len(lack)} packages are missing: {', '.join(lack[:_NAMED])}, ..."
    if len(lack) > 1:
        return f"these packages are missing: {', '.join(lack)}"
    return f"the package {lack[0]!r} is missing" if lack else ""


def _remedy(script: Path) -> str:
    root = script.resolve().parent.parent
    python = root / ".venv" / "bin" / "python"
    first = "" if python.exists() else f"run `make -C {shlex.quote(str(root))} search` once, then "
    return f"{first}use {shlex.quote(str(python))} {shlex.quote(str(script))}"
