"""Part `packing`: several trials on one device, in the four ways that there are.

Processes, processes under CUDA's multi-process service (MPS), streams of one process, and small
networks fused by grouped convolutions. One epoch is 48,000 images of CIFAR-10 or digits' 997.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.measures.cases import DIGITS, SMALL, Batches, Case, ours, random_images, residual
from benchmarks.measures.clock import interleaved
from benchmarks.measures.crew import Crew, crew
from benchmarks.measures.footprint import images_of
from benchmarks.measures.grouped import GroupedTraining
from benchmarks.measures.setting import Budget, Row, Setting, skipped
from regmix.engine import Engine

CARD_COUNTS = (1, 2, 4, 8, 16)
CPU_COUNTS = (1, 2)
_IMAGES = 2048
_SECONDS = 2.0  # for which a process trains


def measure(setting: Setting, budget: Budget) -> Iterator[Row]:
    """Yield a row for each way, network and number of trials at once."""
    if setting.card:
        counts: Sequence[int] = CARD_COUNTS
        networks = [SMALL, residual("resnet18", 128)]
    else:
        counts, networks = CPU_COUNTS, [DIGITS]
    yield from _told(setting, "grouped", networks[0], _grouped(setting, networks[0], counts))
    if setting.card:
        for case in networks:
            yield from _told(setting, "streams", case, _streams(setting, case, counts))
    else:
        yield skipped("streams, MPS", "both need a CUDA card")
    environments: dict[str, Any] = {"processes": _bare, **({"MPS": _mps} if setting.card else {})}
    for way, environment in environments.items():
        if budget.left <= 0:
            yield skipped(way, "its time was up")
            continue
        with environment() as (variables, why):
            if variables is None:
                yield skipped(way, why)
                continue
            with crew(max(counts), setting.device, variables) as together:
                for case in networks:
                    yield from _told(setting, way, case, _processes(together, case, counts, budget))


def _told(
    setting: Setting, way: str, case: Case, found: Iterator[tuple[int, float]]
) -> Iterator[Row]:
    """Yield a row for each number of trials with the images a second of all together."""
    alone = None
    for count, rate in found:
        alone = alone or rate / count
        epochs = rate * 3600 / images_of(case)
        yield {
            "packed": way,
            "case": case.name,
            "batch": case.batch,
            "trials": count,
            "images/s": rate,
            "trial-epochs/h": epochs,
            "times one": rate / alone,
        }


def _processes(
    together: Crew, case: Case, counts: Sequence[int], budget: Budget
) -> Iterator[tuple[int, float]]:
    for count in counts:
        if budget.left > 0 or count == counts[0]:
            yield count, together.images_per_second(case, count, _SECONDS)


def _streams(setting: Setting, case: Case, counts: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Yield images a second of steps that are issued in turn, each trial's to its own stream."""
    data, device = random_images(case.shape, _IMAGES), setting.device
    streams, steps = [], []
    for number in range(max(counts)):
        stream = torch.cuda.Stream(device)
        config = case.config("wamr", seed=number)
        with torch.cuda.stream(stream):
            step = ours(config, data, device, Engine())
            for _ in range(3):
                step()
        streams.append(stream)
        steps.append(step)

    def turn(count: int) -> None:
        for stream, step in zip(streams[:count], steps[:count], strict=True):
            with torch.cuda.stream(stream):
                step()

    for count in counts:
        yield count, _rate(setting, lambda c=count: turn(c), count * case.batch)


def _grouped(setting: Setting, case: Case, counts: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Yield images a second of so many networks in one."""
    data = random_images(case.shape, _IMAGES)
    for count in counts:
        configs = [case.config("wamr", seed=number) for number in range(count)]
        training = GroupedTraining(configs, data, setting.device)
        batches = [Batches(len(data), case.batch, setting.device) for _ in range(count)]

        def step(training: Any = training, batches: Any = batches) -> None:  # noqa: ANN401
            training.step(torch.stack([one.next() for one in batches]))

        yield count, _rate(setting, step, count * case.batch)


def _rate(setting: Setting, step: Any, images: int) -> float:  # noqa: ANN401
    """Return images a second of a step, from its fastest of a few timings of 10."""

    def ten() -> None:
        for _ in range(10):
            step()

    times = interleaved(setting.device, {"step": ten}, Budget(0.5), most_rounds=10)["step"]
    return 10 * images / min(times)


Environment = tuple[dict[str, str] | None, str]  # variables, or None and why there are none


@contextmanager
def _bare() -> Iterator[Environment]:
    yield dict(os.environ), ""


@contextmanager
def _mps() -> Iterator[Environment]:
    """Start the service in a folder of its own, and end it afterwards."""
    program = shutil.which("nvidia-cuda-mps-control")
    if program is None:
        yield None, "nvidia-cuda-mps-control is not installed"
        return
    with tempfile.TemporaryDirectory(prefix="mps-") as folder:
        names = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")
        variables = {**os.environ, **dict.fromkeys(names, folder)}
        begun = subprocess.run([program, "-d"], env=variables, capture_output=True, text=True)
        if begun.returncode:
            yield None, f"the service does not start: {begun.stderr.strip()[:100]}"
            return
        try:
            yield variables, ""
        finally:
            subprocess.run([program], env=variables, input="quit\n", text=True, check=False)
