"""The command as a user types it: real Ray, real Optuna storage, a real MLflow database."""

import json
import signal
from dataclasses import asdict

from pipeline.study.remarks import latest
from regmix.config import TrainConfig
from tests.pipeline.conftest import (
    board,
    interrupt_after,
    next_trial,
    run,
    search_arguments,
    shown,
    start,
    states,
)

STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED", "WAITING": "KILLED"}


def agree(runs, printed):
    """Hold study, MLflow and the printed table against each other, trial by trial."""
    trials, (runs_shown, summaries), rows = states(runs), shown(runs), board(printed)
    begun = {number: trial for number, trial in trials.items() if "config" in trial.user_attrs}
    assert set(begun) == set(runs_shown) == set(rows)
    for number, trial in begun.items():
        state, view = trial.state.name, runs_shown[number]
        epochs = sorted(trial.intermediate_values)
        assert rows[number][3] == state == view.data.tags["state"]
        assert view.info.status == STATUS[state]
        assert view.data.params == {k: str(v) for k, v in trial.params.items()}
        assert view.data.tags["reason"] == trial.user_attrs.get("reason", "")
        assert rows[number][0] == str(epochs[-1] if epochs else 0)
        if epochs:
            value = trial.intermediate_values[epochs[-1]]
            measured = trial.user_attrs[f"epoch_{epochs[-1]}"]
            assert view.data.metrics["valid_robust"] == measured["valid_robust"]
            assert measured["co_detected"] or measured["valid_robust"] == value
            assert rows[number][2] == f"{value:.3f}"
        if state == "COMPLETE":
            assert rows[number][1] == f"{trial.value:.3f}"
            assert view.data.metrics["final_robust"] == trial.value
            last = latest(trial)
            for name, found in asdict(last.final.masking).items():
                if found is not None:
                    assert view.data.metrics[f"masking_{name}"] == found
            assert view.data.metrics["co_detected"] == last.co_detected
        else:
            assert rows[number][1] == "-"
            assert "final_robust" not in view.data.metrics
    assert len(summaries) == 1
    return trials


def test_a_search_ends_with_study_view_and_table_in_agreement(finished):
    runs, result = finished
    assert result.code == 0, result.err
    trials = agree(runs, result.out)
    assert len(trials) == 8
    names = {trial.state.name for trial in trials.values()}
    assert names == {"COMPLETE", "PRUNED"}
    for trial in trials.values():
        pruned = trial.state.name == "PRUNED"
        assert (trial.last_step < 4) == pruned
        assert bool(trial.user_attrs.get("reason")) == pruned
        if not pruned:
            last = latest(trial)
            judged = last.final
            assert trial.value == judged.robust <= last.valid_robust
            assert judged.count == trial.user_attrs["config"]["valid_images"]


def test_trial_zero_is_the_recipes_default_and_runs_to_its_end(finished):
    runs, _ = finished
    trial = states(runs)[0]
    assert trial.state.name == "COMPLETE"
    assert trial.params == {"alpha": 1.0, "beta": 0.3, "epsilon_ratio": 1.0}
    assert TrainConfig.from_flat(trial.user_attrs["config"]).epochs == 4


def test_every_epoch_of_every_trial_is_in_mlflow_once(finished):
    from pipeline.tracking.uri import connect

    runs, _ = finished
    client = connect(f"sqlite:///{runs / 'mlflow.db'}")
    views, _ = shown(runs)
    for number, trial in states(runs).items():
        history = client.get_metric_history(views[number].info.run_id, "valid_robust")
        known = {
            e: trial.user_attrs[f"epoch_{e}"]["valid_robust"] for e in trial.intermediate_values
        }
        assert {m.step: m.value for m in history} == known
        assert len(history) == len(trial.intermediate_values)


def test_the_summary_run_carries_leaderboard_and_figures(finished):
    from pipeline.tracking.uri import connect

    runs, _ = finished
    client = connect(f"sqlite:///{runs / 'mlflow.db'}")
    _, (summary,) = shown(runs)
    assert summary.info.status == "FINISHED"
    best = max(t.value for t in states(runs).values() if t.state.name == "COMPLETE")
    assert summary.data.metrics["best_final_robust"] == best
    names = {file.path for file in client.list_artifacts(summary.info.run_id)}
    assert {"leaderboard.txt", "figures.html"} <= names


def test_only_weights_of_complete_trials_stay_on_the_disk(finished):
    runs, _ = finished
    kept: dict[int, set[str]] = {}
    for file in runs.glob("studies/*/trials/*/*"):
        kept.setdefault(int(file.parent.name), set()).add(file.name)
    expected = {}
    for number, trial in states(runs).items():
        if trial.state.name == "COMPLETE":
            earlier = {"best.safetensors"} if latest(trial).best_epoch < 4 else set()
            expected[number] = {"weights.safetensors"} | earlier
    assert kept == expected


def test_typed_again_it_says_that_it_is_complete_and_how_to_extend_it(finished):
    runs, _ = finished
    before = {n: t.datetime_complete for n, t in states(runs).items()}
    again = run("search", *search_arguments(runs, trials=8))
    assert again.code == 0, again.err
    assert "wamr-digits is complete; to extend it, add --trials 20" in again.out
    assert {n: t.datetime_complete for n, t in states(runs).items()} == before


