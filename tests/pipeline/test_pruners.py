"""Every pruner: keeps a winner, stops a loser, says why, and remembers through a new storage."""

import math

import optuna
import pytest

from pipeline import pruners
from pipeline.pruners.halving import Halving, halving
from pipeline.store import open_storage

EPOCHS = 12


def study_with(curves, place=None):
    """A study that knows these curves as complete trials."""
    storage = open_storage(None, place) if place else None
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    for curve in curves:
        trial = study.ask()
        for epoch, value in enumerate(curve, start=1):
            trial.report(value, epoch)
        study.tell(trial, curve[-1])
    return study


def stopped_at(pruner, study, curve):
    """Return the epoch at which the pruner stops a new trial, with its reason."""
    trial = study.ask()
    for epoch, value in enumerate(curve, start=1):
        trial.report(value, epoch)
        reason = pruner.reason(study, study.get_trials()[trial.number])
        if reason is not None:
            return epoch, reason
    return None


def rising(height):
    return [height * (1 - math.exp(-epoch / 4)) for epoch in range(1, EPOCHS + 1)]


@pytest.mark.parametrize("name", [name for name in pruners.names() if name != "none"])
def test_a_winner_goes_on_and_a_loser_stops_with_a_reason(name):
    study = study_with([rising(0.1 * height) for height in range(1, 9)])
    pruner = pruners.build(name, EPOCHS)
    assert stopped_at(pruner, study, rising(0.9)) is None
    epoch, reason = stopped_at(pruner, study, rising(0.05))
    assert EPOCHS / 5 <= epoch < EPOCHS
    assert str(epoch) in reason and len(reason) < 80


@pytest.mark.parametrize("name", pruners.names())
def test_the_first_trials_go_on(name):
    pruner = pruners.build(name, EPOCHS)
    assert stopped_at(pruner, study_with([]), rising(0.1)) is None


def test_none_prunes_nothing():
    study = study_with([rising(0.9)] * 8)
    assert stopped_at(pruners.build("none", EPOCHS), study, [0.0] * EPOCHS) is None


@pytest.mark.parametrize("name", [name for name in pruners.names() if name != "none"])
def test_what_was_known_is_known_after_the_driver_died(name, tmp_path):
    study = study_with([rising(0.1 * height) for height in range(1, 9)], tmp_path)
    pruner = pruners.build(name, EPOCHS)
    before = stopped_at(pruner, study, rising(0.05))
    again = optuna.load_study(study_name="s", storage=open_storage(None, tmp_path))
    epoch, _ = stopped_at(pruners.build(name, EPOCHS), again, rising(0.04))
    assert before[0] == epoch


@pytest.mark.parametrize(
    ("epochs", "rungs"),
    [(1, ()), (4, (1, 2)), (5, (1, 2, 4)), (12, (3, 6)), (30, (6, 12, 24)), (110, (22, 44, 88))],
)
def test_halvings_first_rung_is_no_earlier_than_a_fifth_of_the_epochs(epochs, rungs):
    assert halving(epochs).rungs == rungs
    assert not rungs or rungs[0] >= epochs / 5


def test_halving_keeps_the_best_third_at_a_rung():
    pruner = Halving(rungs=(1,))
    verdicts = []
    study = study_with([])
    for value in (0.5, 0.1, 0.6, 0.2, 0.55):
        verdicts.append(stopped_at(pruner, study, [value]) is None)
    assert verdicts == [True, False, True, False, True]  # ranks 1/1, 2/2, 1/3, 3/4, 2/5


def test_a_tie_goes_on():
    study = study_with([])
    pruner = Halving(rungs=(1,))
    assert [stopped_at(pruner, study, [0.0]) for _ in range(4)] == [None] * 4
