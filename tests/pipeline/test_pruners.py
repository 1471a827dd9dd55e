"""Every pruner: keeps a winner, stops a loser, says why, and remembers through a new storage."""

import re

import optuna
import pytest

from pipeline import pruners
from pipeline.pruners._optuna import OptunaPruner
from pipeline.pruners.halving import Halving, halving
from pipeline.pruners.hyperband import hyperband
from pipeline.pruners.patient import Patient
from pipeline.study.records import TrialWriter
from pipeline.study.remarks import kind_of_stop
from pipeline.study.storage import open_storage
from regmix.errors import InputError
from regmix.plugins import Plugins, install
from tests.support.controllers import controller_at, epoch_result, metrics
from tests.support.plugin_folders import own_registry, written

EPOCHS = 12
RULES = [name for name in pruners.names() if name not in ("none", "collapse", "freeze")]
"""Those that compare curves alone; `freeze` also looks at configurations: `test_freeze.py`."""


def report(trial, epoch, value, clean=None, **more):
    """Let a trial have an epoch as the controller stores it."""
    sound = {"raw_fgsm": 0.4, "raw_pgd": 0.3, "co_drop": 0.0}
    found = metrics(epoch, value, clean=value if clean is None else clean, **{**sound, **more})
    TrialWriter(trial).epoch(found)
    trial.report(value, epoch)


def study_with(curves, place=None):
    """A study that knows these curves as complete trials."""
    storage = open_storage(None, place) if place else None
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    for curve in curves:
        trial = study.ask()
        for epoch, value in enumerate(curve, start=1):
            report(trial, epoch, value)
        study.tell(trial, curve[-1])
    return study


def stopped_at(pruner, study, curve):
    """Return the epoch at which the pruner stops a new trial, with its reason."""
    trial = study.ask()
    for epoch, value in enumerate(curve, start=1):
        report(trial, epoch, value)
        stop = pruner.stop(study, study.get_trials()[trial.number])
        if stop is not None:
            return epoch, stop.reason
    return None


def rising(height):
    """A curve that reaches its height after three quarters of the epochs."""
    return [height * min(1, epoch / 9) for epoch in range(1, EPOCHS + 1)]


@pytest.mark.parametrize(
    ("epochs", "every", "expected"),
    [(12, 1, (3, 6)), (12, 3, (3, 6)), (12, 5, (5, 10)), (30, 3, (6, 12, 24)), (30, 4, (8, 16))]
    + [(110, 3, (24, 48, 96)), (4, 3, (3,)), (2, 3, ())],
)
def test_rungs_are_epochs_that_have_a_validation(epochs, every, expected):
    assert halving(epochs, every).rungs == expected
    assert f"rungs={expected}" in repr(pruners.build("collapse+halving", epochs, every))
    assert hyperband(epochs, every).rungs[0] == expected


@pytest.mark.parametrize("name", RULES)
def test_a_winner_goes_on_and_a_loser_stops_with_a_reason(name):
    study = study_with([rising(0.1 * height) for height in range(1, 22)])
    pruner = pruners.build(name, EPOCHS)
    assert stopped_at(pruner, study, rising(2.2)) is None
    epoch, reason = stopped_at(pruner, study, rising(0.05))
    assert EPOCHS / 5 <= epoch < EPOCHS
    assert str(epoch) in reason and len(reason) < 100


@pytest.mark.parametrize("name", pruners.names())
def test_the_first_trials_go_on(name):
    pruner = pruners.build(name, EPOCHS)
    assert stopped_at(pruner, study_with([]), rising(0.1)) is None


def test_none_prunes_nothing():
    study = study_with([rising(0.9)] * 8)
    assert stopped_at(pruners.build("none", EPOCHS), study, [0.0] * EPOCHS) is None


@pytest.mark.parametrize("name", RULES)
def test_what_was_known_is_known_after_the_driver_died(name, tmp_path):
    study = study_with([rising(0.1 * height) for height in range(1, 22)], tmp_path)
    pruner = pruners.build(name, EPOCHS)
    before = stopped_at(pruner, study, rising(0.05))
    for _ in range(6):  # hyperband deals its brackets to seven
        study.ask()
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


