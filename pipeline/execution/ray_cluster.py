"""Ray Tune as an executor: it places and runs trials, and decides nothing."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

from pipeline.base.paths import ROOT
from pipeline.study.controller import StudyController
from pipeline.trial_files.disk import Files
from regmix.errors import InputError
from regmix.images import Images

if TYPE_CHECKING:
    from ray import tune

    from pipeline.execution.tune import TuneSession

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
class TrialResources:
    """What one trial takes, and how many run at once."""

    concurrency: int
    cpus: float
    gpus: float


@contextlib.contextmanager
def started(address: str | None, concurrency: int | None, memory: int) -> Iterator[str]:
    """Start Ray on this machine, or join the cluster at `address`; leave it at the end.

    Yields:
        a folder for the files that Ray insists on. It outlives Ray, whose threads and workers
        write there to their end, and one that ends late may leave something in it.

    Args:
        address: of an existing cluster's head, 'auto' for one on this machine; None starts one.
        concurrency: wanted trials at once; more than this machine has cores overbooks them.
        memory: bytes of the data set, for the shared object store.

    Raises:
        InputError: where there is no such cluster, or it does not answer.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    path = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)
    _answers(address)
    import ray

    if address is None:
        _begin(max(os.cpu_count() or 1, concurrency or 1), 2 * memory + (128 << 20))
    else:
        try:
            environment = {"env_vars": {"PYTHONPATH": str(ROOT)}}
            ray.init(address=address, runtime_env=environment, **_SILENT)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise _no_cluster(address, error) from None
    with tempfile.TemporaryDirectory(prefix="regmix-", ignore_cleanup_errors=True) as scratch:
        try:
            yield scratch
        finally:
            ray.shutdown()


def _begin(cores: int, memory: int) -> None:
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
                    f"Ray did not start here ({_first_line(error)}); type the command again"
                ) from None


def _long_folder() -> InputError:
    name = "RAY_TMPDIR" if os.environ.get("RAY_TMPDIR") else "TMPDIR"
    return InputError(
        f"{name}: must be short, since Ray's sockets lie there and their names have at most 107 "
        f"bytes, but is {os.environ.get(name)}; set RAY_TMPDIR=/tmp"
    )


def _answers(address: str | None) -> None:
    """Prove that something listens at HOST:PORT; Ray itself would try for a minute."""
    host, colon, port = (address or "").rpartition(":")
    if colon and port.isdigit() and "://" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError) as error:
            raise _no_cluster(str(address), error) from None


def _no_cluster(address: str, error: Exception) -> InputError:
    return InputError(
        f"--address {address}: no Ray cluster answers ({_first_line(error)}); start one by "
        "'ray start --head' with RAY_AUTH_MODE=token, or leave --address out"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def slots(concurrency: int | None, gpus_per_trial: float | None) -> TrialResources:
    """Divide what Ray has among trials: a core each, and a share of a GPU where there are any.

    Raises:
        InputError: where not one trial fits.
    """
    import ray

    have = ray.cluster_resources()
    cores, cards = int(have.get("CPU", 0)), have.get("GPU", 0.0)
    gpus = gpus_per_trial if gpus_per_trial is not None else float(cards > 0)
    fit = min(cores, int(cards / gpus + 1e-9)) if gpus else cores
    if fit < 1:
        raise InputError(
            f"--gpus-per-trial {gpus:g}: Ray has {cores} cores and {cards:g} GPUs, too few for one "
            "trial; ask for less"
        )
    at_once = min(concurrency or fit, fit)
    return TrialResources(at_once, cpus=max(1, cores // at_once) if gpus else 1, gpus=gpus)


def run(
    bridge: StudyController,
    images: Images,
    files: Files,
    slots: TrialResources,
    scratch: str,
    stop: Event,
    failed: Callable[[int, str], object],
    width: int | None = None,
) -> None:
    """Run the study's trials until it has all that it shall have.

    Args:
        bridge: asks, reports and tells.
        images: the training part of the data, put into Ray's object store once.
        files: of the study's trials.
        slots: what a trial takes.
        scratch: folder of `started`.
        stop: set it to end early: KeyboardInterrupt is then raised between two events.
        failed: called with number and traceback where a trial met a bug.
        width: workers of the imagined machine whose order counts, see
            `pipeline.study.result_order.Lockstep`; None takes results as they arrive.

    Raises:
        OSError: where the disk is full.
        KeyboardInterrupt: after `stop` was set.
    """
    import logging

    from pipeline.execution.tune import TuneSession

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots.concurrency)  # else starts are serial
    calls = TuneSession(bridge, files, slots, stop, failed, width)
    try:
        _tuner(calls, images, scratch).fit()
    except KeyboardInterrupt:
        if not calls.spent:
            raise
    except Exception:
        if calls.fault is not None:  # as it was, not as Ray wrapped it
            raise calls.fault from None
        raise


def _tuner(calls: "TuneSession", images: Images, scratch: str) -> "tune.Tuner":
    """Return Ray's tuner over our two faces."""
    from ray import tune

    from pipeline.execution.actor import TrialActor
    from pipeline.execution.tune import StudyScheduler, StudySearcher

    resources = {"cpu": calls.slots.cpus, "gpu": calls.slots.gpus}
    actor = tune.with_resources(tune.with_parameters(TrialActor, images=images), resources)
    return tune.Tuner(
        actor,
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(calls),
            scheduler=StudyScheduler(calls),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=scratch, name="search", verbose=0),
    )
