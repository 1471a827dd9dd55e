"""Random histories of a study by real calls, and the scans that its indices are held against."""

import copy
import json

import optuna
from hypothesis import strategies
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from pipeline.samplers._derived import DerivedSampler, rebuilt
from pipeline.study.events import TrialOutcome
from pipeline.study.followed_storage import FollowedStorage
from pipeline.study.records import StudyRecord
from tests.support.controllers import VERSIONS, controller_of, epoch_result, problem_of

ENOUGH = 8


class Lines(BaseJournalBackend):
    """A journal in memory, which a dead driver leaves to the next one."""

    def __init__(self):
        self.lines = []

    def read_logs(self, log_number_from):
        return [json.loads(line) for line in self.lines[log_number_from:]]

    def append_logs(self, logs):
        self.lines += [json.dumps(log) for log in logs]


def study_in(journal, *, followed=True, name="s"):
    """Open or begin the study of a journal; not followed, as a reader has it who scans."""
    storage = JournalStorage(journal)
    study = optuna.create_study(
        study_name=name,
        storage=FollowedStorage(storage) if followed else storage,
        direction="maximize",
        load_if_exists=True,
    )
    record = StudyRecord(study)
    record.begin_study(VERSIONS)
    record.hold("problem", problem_of().identity())
    return record


def driver_of(journal, trials=500, **options):
    """Return the controller of a driver that begins, or goes on after a kill."""
    return controller_of(study_in(journal), problem_of(), trials, **options)


shares = strategies.integers(0, 20).map(lambda twentieths: twentieths / 20)  # with ties
steps = strategies.lists(
    strategies.tuples(
        strategies.sampled_from(
            ["ask", "ask", "ask", "report", "report", "report", "report", "report", "collapse"]
            + ["fail", "retry", "kill", "interrupt", "enqueue"]
        ),
        strategies.integers(0, 3),
        shares,
    ),
    max_size=60,
)


def go(driver, step, running):
    """Do one step of a history; return the driver, which is another one after a kill.

    Args:
        driver: the controller.
        step: what, which of the running trials, and a share in [0, 1].
        running: number of each running trial -> its last epoch; brought up to date.
    """
    what, which, share = step
    if what == "ask":
        request = driver.ask()
        if request is not None:
            running[request.number] = request.resume_epoch
    elif what == "enqueue":
        driver.record.enqueue({**problem_of().default()}, "by hand")
    elif what == "interrupt":
        driver.requeue_own()
        running.clear()
    elif what == "kill":
        journal = driver.study._storage.inner._backend
        driver = begin(journal, **driver.options)
        running.clear()
    elif running:
        number = sorted(running)[which % len(running)]
        _happen(driver, what, number, share, running)
    return driver


def begin(journal, **options):
    """Return a driver that goes on with the same options after a kill."""
    driver = driver_of(journal, **options)
    driver.options = options
    return driver


def _happen(driver, what, number, share, running):
    outcome = None
    if what == "fail":
        outcome = TrialOutcome("FAIL", "diverged")
    elif what == "retry":
        outcome = driver.retry(number, "its worker process died")
        if outcome is None:
            del running[number]
            return
    else:
        running[number] += 1
        more = {"co_detected": True, "co_ratio": 0.1} if what == "collapse" else {}
        outcome = driver.report(number, epoch_result(running[number], share, **more))
    if outcome is not None:
        driver.tell(number, outcome)
        del running[number]


def at_common_epoch(study):
    """Return the study that Optuna's own TPE would have to read to learn as `bohb` does.

    Every trial that reached a certain epoch is complete there, with its value; the epoch is the
    highest that eight trials have reached.
    """
    trials = study.get_trials(deepcopy=False)
    reached = sorted({e for t in trials for e in t.intermediate_values}, reverse=True)
    common = next(
        (e for e in reached if sum(e in t.intermediate_values for t in trials) >= ENOUGH), None
    )
    if common is None:
        return study

    def value(trial):
        if trial.state == TrialState.FAIL or common not in trial.intermediate_values:
            return None
        return [trial.intermediate_values[common]]

    return rebuilt(study, value, objectives=1)


def optunas_own(sampler, seed):
    """Return the sampler of Optuna that draws what ours is to draw."""
    if sampler == "tpe":
        return TPESampler(seed=seed, constant_liar=True)
    tpe = TPESampler(seed=seed, multivariate=False, n_startup_trials=16)
    return DerivedSampler(tpe, at_common_epoch)


def scanned(journal):
    """Return the study as one reads it who follows nothing: all trials, anew."""
    return study_in(copy.deepcopy(journal), followed=False)