def test_halving_keeps_the_best_half_at_a_rung():
    pruner = Halving(rungs=(1,))
    verdicts = []
    study = study_with([])
    for value in (0.5, 0.1, 0.4, 0.2, 0.3):
        verdicts.append(stopped_at(pruner, study, [value]) is None)
    assert verdicts == [True, False, True, False, True]  # ranks 1/1, 2/2, 2/3, 3/4, 3/5


def test_a_tie_goes_on():
    study = study_with([])
    pruner = Halving(rungs=(1,))
    assert [stopped_at(pruner, study, [0.0]) for _ in range(4)] == [None] * 4


def test_hyperband_compares_within_a_bracket_and_the_last_one_prunes_nothing():
    pruner = hyperband(EPOCHS)
    assert pruner.rungs == ((3, 6), (6,), ())
    dealt = [pruner.bracket(number) for number in range(14)]
    assert [dealt.count(bracket) for bracket in range(3)] == [8, 4, 2]
    study = study_with([rising(0.1 * height) for height in range(1, 22)])  # 21 = 3 * 7
    ends = [stopped_at(pruner, study, rising(0.01)) for _ in range(7)]
    epochs = [end and end[0] for end in ends]
    assert epochs == [3, 6, 3, None, 3, 6, 3]
    assert "rank 13 of 13" in ends[0][1] and "(bracket 1)" in ends[0][1]  # 12 of 21 are rivals


def test_patience_lets_a_trial_rise_and_stops_it_once_it_does_not():
    study = study_with([rising(0.1 * height) for height in range(1, 22)])
    pruner = pruners.build("patient+median", EPOCHS)
    assert isinstance(pruner, Patient) and pruner.patience == 2
    flat = [0.05] * EPOCHS
    assert stopped_at(pruners.build("median", EPOCHS), study, flat)[0] == 3
    assert stopped_at(pruner, study, flat)[0] == 3  # its best is two epochs ago
    assert stopped_at(pruner, study, [0.01, 0.02, 0.03, 0.04, 0.04, 0.04])[0] == 6


def test_an_overfitted_trial_stops_in_its_epoch_for_certain():
    study, pruner = study_with([]), pruners.build("collapse+none", EPOCHS)
    trial = study.ask()
    report(trial, 1, 0.4)
    assert pruner.stop(study, study.get_trials()[0]) is None
    report(trial, 2, 0.4, co_detected=True, raw_fgsm=0.6, raw_pgd=0.02, co_drop=0.39)
    stop = pruner.stop(study, study.get_trials()[0])
    assert stop.certain
    assert stop.reason == (
        "catastrophic overfitting in epoch 2: 0.600 under FGSM, 0.020 under PGD, which fell from "
        "0.410"
    )


def test_a_sound_trial_within_collapse_is_left_to_the_inner_pruner():
    study = study_with([rising(0.1 * height) for height in range(1, 22)])
    inner, outer = (pruners.build(spec, EPOCHS) for spec in ("halving", "collapse+halving"))
    assert stopped_at(inner, study, rising(0.05)) == (
        3,
        "rank 22 of 22 at epoch 3, the limit is 11",
    )
    assert stopped_at(outer, study, rising(0.05)) == (
        3,
        "rank 22 of 23 at epoch 3, the limit is 12",
    )


def test_what_is_best_in_clean_accuracy_is_spared_where_the_front_is_sought():
    study = study_with([rising(0.1 * height) for height in range(1, 22)])
    pruner = pruners.build("dominated+halving", EPOCHS)
    trial = study.ask()
    for epoch in (1, 2, 3):
        report(trial, epoch, 0.01, clean=0.9)
    assert pruner.stop(study, study.get_trials()[trial.number]) is None
    other = study.ask()
    for epoch in (1, 2, 3):
        report(other, epoch, 0.005, clean=0.9)
    reason = pruner.stop(study, study.get_trials()[other.number]).reason
    assert reason.endswith(f"and trial {trial.number} beats it in both accuracies")


OPTUNAS = {
    "percentile": optuna.pruners.PercentilePruner(25.0, n_startup_trials=5, n_warmup_steps=2),
    "middle": optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
    "threshold": optuna.pruners.ThresholdPruner(lower=0.06, n_warmup_steps=2),
}


