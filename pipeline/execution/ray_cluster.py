"""Ray on this machine or an existing cluster: started, joined, left, and divided among trials."""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.paths import ROOT
from pipeline.execution import ray_environment, ray_private
from pipeline.execution.gpu_share import AUTO, MeasuredShare, TrialResources
from pipeline.execution.mps import mps
from pipeline.execution.room import cores_of_each, nodes, room, total
from pipeline.execution.session_folder import session_folder
from regmix.cores import usable_cores
from regmix.errors import InputError, first_line, shown

_SILENT: dict[str, Any] = {"log_to_driver": False, "logging_level": "FATAL"}
_OWN = "rgmx-"  # begins the name of the folder of a search's own Ray
_SCRATCH = "regmix-"  # and of that for what else Ray insists on


@dataclass(frozen=True)
class ClusterRequest:
    """Where trials shall run, and how many at once; None takes what there is.

    address: HOST:PORT of an existing cluster's head, or 'auto'; None starts Ray here.
    concurrency: number of trials at once.
    gpus_per_trial: share of a GPU for each trial; `AUTO` measures it.
    mps: whether trials shall share GPUs by NVIDIA's service.
    """

    address: str | None
    concurrency: int | None
    gpus_per_trial: float | str | None
    mps: bool = False

    @property
    def may_grow(self) -> bool:
        """Whether the cluster is asked for room that it lacks: how much was said."""
        return self.address is not None and self.concurrency is not None


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
        InputError: where there is no such cluster, it does not answer, or Ray can't start here.
    """
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(_folder(ray_environment.temporary(), _SCRATCH))
        own = None
        if request.address is None:
            own = stack.enter_context(_folder(ray_environment.for_sockets(), _OWN))
            ray_environment.of_its_own()
            if request.mps:
                stack.enter_context(mps(own))
        else:
            if request.mps:
                print("--mps: is for a cluster's own nodes to start, so it is left out", flush=True)
            ray_environment.of_a_cluster()
        check_answers(request.address)
        import ray
        import ray.tune  # here, beside the rehearsal: what it takes, workers would wait for later

        with contextlib.chdir(ROOT):  # Ray puts this folder first on the path of all workers
            if own is not None:
                cores = max(usable_cores(), request.concurrency or 1)
                _start(cores, 2 * memory + (128 << 20), own)
                stack.enter_context(ray_private.plain_actors())
            else:
                _join(str(request.address))
        try:
            yield str(scratch)
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _folder(base: Path, prefix: str) -> Iterator[Path]:
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(session_folder(base, prefix))
        except OSError as error:
            raise InputError(
                f"{base}: must be a folder that can be written to, but {error.strerror}; choose "
                "another place for temporary files by TMPDIR"
            ) from None
        yield place


def _join(address: str) -> None:
    import ray

    try:
        environment = {"env_vars": {"PYTHONPATH": str(ROOT)}}
        known = _found() if address == "auto" else address
        ray.init(address=known, runtime_env=environment, **_SILENT)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _no_cluster(address, error) from None


def _found() -> str:
    """Return the address of the cluster that `ray start` began on this machine last.

    Ray itself would join whatever runs here, also what a program started for itself alone.

    Raises:
        ConnectionError: where none answers.
    """
    for address in filter(None, (os.environ.get("RAY_ADDRESS"), ray_private.last_started())):
        with contextlib.suppress(InputError):
            _check_listens(address)
            return str(address)
    raise ConnectionError("none that `ray start` began runs here")


def _start(cores: int, memory: int, folder: Path) -> None:
    """Start Ray on this machine; on a busy one its processes may need a second try.

    Args:
        cores: number of trials that may run at once.
        memory: size of the shared object store, bytes.
        folder: folder for Ray's files and sockets.

    Raises:
        InputError: where they did not come up twice.
    """
    import ray

    for last in (False, True):
        try:
            with ray_private.lean_start():
                ray.init(
                    address="local",  # else Ray would join whatever cluster was started here last
                    num_cpus=cores,
                    include_dashboard=False,
                    object_store_memory=memory,
                    _temp_dir=str(folder),
                    **_SILENT,
                )
            return
        except Exception as error:
            # Ray's words for processes that did not come up; what is wrong in a call is ours
            ours = (RuntimeError, OSError, TimeoutError, ray.exceptions.RayError)
            if type(error) is not Exception and not isinstance(error, ours):
                raise
            ray.shutdown()
            if last:
                raise InputError(
                    f"Ray did not start here ({first_line(error)[:120]}); type the command again"
                ) from None


def check_answers(address: str | None) -> None:
    """Prove that something listens where a cluster shall be; Ray itself would try for a minute.

    Args:
        address: HOST:PORT, or 'auto'; None for no cluster.

    Raises:
        InputError: where nothing does.
    """
    if address == "auto":
        try:
            _found()
        except ConnectionError as error:
            raise _no_cluster(address, error) from None
    elif address is not None:
        _check_listens(address)


def _check_listens(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if colon and "://" not in address:
        if not (port.isascii() and port.isdigit()):
            raise _no_cluster(address, ValueError(f"{shown(port)} is no port"))
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError, UnicodeError) as error:  # the last of a name's length
            raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> InputError:
    return InputError(
        f"--address {address}: no Ray cluster answers ({first_line(error)}); start one by "
        "'ray start --head' with RAY_AUTH_MODE=token, or leave --address out"
    )


def plan_resources(request: ClusterRequest) -> TrialResources:
    """Divide what Ray has among trials: a core each, and a share of a GPU where there are any.

    Raises:
        InputError: where not one trial fits, and the cluster is not asked for more room.
    """
    have = nodes()
    cores, cards = total(have, "CPU"), total(have, "GPU")
    asked = request.gpus_per_trial
    gpus = float(cards > 0) if asked is None or asked == AUTO else float(asked)
    fit = room(have, 1, gpus)
    if fit < 1 and not request.may_grow:
        raise InputError(
            f"--gpus-per-trial {gpus:g}: Ray has {cores:g} cores and {cards:g} GPUs, too few for "
            "one trial; ask for less"
        )
    at_once = min(request.concurrency or fit, fit)
    cpus = cores_of_each(have, at_once, gpus) if gpus else 1
    return TrialResources(at_once, cpus=cpus, gpus=gpus)


def measured_share(request: ClusterRequest) -> MeasuredShare | None:
    """Return what measures the share of each trial; None where none was asked for, or no GPU is."""
    if request.gpus_per_trial != AUTO:
        return None
    have = nodes()
    cores, cards = int(total(have, "CPU")), int(total(have, "GPU"))
    if not cards:
        print(f"--gpus-per-trial {AUTO}: Ray has no GPU here, so trials take none", flush=True)
        return None
    return MeasuredShare(cores, cards, request.concurrency)
