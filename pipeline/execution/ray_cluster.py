"""Ray on this machine or an existing cluster: started, joined, left, and divided among trials."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.base.paths import ROOT
from regmix.cores import usable_cores
from regmix.errors import InputError, first_line

# Ray reads these when it is imported. Its ports are open on all interfaces: the token stays on.
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "86400",
}
_SILENT: dict[str, Any] = {"log_to_driver": False, "logging_level": "FATAL"}


@dataclass(frozen=True)
class ClusterRequest:
    """Where trials shall run, and how many at once; None takes what there is.

    address: HOST:PORT of an existing cluster's head, or 'auto'; None starts Ray here.
    concurrency: number of trials at once.
    gpus_per_trial: share of a GPU for each trial.
    """

    address: str | None
    concurrency: int | None
    gpus_per_trial: float | None


@dataclass(frozen=True)
class TrialResources:
    """What one trial gets, and how many run at once.

    concurrency: number of trials at once.
    cpus: cores of a trial.
    gpus: share of a GPU of a trial; 0 without.
    """

    concurrency: int
    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """Number of threads that a trial computes with."""
        return int(self.cpus) if self.gpus else 1


@contextlib.contextmanager
def ray_session(request: ClusterRequest, memory: int) -> Iterator[str]:
    """Start Ray on this machine, or join a cluster; leave it at the end.

    Yields:
        a folder for the files that Ray insists on. It outlives Ray, whose threads and workers
        write there to their end, and one that ends late may leave something in it.

    Args:
        request: cluster and concurrency; more trials at once than cores overbook them.
        memory: size of the data set, bytes, for the shared object store.

    Raises:
        InputError: where there is no such cluster, or it does not answer.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    path = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)
    check_answers(request.address)
    import ray

    with contextlib.chdir(ROOT):  # Ray puts this folder first on the path of all workers
        _join(request, 2 * memory + (128 << 20))
    with tempfile.TemporaryDirectory(prefix="regmix-", ignore_cleanup_errors=True) as scratch:
        try:
            yield scratch
        finally:
            ray.shutdown()


def _join(request: ClusterRequest, memory: int) -> None:
    """Start Ray here with so many bytes of shared memory, or join the cluster."""
    import ray

    if request.address is None:
        _start(max(usable_cores(), request.concurrency or 1), memory)
        return
    try:
        environment = {"env_vars": {"PYTHONPATH": str(ROOT)}}
        ray.init(address=request.address, runtime_env=environment, **_SILENT)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _no_cluster(request.address, error) from None


def _start(cores: int, memory: int) -> None:
    """Start Ray on this machine; on a busy one its processes may need a second try.

    Raises:
        InputError: where they did not come up twice, or their folder's name is too long.
    """
    import ray

    for last in (False, True):
        try:
            ray.init(
                address="local",  # else Ray would join whatever cluster was started here last
                num_cpus=cores,
                include_dashboard=False,
                object_store_memory=memory,
                **_SILENT,
            )
            return
        except Exception as error:
            if "AF_UNIX" in str(error):
                raise _long_folder() from None
            # Ray's words for processes that did not come up; what is wrong in a call is ours
            if type(error) is not Exception and not isinstance(
                error, RuntimeError | ConnectionError | TimeoutError
            ):
                raise
            ray.shutdown()
            if last:
                raise InputError(
                    f"Ray did not start here ({first_line(error)}); type the command again"
                ) from None


def _long_folder() -> InputError:
    name = "RAY_TMPDIR" if os.environ.get("RAY_TMPDIR") else "TMPDIR"
    return InputError(
        f"{name}: must be short, since Ray's sockets lie there and their names have at most 107 "
        f"bytes, but is {os.environ.get(name)}; set RAY_TMPDIR=/tmp"
    )


def check_answers(address: str | None) -> None:
    """Prove that something listens at HOST:PORT; Ray itself would try for a minute.

    Raises:
        InputError: where nothing does.
    """
    host, colon, port = (address or "").rpartition(":")
    if colon and port.isdigit() and "://" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError) as error:
            raise _no_cluster(str(address), error) from None


def _no_cluster(address: str, error: Exception) -> InputError:
    return InputError(
        f"--address {address}: no Ray cluster answers ({first_line(error)}); start one by "
        "'ray start --head' with RAY_AUTH_MODE=token, or leave --address out"
    )


def plan_resources(request: ClusterRequest) -> TrialResources:
    """Divide what Ray has among trials: a core each, and a share of a GPU where there are any.

    Raises:
        InputError: where not one trial fits.
    """
    import ray

    have = ray.cluster_resources()
    cores, cards = int(have.get("CPU", 0)), have.get("GPU", 0.0)
    gpus = request.gpus_per_trial if request.gpus_per_trial is not None else float(cards > 0)
    fit = min(cores, int(cards / gpus + 1e-9)) if gpus else cores
    if fit < 1:
        raise InputError(
            f"--gpus-per-trial {gpus:g}: Ray has {cores} cores and {cards:g} GPUs, too few for one "
            "trial; ask for less"
        )
    at_once = min(request.concurrency or fit, fit)
    return TrialResources(at_once, cpus=max(1, cores // at_once) if gpus else 1, gpus=gpus)