@pytest.mark.parametrize("name", OPTUNAS)
def test_any_pruner_of_optuna_keeps_a_winner_and_stops_a_loser_with_a_reason(name):
    study = study_with([rising(0.1 * height) for height in range(1, 22)])
    pruner = OptunaPruner(name, OPTUNAS[name])
    assert stopped_at(pruner, study, rising(2.2)) is None
    reason = f"{name} stops it at epoch 2 with 0.050"  # `n_warmup_steps` is 2
    assert stopped_at(pruner, study, [0.05] * EPOCHS) == (2, reason)


@pytest.mark.parametrize("name", OPTUNAS)
def test_a_pruner_of_optuna_says_what_it_says_in_optunas_own_loop(name):
    """There an epoch is in the study before the pruner is asked; here it is stored afterwards."""
    curves = [rising(0.1 * height) for height in range(1, 22)]
    for height in (0.01, 0.3, 0.8, 1.1, 1.6):
        study = study_with(curves)
        study.pruner = OPTUNAS[name]
        trial, stopped = study.ask(), None
        for epoch, value in enumerate(rising(height), start=1):
            trial.report(value, epoch)
            if trial.should_prune():
                stopped = epoch
                break
        here = stopped_at(OptunaPruner(name, OPTUNAS[name]), study_with(curves), rising(height))
        assert (here and here[0]) == stopped


PERCENTILE = """\
from optuna.pruners import PercentilePruner


def percentile(epochs):
    return PercentilePruner(50.0, n_startup_trials=1)
"""


def test_a_pruner_of_optuna_from_a_plugin_folder_decides_over_a_study(tmp_path):
    folder = written(tmp_path / "own", {"pruners/percentile.py": PERCENTILE})
    with own_registry():
        install(Plugins.read(folder))
        controller = controller_at(tmp_path, pruner="collapse+percentile")
    for value in (0.4, 0.1):
        number = controller.ask().number
        for epoch in range(1, 5):
            outcome = controller.report(number, epoch_result(epoch, value))
            if outcome:
                controller.tell(number, outcome)
                break
    stopped = controller.record.trial(1)
    assert (stopped.state, stopped.last_epoch) == ("PRUNED", 1)
    assert stopped.reason == "percentile stops it at epoch 1 with 0.100"


FLOOR = """\
from pipeline.study.contracts import Stop


class Floor:
    def stop(self, study, trial):
        low = trial.intermediate_values[trial.last_step] < 0.2
        return Stop(f"at epoch {trial.last_step} it is low", certain=True) if low else None


def floor(epochs):
    return Floor()
"""
AROUND = """\
from pipeline.study.contracts import Stop


class Around:
    def __init__(self, inner):
        self.inner = inner

    def stop(self, study, trial):
        value = trial.intermediate_values[trial.last_step]
        return Stop("is high") if value > 0.8 else self.inner.stop(study, trial)


def around(epochs, inner=None):
    return Around(inner)
"""


@pytest.mark.parametrize(
    ("spec", "value", "reason", "kind"),
    [
        ("floor", 0.1, "floor: at epoch 1 it is low", "by floor"),
        ("collapse+floor", 0.1, "floor: at epoch 1 it is low", "by floor"),
        ("around+floor", 0.1, "floor: at epoch 1 it is low", "by floor"),
        ("around+floor", 0.9, "around: is high", "by around"),
    ],
)
def test_a_stop_names_the_plug_in_that_decided_it(tmp_path, spec, value, reason, kind):
    files = {"pruners/floor.py": FLOOR, "pruners/around.py": AROUND}
    with own_registry():
        install(Plugins.read(written(tmp_path / "own", files)))
        found = stopped_at(pruners.build(spec, EPOCHS), study_with([]), [value])
    assert found == (1, reason)
    assert kind_of_stop(reason) == kind
    assert kind_of_stop("the reason of a study that is older") == ""


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("collapse+halfing", "unknown pruner 'halfing'; did you mean 'halving'?"),
        ("halving+none", "halving goes round no other pruner; put it last"),
    ],
)
def test_a_wrong_combination_is_refused(spec, message):
    with pytest.raises(InputError, match=re.escape(message)):
        pruners.build(spec, EPOCHS)
