"""Part `trial`: CPU seconds of a whole trial on digits, with each step of the judge in turn."""

import statistics
from collections.abc import Callable, Iterator, Mapping

from benchmarks.measures.clock import interleaved, ratio
from benchmarks.measures.configurations import config as configured
from benchmarks.measures.configurations import drawn
from benchmarks.measures.judging import BEFORE, WAYS, Way
from benchmarks.measures.setting import Budget, Row, Setting
from regmix.config import TrainConfig
from regmix.engine import Engine
from regmix.images import Split
from regmix.reading import read_part
from regmix.training.trainer import RegMixTrainer

RUNGS = 3  # epochs between two ensembles
_LAST = WAYS["+ falling step, 10 + 10"]
TRIALS: dict[str, Way] = {
    **{name: Way(way.engine, {**way.changes, "eval_every": 1}) for name, way in WAYS.items()},
    "+ ensemble at rungs": Way(_LAST.engine, {**_LAST.changes, "eval_every": RUNGS}),
    "+ flat": Way(Engine(), {**_LAST.changes, "eval_every": RUNGS}),
}


def measure(setting: Setting, budget: Budget) -> Iterator[Row]:
    """Yield a row for each way of a whole trial, from its network's first weights to its end."""
    config = configured(drawn(1)[0])
    data = config.split(read_part(config.data.name, config.data.options, "train"))
    yield from measure_ways(setting, budget, config, data, TRIALS)


def measure_ways(
    setting: Setting,
    budget: Budget,
    config: TrainConfig,
    data: Split,
    ways: Mapping[str, Way],
) -> Iterator[Row]:
    """Yield a row for each of the ways; see `measure`."""

    def trial(way: Way) -> Callable[[], object]:
        changed = TrainConfig.from_flat({**config.flat(), **way.changes})
        return lambda: list(RegMixTrainer(changed, data, setting.device, way.engine).epochs())

    works = {name: trial(way) for name, way in ways.items()}
    found = interleaved(setting.device, works, budget, least_rounds=1, warm_up=False)
    for name, times in found.items():
        faster = ratio(found[BEFORE], times)
        yield {
            "trial": name,
            "epochs": config.epochs,
            "CPU s": statistics.median(times),
            "times before": faster.median,
            "least": faster.least,
            "most": faster.most,
            "n": len(times),
        }
