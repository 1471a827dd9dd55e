"""Every private call to Optuna, in one place, with what breaks where Optuna changes it.

Optuna has no public way to put a trial back, to close one that another process began, or to beat
for a trial outside of its own loop. Held by tests with real storages: a new release of Optuna
that breaks one of these fails `tests/pipeline/test_controller.py`, `test_heartbeat.py`,
`test_trial_index.py` or `test_parzen.py`.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalOperation
from optuna.study import Study, copy_study
from optuna.trial import FrozenTrial, Trial, TrialState

from regmix import atomic


def storage_of(study: Study) -> tuple[BaseStorage, int]:
    """Return a study's storage and its id there; without it each event would scan all trials."""
    return study._storage, study._study_id


def cached(database: RDBStorage) -> BaseStorage:
    """Return a database as Optuna's studies read it; without it each look would read all rows."""
    return _CachedStorage(database)


def unseen(
    storage: BaseStorage, study_id: int, known: Sequence[FrozenTrial], unfinished: Collection[int]
) -> list[FrozenTrial]:
    """Return the trials that may have changed, by number; without it all would be looked at.

    Args:
        storage: the storage, as `cached` returns it where it is a database.
        study_id: id of the study there.
        known: the trials that were seen so far.
        unfinished: numbers of those that had not ended.
    """
    trials = _by_number(storage, study_id)
    found = [trials[number] for number in [*unfinished, *range(len(known), len(trials))]]
    return [one for one in found if one.number >= len(known) or one is not known[one.number]]


def _by_number(storage: BaseStorage, study_id: int) -> Mapping[int, FrozenTrial]:
    """Return all trials as a storage has them now; they are neither copied nor looked at."""
    inside = cast(Any, storage)
    if isinstance(storage, JournalStorage):
        with inside._thread_lock:
            inside._sync_with_backend()
            read = inside._replay_result
            read.get_study(study_id)  # there is none of this id: KeyError
            return _Journal(read._study_id_to_trial_ids[study_id], read._trials)
    if isinstance(storage, _CachedStorage):
        inside._read_trials_from_remote_storage(study_id)
        cached: Mapping[int, FrozenTrial] = inside._studies[study_id].trials
        return cached
    return dict(enumerate(storage.get_all_trials(study_id, deepcopy=False)))


@dataclass(frozen=True)
class _Journal(Mapping[int, FrozenTrial]):
    """The trials of a study in a journal of several."""

    ids: Sequence[int]
    trials: Mapping[int, FrozenTrial]

    def __getitem__(self, number: int) -> FrozenTrial:
        return self.trials[self.ids[number]]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.ids)))


def created(storage: BaseStorage, trial_id: int) -> FrozenTrial:
    """Return a trial that was just created; to ask a database, whose cache has it, takes 3 ms."""
    if isinstance(storage, _CachedStorage):
        study_id, number = storage._trial_id_to_study_id_and_number[trial_id]
        return storage._studies[study_id].trials[number]
    return storage.get_trial(trial_id)


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
    ids, storage = {trial._trial_id for trial in trials}, _inmost(study)
    if isinstance(storage, JournalStorage):
        _leave_out_failures(Path(cast(Any, storage)._backend._file_path), ids)
        return
    import sqlalchemy

    change = sqlalchemy.text(
        "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL "
        "WHERE trial_id = :trial AND state = 'FAIL'"
    )
    with storage._backend.engine.begin() as connection:
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


def _inmost(study: Study) -> Any:  # noqa: ANN401
    """Return Optuna's own storage of a study."""
    return getattr(study._storage, "inner", study._storage)


def live(study: Study, trial: FrozenTrial) -> Trial:
    """Return a trial that another process began as one that can be written to."""
    return Trial(study, trial._trial_id)


def beat(study: Study, trial: FrozenTrial) -> None:
    """Record a heartbeat; without it other drivers would take a living trial over."""
    _inmost(study).record_heartbeat(trial._trial_id)


def silent(study: Study) -> set[int]:
    """Return the numbers of RUNNING trials without a recent heartbeat."""
    stale = set(_inmost(study)._get_stale_trial_ids(study._study_id))
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return {trial.number for trial in running if trial._trial_id in stale}


def beating(study: Study) -> set[int]:
    """Return the numbers of RUNNING trials of a database whose drivers have beaten lately."""
    import sqlalchemy

    query = sqlalchemy.text(
        "SELECT trials.number FROM trials JOIN trial_heartbeats USING (trial_id) "
        "WHERE study_id = :study AND state = 'RUNNING'"
    )
    with _inmost(study)._backend.engine.connect() as connection:
        beaten = {row[0] for row in connection.execute(query, {"study": study._study_id})}
    return beaten - silent(study)


