"""Every private part of Ray that is changed, in one place, with what that spares.

A search's own Ray is one machine for one driver, and gone with it. Ray has no public way to start
without what serves others only, nor to let Tune's actors take the processes that it has ready.
Held by `tests/pipeline/test_own_ray.py`: a new release of Ray that breaks one of these fails there.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any


@contextlib.contextmanager
def lean_start() -> Iterator[None]:
    """Let `ray.init` start neither autoscaler, nor log monitor, nor the server of its dashboard.

    Each is a Python process that imports Ray, 0.3 to 0.5 s of CPU, and `ray.init` waits for the
    last. Nobody scales this cluster, logs stay files, and there is no dashboard to be served.
    """
    parameter = import_module("ray._private.parameter")
    given = partial(parameter.RayParams, no_monitor=True, include_log_monitor=False)
    node = import_module("ray._private.node").Node
    with _replaced(parameter, RayParams=given), _replaced(node, start_api_server=_serve_nothing):
        yield


def _serve_nothing(*_: object, **__: object) -> None:
    """Stand for the start of the server of Ray's dashboard."""


@contextlib.contextmanager
def plain_actors() -> Iterator[None]:
    """Let Tune ask for actors without an environment of their own.

    Ray keeps a process ready for each core, but none for the variables that Tune adds (two
    switches, and keys that a process which this driver starts inherits anyway): it would start
    another one, which imports Ray anew, and the ready ones would idle.
    """
    cache = import_module("ray.tune.execution.class_cache")
    with _replaced(cache, DEFAULT_ENV_VARS={}, ENV_VARS_TO_PROPAGATE=set()):
        yield


@contextlib.contextmanager
def _replaced(owner: Any, **attributes: object) -> Iterator[None]:  # noqa: ANN401
    """Give a module or class other attributes for a while."""
    before = {name: getattr(owner, name) for name in attributes}
    for name, value in attributes.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
