"""Part `step`: images a second of the training step, ours and the plain one's, switch by switch."""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from benchmarks.measures.cases import ALL_OFF, LOSSES, Case, cases, ours, plain, random_images
from benchmarks.measures.clock import interleaved, ratio, seconds
from benchmarks.measures.peak import flops, product_rate
from benchmarks.measures.setting import Budget, Row, Setting
from regmix.engine import Engine

# Way -> values of an engine that has one thing else than usual; of what a training step has.
_SWITCHES: dict[str, dict[str, Any]] = {
    "without channels_last": {"channels_last": False},
    "without flat": {"flat": False},
}
_ON_A_CARD: dict[str, dict[str, Any]] = {
    "with graphs": {"graphs": True},
    "a look at each step": {"look_every": 1},
}
_LEAST_SECONDS = 0.1  # of one timing, which holds as many steps as that takes
_IMAGES = 2048


def measure(setting: Setting, budget: Budget) -> Iterator[Row]:
    """Yield a row for each network, loss, precision and way of computing."""
    precisions = ("fp32", "tf32", "bf16") if setting.card else ("fp32",)
    rates = {name: product_rate(setting.device, name) for name in precisions}
    for name, rate in rates.items():
        yield {"matrix product": name, "TFLOP/s": rate / 1e12}
    asked = [
        (case, loss, precision)
        for case in cases(setting.card)
        for loss in LOSSES
        for precision in precisions
    ]
    for place, (case, loss, precision) in enumerate(asked):
        mine = budget.share(len(asked) - place)
        yield from measure_case(setting, mine, case, loss, precision, rates[precision])


def measure_case(
    setting: Setting, budget: Budget, case: Case, loss: str, precision: str, rate: float
) -> Iterator[Row]:
    """Yield a row for each way of one case; see `measure`.

    Args:
        setting: device.
        budget: time for all ways together.
        case, loss, precision: what is trained.
        rate: FLOP/s of a matrix product in that precision.

    The share of that rate is of the FLOPs that our step counts: the least that the loss needs.
    """
    ways = dict(_ways(setting, case, loss, precision))
    counted = flops(ways.get("all off", ways["engine"])) / case.batch
    count = _steps(setting, ways["plain"])
    found = interleaved(
        setting.device,
        {name: _repeated(step, count) for name, step in ways.items()},
        budget,
        warm_up=len(ways) > 2,  # two of them are warm by now
    )
    images = case.batch * count
    for name, times in found.items():
        faster = ratio(found["plain"], times)
        each = statistics.median(times)
        yield {
            "case": case.name,
            "batch": case.batch,
            "loss": loss,
            "precision": precision,
            "way": name,
            "images/s": images / each,
            "times plain": faster.median,
            "least": faster.least,
            "most": faster.most,
            "of product": counted * images / each / rate,
            "n": len(times),
        }


def _ways(
    setting: Setting, case: Case, loss: str, precision: str
) -> Iterator[tuple[str, Callable[[], Any]]]:
    data, device = random_images(case.shape, _IMAGES), setting.device
    config = case.config(loss, precision=precision)
    yield "plain", plain(config, data, device)
    yield "engine", ours(config, data, device, Engine())
    if not setting.card and case.model["model"] != "small_cnn":
        return  # seconds for each step of a core: the small networks tell the switches apart
    for name, values in {**_SWITCHES, **(_ON_A_CARD if setting.card else {})}.items():
        yield name, ours(config, data, device, replace(Engine(), **values))
    yield "all off", ours(config, data, device, ALL_OFF)


def _steps(setting: Setting, step: Callable[[], Any]) -> int:
    """Return how many steps a timing holds, of which one is tried after a warm-up."""
    step()
    return max(1, math.ceil(_LEAST_SECONDS / seconds(setting.device, step)))


def _repeated(step: Callable[[], Any], count: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(count):
            step()

    return run
