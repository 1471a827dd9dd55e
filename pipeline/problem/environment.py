"""What a result depends on beside its configuration: versions, and the code itself."""

import hashlib
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from pipeline.base.paths import ROOT

PACKAGES = ("torch", "numpy", "optuna", "ray", "mlflow", "regmix-search")
CODE = "code"
"""Key of the code's digest among the versions."""

_OURS = ("regmix", "pipeline")


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages, and the digest of this process's code."""
    python = ".".join(map(str, sys.version_info[:3]))
    found = {name: _version(name) for name in PACKAGES}
    return {"python": python, **found, CODE: CODE_DIGEST}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # the project itself, where it runs from its folder alone
        return "not installed"


def _code_digest() -> str:
    digest = hashlib.sha256()
    for package in _OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


CODE_DIGEST = _code_digest()
"""16 hexadecimal digits that change with any source file of the project, taken when a process
begins: what is edited later is not what it runs."""
