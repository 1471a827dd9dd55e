"""Environment variables that libraries read without care, put right before they are loaded."""

import os

_NARROWEST = 40  # columns, below which no table can be read
_LOOPBACK = ("localhost", "127.0.0.1")


def mend() -> None:
    """Drop values that libraries fail at, and let no proxy stand before this machine itself."""
    for name, least in {"COLUMNS": _NARROWEST, "LINES": 1, "OMP_NUM_THREADS": 1}.items():
        value = os.environ.get(name, "")
        if not (value.isascii() and value.isdigit() and least <= int(value[:9]) < 10**6):
            os.environ.pop(name, None)
    if any(name.lower().endswith("_proxy") for name in os.environ):
        for name in ("no_proxy", "NO_PROXY"):
            known = [host for host in os.environ.get(name, "").split(",") if host]
            missing = [host for host in _LOOPBACK if host not in known]
            os.environ[name] = ",".join([*known, *missing])
