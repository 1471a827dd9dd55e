"""Part `packing`: several trials on one device, in the four ways that there are.

Processes, processes under CUDA's multi-process service (MPS), streams of one process, and small
networks fused by grouped convolutions. One epoch is 48,000 images of CIFAR-10 or digits' 997.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.measures.cases import DIGITS, SMALL, Batches, Case, ours, random_images, residual
from benchmarks.measures.clock import interleaved
from benchmarks.measures.crew import Crew, crew
from benchmarks.measures.footprint import images_of
from benchmarks.measures.grouped import GroupedTraining
from benchmarks.measures.setting import Budget, Row, Setting, skipped
from pipeline.execution.mps import mps
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
    yield from _told("grouped", networks[0], _grouped(setting, networks[0], counts))
    if setting.card:
        for case in networks:
            yield from _told("streams", case, _streams(setting, case, counts))
    else:
        yield skipped("streams, MPS", "both need a CUDA card")
    yield from _crewed(setting, "processes", networks, counts, budget)
    if setting.card:
        with tempfile.TemporaryDirectory(prefix="mps-") as folder, mps(Path(folder)) as running:
            if running:
                yield from _crewed(setting, "MPS", networks, counts, budget)
            else:
                yield skipped("MPS", "it can't be had here: the line above says why")


def _crewed(
    setting: Setting, way: str, networks: Sequence[Case], counts: Sequence[int], budget: Budget
) -> Iterator[Row]:
    """Yield the rows of trials in processes of their own."""
    with crew(max(counts), setting.device) as together:
        for case in networks:
            yield from _told(way, case, _processes(together, case, counts, budget))


def _told(way: str, case: Case, found: Iterator[tuple[int, float]]) -> Iterator[Row]:
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
