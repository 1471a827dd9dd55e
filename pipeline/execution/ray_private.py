"""Every private part of Ray that is changed or called, in one place, with what that spares.

A search's own Ray is one machine for one driver, and gone with it. Ray has no public way to start
without what serves others only, nor to let Tune's actors take the processes that it has ready.
Held by `tests/pipeline/test_own_ray.py`: a new release of Ray that changes one fails there.
Where a release has a part no more, Ray does what it does by itself.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

_NAMESPACE = b"regmix"  # of keys of Ray's head
_PATIENCE = 1  # s that a view waits for the head
_UNUSED = {"no_monitor": True, "include_log_monitor": False}


@contextlib.contextmanager
def lean_start() -> Iterator[None]:
    """Let `ray.init` start neither autoscaler, nor log monitor, nor the server of its dashboard.

    Each is a Python process that imports Ray, 0.3 to 0.5 s of CPU, and `ray.init` waits for the
    last. Nobody scales this cluster, logs stay files, and there is no dashboard to be served.
    """
    with (
        _replaced("ray._private.parameter", ("RayParams",), _without_unused),
        _replaced("ray._private.node", ("Node", "start_api_server"), lambda _: _serve_nothing),
    ):
        yield


def _without_unused(parameters: Callable[..., object]) -> Callable[..., object]:
    known = signature(parameters).parameters
    return partial(parameters, **{name: _UNUSED[name] for name in _UNUSED if name in known})


def _serve_nothing(*_: object, **__: object) -> None:
    """Stand for the start of the server of Ray's dashboard."""


@contextlib.contextmanager
def plain_actors() -> Iterator[None]:
    """Let Tune ask for actors without an environment of their own.

    Ray keeps a process ready for each core, but none for the variables that Tune adds (two
    switches, and keys that a process which this driver starts inherits anyway): it would start
    another one, which imports Ray anew, and the ready ones would idle.
    """
    cache = "ray.tune.execution.class_cache"
    with (
        _replaced(cache, ("DEFAULT_ENV_VARS",), lambda _: {}),
        _replaced(cache, ("ENV_VARS_TO_PROPAGATE",), lambda _: set()),
    ):
        yield


def last_started() -> str | None:
    """Return the address of the cluster that `ray start` began on this machine last, if any.

    Ray's own reader comes with Ray, which reads its environment as it is imported.
    """
    place = os.environ.get("RAY_TMPDIR", os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 (as Ray)
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return Path(place, "ray", "ray_current_cluster").read_text().strip() or None
    return None


def put(key: str, value: str) -> None:
    """Keep a text under a key of Ray's head, for the driver of this worker's job.

    Ray has no public store of keys; its own libraries use this one. Where it is gone, or the head
    doesn't answer, nothing is kept: only a view lacks it.
    """
    with contextlib.suppress(Exception):
        _head().internal_kv_put(_full(key), value.encode(), True, _NAMESPACE, timeout=_PATIENCE)


def values(keys: Sequence[str]) -> dict[str, str]:
    """Return key -> text of those keys that have one, in one call; {} where that can't be had."""
    with contextlib.suppress(Exception):
        full = {_full(key): key for key in keys}
        found = _head().internal_kv_multi_get(list(full), _NAMESPACE, timeout=_PATIENCE)
        return {full[key]: value.decode() for key, value in found.items()}
    return {}


def remove(key: str, *, all_below: bool = False) -> None:
    """Remove a key, or all keys that begin so; do nothing where that can't be done."""
    with contextlib.suppress(Exception):
        _head().internal_kv_del(_full(key), all_below, _NAMESPACE, timeout=_PATIENCE)


def _head() -> Any:  # noqa: ANN401  (a class of Ray's without types)
    return import_module("ray.experimental.internal_kv").internal_kv_get_gcs_client()


def _full(key: str) -> bytes:
    """Return a key that no other driver uses: each is a job of the cluster.

    Raises:
        RuntimeError: where this process has no Ray, which would start one to answer.
    """
    ray = import_module("ray")
    if not ray.is_initialized():
        raise RuntimeError("no Ray here")
    return f"{ray.get_runtime_context().get_job_id()}/{key}".encode()


@contextlib.contextmanager
def _replaced(
    module: str, path: tuple[str, ...], change: Callable[[Any], object]
) -> Iterator[None]:
    """Give a part of a module another value for a while; do nothing where there is no such part."""
    *owners, name = path
    try:
        owner: Any = import_module(module)
        for each in owners:
            owner = getattr(owner, each)
        before = getattr(owner, name)
    except (ModuleNotFoundError, AttributeError):
        yield
        return
    setattr(owner, name, change(before))
    try:
        yield
    finally:
        setattr(owner, name, before)