def study_names(storage: BaseStorage) -> list[str]:
    """Return the names of all studies of a storage, in the order in which they were begun."""
    return [one.study_name for one in storage.get_all_studies()]


def renamed(lines: Iterable[bytes], names: Mapping[str, str]) -> Iterator[bytes]:
    """Yield a journal's whole lines with other names of studies; Optuna itself can't rename.

    The record that creates a study holds its name, every other one its number.

    Args:
        lines: the journal's lines, as they are read.
        names: names as they were -> as they shall be.
    """
    for line in lines:
        if not line.endswith(b"\n"):  # half a line, of a driver that was killed
            return
        record = _beginning(line)
        if record is None or record["study_name"] not in names:
            yield line
        else:
            record["study_name"] = names[record["study_name"]]
            yield json.dumps(record, separators=(",", ":")).encode() + b"\n"


def names_ever(lines: Iterable[bytes]) -> set[str]:
    """Return the names of all studies that a journal ever had, those that are deleted too."""
    return {record["study_name"] for record in map(_beginning, lines) if record is not None}


def _beginning(line: bytes) -> dict[str, Any] | None:
    """Return a journal's record that creates a study; None for any other line."""
    if b'"study_name"' not in line or not line.endswith(b"\n"):
        return None
    record: dict[str, Any] = json.loads(line)
    return record if record["op_code"] == JournalOperation.CREATE_STUDY.value else None


def copied_study(study: Study, journal: Path) -> None:
    """Copy a study, with trials that have not ended too, into a journal file of its own."""
    to = JournalStorage(JournalFileBackend(str(journal)))
    copy_study(from_study_name=study.study_name, from_storage=study._storage, to_storage=to)


def rename_rows(storage: BaseStorage, names: Mapping[str, str]) -> None:
    """Give studies of a database other names, all of them at once."""
    import sqlalchemy

    change = sqlalchemy.text("UPDATE studies SET study_name = :new WHERE study_name = :old")
    inner = cast(Any, getattr(storage, "inner", storage))
    with inner._backend.engine.begin() as connection:
        connection.execute(change, [{"old": old, "new": new} for old, new in names.items()])


def enqueued_params(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters that a trial has, and those that it was enqueued with and will have.

    They are stored one by one: after a kill a trial may have some of them.
    """
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def relative_params(trial: FrozenTrial, by: Sequence[str] = ("gp", "tpe")) -> dict[str, Any]:
    """Return what TPE or a Gaussian process has drawn at once for a trial; {} for nothing.

    They store it before the parameters, in parts, so that others know what is under way. After a
    kill a Gaussian process would take it for another trial's, and keep away from it.
    """
    for prefix in by:
        parts: list[str] = []
        while part := trial.system_attrs.get(f"{prefix}:relative_params:{len(parts)}"):
            parts.append(part)
        if parts:
            found: dict[str, Any] = json.loads("".join(parts))
            return found
    return {}


def share_params(study: Study, trial: FrozenTrial, params: Mapping[str, Any]) -> None:
    """Store what was drawn at once, as `relative_params` reads it and Optuna's TPE does."""
    text = json.dumps(params)
    for part, begin in enumerate(range(0, len(text) if params else 0, _PART)):
        name = f"tpe:relative_params:{part}"
        study._storage.set_trial_system_attr(trial._trial_id, name, text[begin : begin + _PART])


_PART = 2045  # characters of an attribute that every database takes


def best_draw(
    sampler: TPESampler,
    space: dict[str, BaseDistribution],
    below: dict[str, NDArray[np.float64]],
    above: dict[str, NDArray[np.float64]],
) -> dict[str, Any]:
    """Return the best of TPE's draws; without it its estimators would have to be written anew.

    Args:
        sampler: Optuna's sampler with its settings and its random stream.
        space: the parameters that are drawn together.
        below: each parameter of the best trials, in Optuna's inner form, by their numbers.
        above: the same of the others.
    """
    inside = cast(Any, sampler)
    settings = inside._parzen_estimator_parameters
    good, bad = (inside._parzen_estimator_cls(found, space, settings) for found in (below, above))
    draws = good.sample(inside._rng.rng, inside._n_ei_candidates)
    gains = inside._compute_acquisition_func(draws, good, bad)
    chosen = inside._compare(draws, gains)
    return {name: one.to_external_repr(chosen[name]) for name, one in space.items()}


def tells_the_same(one: FrozenTrial, other: FrozenTrial) -> bool:
    """Tell whether nothing changed that a sampler learns from.

    Parts that are the same object say the same: a storage of Optuna's puts new ones in their place.
    """
    return (
        one.state == other.state
        and one.values == other.values
        and one.params is other.params
        and one.intermediate_values is other.intermediate_values
        and one.system_attrs is other.system_attrs
    )


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
