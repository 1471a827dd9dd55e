"""Every private call to Optuna, in one place, with what breaks where Optuna changes it.

Optuna has no public way to put a trial back, to close one that another process began, or to beat
for a trial outside of its own loop. Held by tests with real storages: a new release of Optuna
that breaks one of these fails `tests/pipeline/test_controller.py` and `test_heartbeat.py`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from optuna.storages import JournalStorage
from optuna.storages.journal._storage import JournalOperation
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from regmix import atomic


def put_back(study: Study, trial: FrozenTrial) -> None:
    """Make a RUNNING trial WAITING; without it an interrupted trial could not go on."""
    study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)


def set_running(study: Study, trial: FrozenTrial) -> None:
    """Make a WAITING trial RUNNING, so that it can be told; else it could not be closed."""
    study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)


def reopen(study: Study, trials: Sequence[FrozenTrial]) -> None:
    """Make FAILed trials RUNNING; without it a study whose first trials failed would be dead.

    Optuna never changes a trial that has ended: in a journal the line that ended it is left out,
    in a database its row is changed. This object still takes them for ended: load the study anew.
    Call it while this driver has the study alone.
    """
    ids, storage = {trial._trial_id for trial in trials}, cast(Any, study._storage)
    if isinstance(storage, JournalStorage):
        _leave_out_failures(Path(cast(Any, storage)._backend._file_path), ids)
        return
    import sqlalchemy

    change = sqlalchemy.text(
        "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL "
        "WHERE trial_id = :trial AND state = 'FAIL'"
    )
    with getattr(storage, "_backend", storage).engine.begin() as connection:
        connection.execute(change, [{"trial": one} for one in ids])


def _leave_out_failures(journal: Path, ids: Collection[int]) -> None:
    ended = (JournalOperation.SET_TRIAL_STATE_VALUES.value, TrialState.FAIL.value)
    kept = []
    for line in journal.read_bytes().splitlines(keepends=True):
        record = json.loads(line)
        is_end = (record["op_code"], record.get("state")) == ended
        if not (is_end and record["trial_id"] in ids):
            kept.append(line)
    atomic.write(journal, lambda file: file.write_bytes(b"".join(kept)))


def live(study: Study, trial: FrozenTrial) -> Trial:
    """Return a trial that another process began as one that can be written to."""
    return Trial(study, trial._trial_id)


def beat(study: Study, trial: FrozenTrial) -> None:
    """Record a heartbeat; without it other drivers would take a living trial over."""
    cast(Any, study._storage).record_heartbeat(trial._trial_id)


def silent(study: Study) -> set[int]:
    """Return the numbers of RUNNING trials without a recent heartbeat."""
    stale = set(cast(Any, study._storage)._get_stale_trial_ids(study._study_id))
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return {trial.number for trial in running if trial._trial_id in stale}


def enqueued_params(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters that a trial has, and those that it was enqueued with and will have.

    They are stored one by one: after a kill a trial may have some of them.
    """
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def relative_params(trial: FrozenTrial) -> dict[str, Any]:
    """Return what TPE or a Gaussian process has drawn at once for a trial; {} for nothing.

    They store it before the parameters, in parts, so that others know what is under way. After a
    kill a Gaussian process would take it for another trial's, and keep away from it.
    """
    for prefix in ("gp", "tpe"):
        parts: list[str] = []
        while part := trial.system_attrs.get(f"{prefix}:relative_params:{len(parts)}"):
            parts.append(part)
        if parts:
            found: dict[str, Any] = json.loads("".join(parts))
            return found
    return {}


def in_other_state(
    trial: FrozenTrial,
    state: TrialState,
    values: list[float] | None,
    epochs: Mapping[int, float],
) -> FrozenTrial:
    """Return a copy for a study in memory, without what was stored for people.

    It keeps the system attributes, among which Optuna's samplers look for constraints.

    Args:
        trial: the trial.
        state: the copy's state.
        values: the copy's value for each objective; None for none.
        epochs: the copy's epochs and their values.
    """
    ended = trial.datetime_complete
    if values is not None:
        ended = ended or trial.datetime_start
    return FrozenTrial(
        trial.number,
        state,
        None,
        trial.datetime_start,
        ended,
        trial.params,
        trial.distributions,
        {},
        trial.system_attrs,
        dict(epochs),
        trial.number,
        values=values,
    )
