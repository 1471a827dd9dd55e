"""Optuna's storage with an index of each study's trials, which follows what is written through it.

Optuna answers every question from a list of all trials, and its own samplers and queue ask several
times for each trial. Here the list is kept, and after a write the one trial is put into it. What
another driver writes to the same database is seen by looking again at the trials that have not
ended, and at new ones: that one has ended is for good (`pipeline.study.failures.reopen` loads the
study anew).
"""

import contextlib
import copy
import json
from collections.abc import Container, Iterator, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from pipeline.study import optuna_private
from pipeline.study.trial_index import TrialIndex


class FollowedStorage(BaseStorage):
    """Hands all to another storage, which holds the truth.

    A trial of `get_all_trials` is never changed in place.
    """

    def __init__(self, inner: BaseStorage) -> None:
        """Follow `inner`, to which nobody else in this process writes."""
        self.inner = inner
        self._indices: dict[int, TrialIndex] = {}  # by Optuna's id of the study
        self._places: dict[int, tuple[int, int]] = {}  # id of a trial -> id of its study, number
        self._moments, self._looked = 0, set[int]()

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """Look once at what other drivers have written, so that an event sees one state."""
        if not self._moments:
            self._looked = set()
        self._moments += 1
        try:
            yield
        finally:
            self._moments -= 1

    def index(self, study_id: int) -> TrialIndex:
        """Return the index of a study as it is now."""
        index = self._indices.setdefault(study_id, TrialIndex())
        if not self._moments or study_id not in self._looked:
            self._looked.add(study_id)
            for trial in optuna_private.unseen(
                self.inner, study_id, index.trials, index.unfinished
            ):
                self._put(study_id, trial)
        return index

    def _put(self, study_id: int, trial: FrozenTrial) -> None:
        self._places[trial._trial_id] = study_id, trial.number
        self._indices[study_id].put(trial)

    def _known(self, trial_id: int) -> FrozenTrial | None:
        if trial_id not in self._places:
            return None
        study_id, number = self._places[trial_id]
        return self._indices[study_id].trials[number]

    def _changed(self, trial_id: int, **fields: Any) -> None:  # noqa: ANN401
        """Put a trial with a field that was written, as it would be read."""
        known = self._known(trial_id)
        if known is not None:
            trial = copy.copy(known)
            for name, content in fields.items():
                setattr(trial, name, {**getattr(known, name), **content})
            self._put(self._places[trial_id][0], trial)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial; within a moment as it was known at its beginning, with what we wrote.

        It is a copy: Optuna writes into the dicts of a trial that it runs.
        """
        known = self._known(trial_id)
        if known is not None and (known.state.is_finished() or self._moments):
            return copied(known)
        trial = self.inner.get_trial(trial_id)
        if trial_id in self._places:
            self._put(self._places[trial_id][0], trial)
        return copied(trial)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return trials by number."""
        index = self.index(study_id)
        found = list(index.trials)
        if states is not None:
            wanted = [state for state in TrialState if state in states]
            found = [index.trials[number] for number in index.numbers(*wanted)]
        return copy.deepcopy(found) if deepcopy else found

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial."""
        trial_id = self.inner.create_new_trial(study_id, template_trial)
        index = self._indices.get(study_id)
        if index is not None:
            trial = optuna_private.created(self.inner, trial_id)
            if trial.number == len(index):
                self._put(study_id, trial)
            else:  # another driver was quicker: its trial comes first
                self._looked.discard(study_id)
        return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Store a parameter."""
        self.inner.set_trial_param(trial_id, param_name, param_value_internal, distribution)
        value = distribution.to_external_repr(param_value_internal)
        self._changed(
            trial_id, params={param_name: value}, distributions={param_name: distribution}
        )

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Change the state of a trial; the storage says at which time."""
        done = self.inner.set_trial_state_values(trial_id, state, values)
        if trial_id in self._places:
            self._put(self._places[trial_id][0], self.inner.get_trial(trial_id))
        return done

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Store the value of an epoch."""
        self.inner.set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._changed(trial_id, intermediate_values={step: intermediate_value})

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401
        """Store an attribute."""
        self.inner.set_trial_user_attr(trial_id, key, value)
        self._changed(trial_id, user_attrs={key: json.loads(json.dumps(value))})

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401
        """Store an attribute of Optuna's."""
        self.inner.set_trial_system_attr(trial_id, key, value)
        self._changed(trial_id, system_attrs={key: json.loads(json.dumps(value))})

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """Return Optuna's id of a trial."""
        return self.inner.get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        """Create a study."""
        return self.inner.create_new_study(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        """Delete a study."""
        self.inner.delete_study(study_id)
        self._indices.pop(study_id, None)
        self._places = {key: at for key, at in self._places.items() if at[0] != study_id}

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:  # noqa: ANN401
        """Store an attribute of a study."""
        self.inner.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:  # noqa: ANN401
        """Store an attribute of a study that is Optuna's."""
        self.inner.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return Optuna's id of a study."""
        return self.inner.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return a study's name."""
        return self.inner.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return what is sought."""
        return self.inner.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return a study's attributes."""
        return self.inner.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return a study's attributes that are Optuna's."""
        return self.inner.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[Any]:
        """Return all studies."""
        return self.inner.get_all_studies()

    def remove_session(self) -> None:
        """Close the connection of this thread."""
        self.inner.remove_session()


def copied(trial: FrozenTrial) -> FrozenTrial:
    """Return a copy with dicts of its own; what lies in them is never changed in place."""
    result = copy.copy(trial)
    result.params, result.distributions = dict(trial.params), dict(trial.distributions)
    result.user_attrs, result.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    result.intermediate_values = dict(trial.intermediate_values)
    return result


def index_of(study: Study) -> TrialIndex:
    """Return the index of a study's trials as they are now.

    It is kept where the study lies in a storage that is followed, as every driver's does; for any
    other it is made from all trials.
    """
    storage, study_id = optuna_private.storage_of(study)
    if isinstance(storage, FollowedStorage):
        return storage.index(study_id)
    return TrialIndex.of(study.get_trials(deepcopy=False))


def moment(study: Study) -> contextlib.AbstractContextManager[None]:
    """Return what makes one event of all that is read within, see `FollowedStorage.moment`."""
    storage, _ = optuna_private.storage_of(study)
    return storage.moment() if isinstance(storage, FollowedStorage) else contextlib.nullcontext()
