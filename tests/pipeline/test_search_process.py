"""The command as a user types it: real Ray, real Optuna storage, a real MLflow database."""

import contextlib
import json
import signal
from dataclasses import asdict

import pytest

from regmix.config import TrainConfig
from tests.support.killing import processes
from tests.support.processes import call, interrupt_after, run, start, wait_for
from tests.support.studies import (
    agree,
    measured,
    search_arguments,
    shown,
    states,
)


def test_a_search_ends_with_study_view_and_table_in_agreement(finished):
    runs, result = finished
    assert result.code == 0, result.err
    assert (
        "read 1,397 training images, 10 classes, 8x8 grey; 400 test images stay unread"
        in result.out
    )
    trials = agree(runs, result.out)
    assert len(trials) == 8
    names = {trial.state for trial in trials.values()}
    assert names == {"COMPLETE", "PRUNED"}
    for trial in trials.values():
        pruned = trial.state == "PRUNED"
        assert (trial.last_epoch < 4) == pruned
        assert bool(trial.reason) == pruned
        if not pruned:
            last = trial.latest
            judged = last.final
            assert trial.final_robust == judged.robust <= last.valid_robust
            assert judged.count == trial.config["valid_images"]


def test_trial_zero_is_the_recipes_default_and_runs_to_its_end(finished):
    runs, _ = finished
    trial = states(runs)[0]
    assert trial.state == "COMPLETE"
    assert trial.params == {"alpha": 5.0, "beta": 1.0, "epsilon_ratio": 1.0}
    assert TrainConfig.from_flat(trial.config).epochs == 4


def test_every_epoch_of_every_trial_is_in_mlflow_once(finished):
    from pipeline.tracking.uri import connect

    runs, _ = finished
    client = connect(f"sqlite:///{runs / 'mlflow.db'}")
    views, _ = shown(runs)
    for number, trial in states(runs).items():
        history = client.get_metric_history(views[number].info.run_id, "valid_robust")
        known = {e: measured(trial, e)["valid_robust"] for e in trial.values}
        assert {m.step: m.value for m in history} == known
        assert len(history) == len(trial.values)


def test_the_summary_run_carries_leaderboard_and_report(finished):
    from pipeline.tracking.uri import connect

    runs, _ = finished
    client = connect(f"sqlite:///{runs / 'mlflow.db'}")
    _, (summary,) = shown(runs)
    assert summary.info.status == "FINISHED"
    best = max(t.final_robust for t in states(runs).values() if t.state == "COMPLETE")
    assert summary.data.metrics["best_final_robust"] == best
    names = {file.path for file in client.list_artifacts(summary.info.run_id)}
    assert {"leaderboard.txt", "report.html"} <= names


def test_only_weights_of_complete_trials_stay_on_the_disk(finished):
    runs, _ = finished
    kept: dict[int, set[str]] = {}
    for file in runs.glob("studies/*/trials/*/*"):
        kept.setdefault(int(file.parent.name), set()).add(file.name)
    expected = {}
    for number, trial in states(runs).items():
        if trial.state == "COMPLETE":
            earlier = {"best.safetensors"} if trial.latest.best_epoch < 4 else set()
            expected[number] = {"weights.safetensors"} | earlier
    assert kept == expected


def test_typed_again_it_says_that_it_is_complete_and_how_to_extend_it(searched):
    before = {n: t.frozen.datetime_complete for n, t in states(searched).items()}
    again = run("search", *search_arguments(searched, trials=8))
    assert again.code == 0, again.err
    assert "wamr-digits is complete; to extend it, add --trials 16" in again.out
    assert {n: t.frozen.datetime_complete for n, t in states(searched).items()} == before


@pytest.mark.process(seconds=60)
def test_whatever_ends_it_nothing_is_lost_and_the_same_command_continues(tmp_path, cluster):
    """Ctrl-C before the first trial, SIGTERM, Ctrl-C, Ctrl-C twice, and SIGKILL, on one study."""
    typed = search_arguments(tmp_path / "runs", "--pruner", "none", trials=4, epochs=12)

    early = start("search", *typed, "--concurrency", "1", cold=True)
    journal = tmp_path / "runs" / "studies" / "wamr-digits" / "journal.log"
    wait_for(lambda: journal.exists() and b'"op_code":4' in journal.read_bytes(), early)
    early.send_signal(signal.SIGINT)  # while trial 0 waits
    out, err = early.communicate(timeout=100)
    assert early.returncode == 130, out + err
    assert "Traceback" not in out + err
    assert {trial.state for trial in states(tmp_path / "runs").values()} == {"WAITING"}

    known = stopped_by_sigterm(tmp_path, typed)
    stopped = interrupt_after(start("search", *typed, *cluster), "trial", signal.SIGINT)
    assert (stopped.code, stopped.err) == (130, ""), stopped.err
    assert "continuing wamr-digits" in stopped.out
    known = closed(tmp_path / "runs", stopped.out, known)

    twice = start("search", *typed, *cluster, "--concurrency", "1")
    train(twice, tmp_path / "runs", 2)
    twice.send_signal(signal.SIGINT)
    assert any(line == "stopping; nothing is lost\n" for line in twice.stdout)
    twice.send_signal(signal.SIGINT)
    out, err = twice.communicate(timeout=100)
    assert twice.returncode == 130, out + err
    if err:  # else it had stopped before the second one came
        assert err == "interrupted at once; nothing is lost: the same command continues\n"
    known = kept(known, states(tmp_path / "runs"))

    killed = start("search", *typed, *cluster)
    train(killed, tmp_path / "runs", 4)
    killed.kill()
    killed.communicate()
    left = kept(known, states(tmp_path / "runs"))
    assert "RUNNING" in {trial.state for trial in left.values()}

    resumed = run("search", *typed, *cluster)
    assert resumed.code == 0, resumed.err
    assert "continuing wamr-digits" in resumed.out
    trials = kept(left, agree(tmp_path / "runs", resumed.out))
    assert [trial.state for trial in trials.values()] == ["COMPLETE"] * 4
    interrupted = trials[next(n for n, t in left.items() if t.state == "RUNNING")]
    for epoch, found in uninterrupted(interrupted.config).items():
        assert found == {**measured(interrupted, epoch), "seconds": found["seconds"]}


