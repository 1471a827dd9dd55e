"""What a result depends on beside its configuration."""

import sys
from importlib.metadata import version

PACKAGES = ("torch", "numpy", "optuna", "ray", "mlflow", "regmix-search")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result may depend on."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, **{name: version(name) for name in PACKAGES}}