def test_ctrl_c_closes_all_runs_truthfully_and_the_same_command_continues(tmp_path):
    arguments = search_arguments(tmp_path, trials=5, epochs=12)
    stopped = interrupt_after(start("search", *arguments), "trial", signal.SIGINT)
    assert stopped.code == 130, stopped.err
    assert "the same command continues wamr-digits" in stopped.out
    assert stopped.err == ""
    trials = agree(tmp_path, stopped.out)
    assert "RUNNING" not in {t.state.name for t in trials.values()}
    assert "WAITING" in {t.state.name for t in trials.values()}

    resumed = run("search", *arguments)
    assert resumed.code == 0, resumed.err
    assert "continuing wamr-digits" in resumed.out
    after = agree(tmp_path, resumed.out)
    assert len(after) == 5
    assert all(t.state.is_finished() for t in after.values())
    for number, trial in trials.items():  # nothing that was known is lost or changed
        assert after[number].params == trial.params
        known = trial.intermediate_values
        assert known == {e: after[number].intermediate_values[e] for e in known}


def test_a_killed_driver_loses_nothing(tmp_path):
    from regmix.data.digits import digits
    from regmix.images import split

    arguments = search_arguments(tmp_path, "--pruner", "none", trials=5, epochs=12)
    killed = interrupt_after(start("search", *arguments), "trial", signal.SIGKILL)
    assert killed.code == -signal.SIGKILL
    left = states(tmp_path)
    assert "RUNNING" in {trial.state.name for trial in left.values()}

    resumed = run("search", *arguments)
    assert resumed.code == 0, resumed.err
    trials = agree(tmp_path, resumed.out)
    assert [t.state.name for t in trials.values()] == ["COMPLETE"] * 5
    for number, trial in left.items():  # the kill may have come before it had all of them
        assert trials[number].params.items() >= trial.params.items()

    interrupted = next(n for n, t in left.items() if t.state.name == "RUNNING")
    config = TrainConfig.from_flat(trials[interrupted].user_attrs["config"])
    data = split(digits("train"), valid=100, train=320, seed=0)
    known = trials[interrupted].user_attrs
    for epoch, measured in undisturbed(config, data).items():
        assert measured == {**known[f"epoch_{epoch}"], "seconds": measured["seconds"]}


def undisturbed(config, data):
    """Train without any interruption, as a worker would; return epoch -> all that it measures."""
    import torch

    from regmix.training.trainer import RegMixTrainer

    trainer = RegMixTrainer(config, data, torch.device("cpu"))
    return {m.epoch: json.loads(json.dumps(asdict(m))) for m in trainer.epochs()}


def test_trials_that_diverge_are_failures_with_their_reason(tmp_path):
    result = run("search", *search_arguments(tmp_path, trials=6), "lr=1e25")
    assert result.code == 1, result.out + result.err
    assert "the first trials all failed" in result.err
    trials = agree(tmp_path, result.out)
    assert {t.state.name for t in trials.values()} == {"FAIL"}
    assert len(trials) < 6
    assert all("diverged: loss is nan" in t.user_attrs["reason"] for t in trials.values())


def test_a_second_ctrl_c_ends_at_once_and_the_same_command_continues(tmp_path):
    arguments = search_arguments(tmp_path, trials=3, epochs=6)
    begun = start("search", *arguments)
    next_trial(begun)
    begun.send_signal(signal.SIGINT)
    assert any(line == "stopping; nothing is lost\n" for line in begun.stdout)
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=100)
    assert begun.returncode == 130, out + err
    if err:  # else it had stopped before the second one came
        assert err == "interrupted at once; nothing is lost: the same command continues\n"
    again = run("search", *arguments)
    assert again.code == 0, again.err
    trials = agree(tmp_path, again.out)
    assert [trial.state.is_finished() for trial in trials.values()] == [True] * 3


def test_sigterm_stops_as_ctrl_c_does(tmp_path):
    arguments = search_arguments(tmp_path, trials=5, epochs=12)
    stopped = interrupt_after(start("search", *arguments), "trial", signal.SIGTERM)
    assert (stopped.code, stopped.err) == (130, ""), stopped.err
    assert "the same command continues wamr-digits" in stopped.out
    assert "RUNNING" not in {t.state.name for t in agree(tmp_path, stopped.out).values()}


def test_ctrl_c_before_the_first_trial_is_a_line_and_the_status_130(tmp_path):
    begun = start("search", *search_arguments(tmp_path, trials=2))
    journal = tmp_path / "studies" / "wamr-digits" / "journal.log"
    while not (journal.exists() and b'"op_code":4' in journal.read_bytes()):  # trial 0 is waiting
        assert begun.poll() is None, begun.communicate()
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=100)
    assert begun.returncode == 130, out + err
    assert "Traceback" not in out + err
    assert {trial.state.name for trial in states(tmp_path).values()} == {"WAITING"}


def test_a_budget_that_is_used_up_ends_the_study_with_every_trial_closed(tmp_path):
    arguments = search_arguments(tmp_path, "--budget", "25s", epochs=40, trials=500)
    result = run("search", *arguments)
    assert result.code == 0, result.err
    trials = agree(tmp_path, result.out)
    assert all(trial.state.is_finished() for trial in trials.values())
    again = run("search", *arguments)
    assert "wamr-digits is complete; to extend it, add --budget " in again.out
    assert len(states(tmp_path)) == len(trials)