def stopped_by_sigterm(place, typed):
    """Stop it so while files appear in Ray's scratch, as from workers that end late."""
    (place / "tmp").mkdir()
    variables = {"TMPDIR": str(place / "tmp"), "RAY_TMPDIR": "/tmp"}  # sockets have short names
    process = start("search", *typed, "--concurrency", "1", environment=variables)
    train(process, place / "runs", 2)
    assert processes(process, "raylet")  # its own, though a cluster was started here before
    (scratch,) = (place / "tmp").glob("regmix-*")
    process.send_signal(signal.SIGTERM)
    while process.poll() is None:
        for name in range(10):
            with contextlib.suppress(OSError):
                (scratch / str(name)).mkdir()
    out, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    return closed(place / "runs", out, {})


def train(process, runs, epochs):
    """Wait until so many more epochs are in the study."""

    def count():
        return sum(len(trial.values) for trial in states(runs).values())

    before = count()
    wait_for(lambda: count() >= before + epochs, process)


def closed(runs, printed, before):
    """Prove that a stopped search has closed all of its runs truthfully; return its trials."""
    assert "the same command continues wamr-digits" in printed
    trials = kept(before, agree(runs, printed))
    for number, trial in trials.items():
        if trial.values and not trial.ended:  # what an epoch had told, its trial wrote when asked
            assert written(runs, number) >= trial.last_epoch
    found = {trial.state for trial in trials.values()}
    assert "RUNNING" not in found and "WAITING" in found
    return trials


def written(runs, number):
    """Return how many epochs a trial's checkpoint has."""
    from regmix.training import checkpoint

    (file,) = runs.glob(f"studies/*/trials/{number:04d}/checkpoint.pt")
    return len(checkpoint.unpack(file.read_bytes())["history"])


def kept(before, after):
    """Prove that nothing that was known is lost or changed; return what is known now."""
    for number, trial in before.items():  # a kill may have come before it had all parameters
        assert after[number].params.items() >= trial.params.items()
        assert after[number].values.items() >= trial.values.items()
    return after


def uninterrupted(flat):
    """Train from beginning to end, as a worker would; return epoch -> all that it measures."""
    import torch

    from regmix.data.digits import digits
    from regmix.images import split
    from regmix.training.trainer import RegMixTrainer

    data = split(digits("train"), valid=100, train=320, seed=0)
    trainer = RegMixTrainer(TrainConfig.from_flat(flat), data, torch.device("cpu"))
    return {m.epoch: json.loads(json.dumps(asdict(m))) for m in trainer.epochs()}


@pytest.mark.process(seconds=7)
def test_trials_that_diverge_are_failures_with_their_reason(tmp_path, cluster):
    typed = search_arguments(tmp_path, *cluster, "--concurrency", "1", trials=6)
    result = run("search", *typed, "lr=1e25")
    assert result.code == 1, result.out + result.err
    assert "the first trials all failed" in result.err
    trials = agree(tmp_path, result.out)
    assert {t.state for t in trials.values()} == {"FAIL"}
    assert len(trials) < 6
    assert all("diverged: loss is nan" in t.reason for t in trials.values())


@pytest.mark.process(seconds=14)
def test_a_budget_that_is_used_up_ends_the_study_with_every_trial_closed(tmp_path, cluster):
    typed = search_arguments(
        tmp_path, *cluster, "--concurrency", "1", "--budget", "12s", epochs=40, trials=500
    )
    result = run("search", *typed)
    assert result.code == 0, result.err
    assert "budget: 0:" in result.out and " of 0:12 spent" in result.out
    trials = agree(tmp_path, result.out)
    assert all(trial.ended for trial in trials.values())
    again = call("search", *typed)
    assert "wamr-digits is complete; to extend it, add --budget " in again.out
    assert len(states(tmp_path)) == len(trials)
