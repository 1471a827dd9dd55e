"""Which files of a study's trials are needed, and where they lie."""

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pipeline.study.folder_owner import prove_owner
from pipeline.study.followed_storage import index_of
from pipeline.study.ranking import complete
from pipeline.study.records import StudyRecord
from pipeline.trial_files import BEST_WEIGHTS, WEIGHTS, TrialFiles, open_files
from pipeline.trial_files.object_store import StoreUnavailableError, subfolder


@dataclass(frozen=True)
class Retention:
    """Keeps the weights of the best complete trials and of the default, and no file of others.

    study: the study, which says how trials ended.
    files: the files of its trials.
    keep_best: number of the best complete trials that keep their weights.
    """

    study: StudyRecord
    files: TrialFiles
    keep_best: int = 10

    def apply(self, busy: Collection[int] = ()) -> None:
        """Remove the files of ended trials that nobody needs any more.

        Args:
            busy: numbers of trials whose workers may still write.
        """
        found, trials, writing = complete(self.study), index_of(self.study.study).trials, set(busy)
        needed = {*found.best(self.keep_best), *found.defaults}
        with contextlib.suppress(StoreUnavailableError):  # they go the next time
            for number, name in list(self.files.list()):
                ended = number < len(trials) and trials[number].state.is_finished()
                if not ended or number in writing:
                    continue
                if not (number in needed and name in (WEIGHTS, BEST_WEIGHTS)):
                    self.files.remove(number, name)


def files_of(study: StudyRecord, place: Path) -> TrialFiles:
    """Return the files of a study's trials: in its folder unless it names an object store.

    Raises:
        InputError: where the folder is that of another study of this name.
    """
    prove_owner(study, place)
    return files_at(study.name, place, study.checkpoints)


def files_at(name: str, place: Path, checkpoints: str | None) -> TrialFiles:
    """Return where the files of a study's trials are to be.

    Args:
        name: name of the study.
        place: its folder.
        checkpoints: URL of an object store; None for the folder.
    """
    return open_files(
        str(place / "trials") if checkpoints is None else subfolder(checkpoints, name)
    )
