"""Part `judge`: what each step of the judge costs, and whether its verdicts change.

The same weights are judged in every way. "Before" is the judge without any of the steps: no
buckets, no folding, PGD of 20 + 20 steps of a quarter of epsilon, an ensemble at each epoch.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from benchmarks.measures.cases import ALL_OFF
from benchmarks.measures.clock import seconds
from benchmarks.measures.configurations import config as configured
from benchmarks.measures.configurations import drawn
from benchmarks.measures.setting import Budget, Row, Setting, skipped
from regmix.config import TrainConfig
from regmix.engine import Engine
from regmix.evaluation.results import unpack
from regmix.evaluation.validator import Validator
from regmix.images import Images, Split
from regmix.reading import read_part
from regmix.training.trainer import RegMixTrainer

_COUNT = 16
_EPOCHS = 6  # of their trainings: half of the recipe's
_EVERY_WAY = 4  # networks that are judged in every way
_FEWEST = 3  # networks that are judged in any case


@dataclass(frozen=True)
class Way:
    """A way of judging: an engine, and values of the configuration."""

    engine: Engine
    changes: Mapping[str, object]


CONSTANT = {"eval_step_schedule": "constant", "eval_steps": 20}
FALLING = {"eval_step_schedule": "falling", "eval_steps": 10}
_BUCKETS = replace(ALL_OFF, bucket=Engine().bucket)
_FOLDED = replace(_BUCKETS, folded=True)
_LAST = replace(_FOLDED, channels_last=True)
BEFORE = "before"
WAYS = {  # each holds the one above it
    BEFORE: Way(ALL_OFF, CONSTANT),
    "+ buckets": Way(_BUCKETS, CONSTANT),
    "+ folded": Way(_FOLDED, CONSTANT),
    "+ channels_last": Way(_LAST, CONSTANT),
    "+ falling step, 10 + 10": Way(_LAST, FALLING),
}


_ENDS = {name: WAYS[name] for name in (BEFORE, list(WAYS)[-1])}


@dataclass(frozen=True)
class Verdict:
    """What one judge says of one network, and what that costs."""

    seconds: float  # see `clock.seconds`
    epoch: torch.Tensor  # (N,) bool: survives the ensemble of an epoch
    end: list[bool]  # survives the level of the end


def trained(config: TrainConfig, data: Split, device: torch.device) -> nn.Module:
    """Train a configuration to its end, and return its averaged weights; nothing is judged fully.

    Args:
        config: run.
        data: its images; a few of those for validation are looked at after each epoch.
        device: device of the training.
    """
    few = data.valid.take(np.arange(min(32, len(data.valid))))
    trainer = RegMixTrainer(config, Split(data.train, few), device)
    for _ in trainer.epochs():
        pass
    return trainer.average.model


def judged(
    way: Way, config: TrainConfig, valid: Images, network: nn.Module, device: torch.device
) -> Verdict:
    """Judge a network in one way, as after its last epoch."""
    changed = TrainConfig.from_flat({**config.flat(), **way.changes})
    judge = Validator(changed, valid, device, engine=way.engine)
    answers = []

    def ask() -> None:
        ensemble = judge.per_epoch(network)
        answers.append((ensemble, judge.final(network, ensemble)))

    spent = seconds(device, ask)
    ensemble, final = answers[0]
    return Verdict(spent, ensemble.robust_mask.cpu(), unpack(final.survivors, final.count))


def measure(setting: Setting, budget: Budget, count: int = _COUNT) -> Iterator[Row]:
    """Yield a row for each way, over networks of `count` configurations of digits.

    Ways between the first and the last judge the first few networks alone.

    Args:
        setting: device.
        budget: time for all; networks that do not fit into it are told.
        count: number of configurations.
    """
    points, found = drawn(count), []
    first = configured(points[0])
    data = first.split(read_part(first.data.name, first.data.options, "train"))
    for number, point in enumerate(points):
        if budget.left <= 0 and number >= _FEWEST:
            yield skipped(f"{count - number} of {count} networks", "its time was up")
            break
        ways = WAYS if number < _EVERY_WAY else _ENDS
        found.append(verdicts(configured(point, epochs=_EPOCHS), data, setting.device, ways))
    yield from compared(found)


def verdicts(
    config: TrainConfig, data: Split, device: torch.device, ways: Mapping[str, Way]
) -> dict[str, Verdict]:
    """Train a network, and judge it in each way.

    Args:
        config: its run.
        data: images to train on and to judge by.
        device: device of both.
        ways: name -> way.
    """
    network = trained(config, data, device)
    return {name: judged(way, config, data.valid, network, device) for name, way in ways.items()}


def compared(found: list[dict[str, Verdict]]) -> Iterator[Row]:
    """Yield a row for each way, held against the first over the networks that both judged.

    Args:
        found: for each network: name of the way -> its verdict.
    """
    for name in found[0]:
        yield {"judge": name, **_held([(one[BEFORE], one[name]) for one in found if name in one])}


def _held(pairs: list[tuple[Verdict, Verdict]]) -> Row:
    """Return what tells a way from the first, over the verdicts of both on some networks."""
    from benchmarks.curves import rank_correlation  # loads what a card's machine may lack

    before, now = ([sum(pair[place].end) for pair in pairs] for place in range(2))
    images = sum(len(one.end) for _, one in pairs)
    spent = [sum(pair[place].seconds for pair in pairs) for place in range(2)]
    return {
        "s each": spent[1] / len(pairs),
        "times before": spent[0] / spent[1],
        "epoch verdicts differ": sum(int((a.epoch != b.epoch).sum()) for a, b in pairs),
        "end verdicts differ": sum(
            one != other for a, b in pairs for one, other in zip(a.end, b.end, strict=True)
        ),
        "of images": images,
        "robust": sum(now) / images,
        "more robust by": (sum(now) - sum(before)) / images,
        "Spearman": rank_correlation(before, now) if len(pairs) > 2 else math.nan,
        "networks": len(pairs),
    }
