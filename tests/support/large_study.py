"""Studies of any number of trials, written at once as a driver would have left them."""

import json
import math
from dataclasses import asdict
from datetime import datetime, timedelta

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

from pipeline.study.storage import find_study
from regmix.evaluation.results import FinalEvaluation, pack
from tests.support.controllers import (
    EPOCHS,
    MACHINE,
    VERSIONS,
    metrics,
    no_masking,
    problem_of,
)
from tests.support.histories import Lines, study_in

IMAGES = 200
_BEGIN = datetime(2026, 1, 1)


def write_study(
    place,
    trials,
    *,
    reason="rank 5 of 7 at epoch 2, the limit is 3",
    seed=0,
    overfitted=True,
    name="s",
):
    """Write a study's journal: the recipe's default, then random trials.

    The objective depends on the first parameter alone, but for noise. Of each seven trials one
    fails, one overfits, and others are stopped.

    Args:
        place: folder of the study.
        trials: number of trials.
        reason: why trials were stopped.
        seed: of all chance.
        overfitted: whether some overfit, whatever their parameters are.
        name: of the study.
    """
    journal, chance = Lines(), np.random.default_rng(seed)
    study = study_in(journal, followed=False, name=name).study
    ranges = _distributions()
    study.add_trials(
        [_trial(number, ranges, chance, reason, overfitted) for number in range(trials)]
    )
    place.mkdir(parents=True, exist_ok=True)
    (place / "journal.log").write_text("".join(f"{line}\n" for line in journal.lines))
    return find_study(name, None, place)


def _distributions():
    study = optuna.create_study()
    problem_of().space.suggest(study.ask())
    return study.trials[0].distributions


def _trial(number, ranges, chance, reason, overfitted):
    shares = {name: chance.random() for name in ranges}
    params = {name: _value(one, shares[name]) for name, one in ranges.items()}
    if not number:
        params = problem_of().default()
        shares = dict.fromkeys(ranges, 0.4)
    level = 0.3 + 0.3 * math.sin(math.pi * next(iter(shares.values()))) + chance.normal(0, 0.01)
    state, last, why = _end(number if overfitted or number % 7 != 5 else 7, chance, reason)
    epochs = [_epoch(e, level, chance, state, last, why) for e in range(1, last + 1)]
    values = {one.epoch: one.valid_robust for one in epochs}
    attributes = {
        "config": dict(problem_of().config(params).flat()),
        "computed_on": [{"epoch": 1, "machine": MACHINE, "versions": VERSIONS}],
        "outcome": {"epoch": last, "state": state, "reason": why},
        **{f"epoch_{one.epoch}": asdict(one) for one in epochs},
        **({} if number else {"origin": "default"}),
        **({"would_prune": reason} if number and state == "COMPLETE" and number % 4 == 0 else {}),
        **({"retries": ["its worker process died"]} if number % 11 == 5 else {}),
    }
    final = epochs[-1].final
    made = create_trial(
        state=TrialState[state],
        value=final.robust if final else None if state == "FAIL" else values[last],
        params=params,
        distributions=ranges,
        user_attrs=json.loads(json.dumps(attributes)),
        intermediate_values=values,
    )
    made.datetime_start = _BEGIN + timedelta(seconds=20 * (number // 2) + 2 * (number % 2))
    made.datetime_complete = made.datetime_start + timedelta(seconds=4 * last)
    return made


def _end(number, chance, reason):
    """Return state, last epoch and reason of a trial."""
    kind = number % 7
    if kind in (0, 2, 4) or number < 3:
        return "COMPLETE", EPOCHS, ""
    if kind == 6:
        return "FAIL", 1, "diverged: the loss is nan in epoch 2"
    if kind == 5:
        return "PRUNED", 3, "catastrophic overfitting in epoch 3: PGD 0.02, FGSM 0.61"
    return "PRUNED", int(chance.integers(1, EPOCHS)), f"{reason}; trial {number}"


def _epoch(epoch, level, chance, state, last, why):
    robust = round(level * (0.6 + 0.4 * epoch / EPOCHS) + chance.normal(0, 0.005), 4)
    hit = "catastrophic" in why and epoch == last
    found = metrics(epoch, 0.03 if hit else robust, clean=round(0.95 - level / 5, 4))
    final = None
    if epoch == EPOCHS and state == "COMPLETE":
        survived = [bool(one) for one in chance.random(IMAGES) < level]
        final = FinalEvaluation(sum(survived), IMAGES, no_masking(), pack(survived))
    return type(found)(**{**vars(found), "co_detected": hit, "final": final})


def _value(one, share):
    if hasattr(one, "choices"):
        return one.choices[int(share * len(one.choices))]
    low, high = one.low, one.high
    if one.log:
        return float(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))
    return float(low + share * (high - low))
