"""What a command line asks of a search, checked."""

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.base import paths
from pipeline.driver.publish import View
from pipeline.problem.problem import SearchProblem
from regmix.errors import InputError, shown
from regmix.plugins import Plugins
from regmix.user_files import absolute

OBJECTIVES = ("robust", "robust,clean")


@dataclass(frozen=True)
class Rules:
    """What may not change under a study's name, beside its problem.

    objective: 'robust', or 'robust,clean' for the front of both accuracies.
    min_clean: clean accuracy below which a complete trial is no candidate; None for no limit.
    deterministic: number of workers of the imagined machine in whose order results count; None
        takes them as they arrive.
    """

    objective: str = "robust"
    min_clean: float | None = None
    deterministic: int | None = None

    @property
    def front(self) -> bool:
        """Whether clean accuracy is an objective too."""
        return self.objective != "robust"

    def identity(self) -> dict[str, Any]:
        """Return the rules in flat names, to compare them with those of an older study."""
        return asdict(self)


@dataclass(frozen=True)
class SearchRequest:
    """The checked options of `search.py`; None means the default.

    problem: recipe, space and overrides.
    study: name of the study.
    runs: folder of studies, databases and artifacts.
    trainings: effort of the study, in full trainings.
    trials: number of trials that the study shall have, at most.
    budget: time for the whole study, seconds.
    seed: seed of the sampler and of every trial.
    concurrency: number of trials at once.
    gpus_per_trial: share of a GPU for each trial, or `auto`.
    sampler: name of the sampler.
    pruner: specification of the pruner, such as 'collapse+freeze'.
    control_every: one trial in so many is a control trial; 0 for none.
    rules: objective, constraint and order of results.
    enqueue: exported configurations to begin with.
    sources: names of the earlier studies to begin from, each once.
    storage: database URL or journal file of the study.
    checkpoints: URL of an object store for the trials' files.
    checkpoint_seconds: finished work that a kill may take from a trial, at most.
    heartbeat: interval between the beats of a driver on a database, seconds.
    tracking_uri: MLflow's database or server.
    address: existing Ray cluster.
    plugins: variants outside of the tool.
    retry_failed: whether failed trials of earlier sessions are tried again.
    until_noise: whether the search ends where further trials are pointless.
    mps: whether trials shall share GPUs by NVIDIA's service.
    confirm: whether the best race at the end, within the same extent.
    out: folder for the winner of the race.
    """

    problem: SearchProblem
    study: str
    runs: Path
    trainings: int | None
    trials: int | None
    budget: float | None
    seed: int
    concurrency: int | None
    gpus_per_trial: float | str | None
    sampler: str
    pruner: str
    control_every: int
    rules: Rules
    enqueue: tuple[Path, ...]
    sources: tuple[str, ...]
    storage: str | None
    checkpoints: str | None
    checkpoint_seconds: float
    heartbeat: int
    tracking_uri: str
    address: str | None
    plugins: Plugins | None
    retry_failed: bool = False
    mps: bool = False
    until_noise: bool = False
    confirm: bool = False
    out: Path = Path("exported")

    @property
    def view(self) -> View:
        """Where MLflow shows the study, and where the study is."""
        return View(self.tracking_uri, self.runs, self.storage)

    def plugin_digests(self, pruners: tuple[str, ...]) -> Mapping[str, str]:
        """Return the digests of the plug-ins that this search uses.

        Args:
            pruners: names of its pruners, those round others too.
        """
        if self.plugins is None:
            return {}
        used = [*self.problem.components(), ("sampler", self.sampler)]
        return self.plugins.used([*used, *(("pruner", name) for name in pruners)])


def with_data_dir(problem: SearchProblem, data_dir: str | None) -> SearchProblem:
    """Return the problem with the folder of its images, as an absolute path.

    Args:
        problem: the problem.
        data_dir: the folder; None takes what the recipe says, else the project's own `data/`.

    Raises:
        InputError: where the data set lies in no folder.
    """
    data = problem.config({}).data
    if "data_dir" not in data.options:
        if data_dir is not None:
            raise InputError(
                f"--data-dir: the data set {shown(data.name)} needs none; leave it out"
            )
        return problem
    if data_dir is not None:
        path = data_dir
    elif data.options["data_dir"]:
        path = str(data.options["data_dir"])
    else:
        path = str(paths.writable_folder(paths.ROOT / "data", "--data-dir"))
    overrides = {**problem.overrides, "data_dir": str(absolute(path, "--data-dir"))}
    return replace(problem, overrides=overrides)


def warn_of_bf16(asked: bool, *, elsewhere: bool = False) -> None:
    """Say in one line that bf16 on a CPU may be slow, before the first trial begins.

    Args:
        asked: whether a run may train in bf16.
        elsewhere: whether a card was asked for, or another cluster, which may have one.
    """
    if asked and not elsewhere and not has_driver_of_a_card():
        print(
            "warning: precision bf16 without a GPU: some of torch's bf16 convolutions are many "
            "times slower on a CPU than fp32; fp32 is safer",
            file=sys.stderr,
            flush=True,
        )


def has_driver_of_a_card() -> bool:
    """Tell whether this machine has a driver for GPUs: NVIDIA's, Windows' below Linux, or AMD's."""
    return any(map(os.path.exists, ("/proc/driver/nvidia/version", "/dev/dxg", "/dev/kfd")))


def prove_card(share: float | str | None, address: str | None) -> None:
    """Prove that trials which are to have a share of a GPU can have one, before anything starts.

    Args:
        share: share of a GPU for each trial, or `auto`, which takes none where none is.
        address: existing Ray cluster, whose nodes may have one; None for this machine.

    Raises:
        InputError: where this machine has no GPU.
    """
    if address is None and isinstance(share, float) and not has_driver_of_a_card():
        raise InputError(
            f"--gpus-per-trial {share:g}: no GPU here; leave out --gpus-per-trial, or name a "
            "cluster that has one by --address"
        )


def choose_recipe() -> tuple[str, str]:
    """Return the recipe that suits the hardware, and the reason in words.

    Torch is only asked where there is a driver for a GPU: it takes seconds to load.
    """
    found = False
    if has_driver_of_a_card():
        import torch

        found = torch.cuda.is_available()
    return ("cifar10", "CUDA is") if found else ("digits", "no CUDA device is")
