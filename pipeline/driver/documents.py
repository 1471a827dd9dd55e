"""What a search and a race say as one JSON document, read from their studies when they are over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from pipeline.base import document
from pipeline.base.early import INTERRUPTED as WAS_INTERRUPTED
from pipeline.driver.publish import View
from pipeline.study.ranking import count_states
from pipeline.study.records import StudyRecord
from pipeline.study.storage import find_study, is_database, study_folder
from pipeline.views.summary import DONE, INTERRUPTED, RaceSummary, Summary, summarize
from regmix.errors import InputError

After = Callable[[StudyRecord, RaceSummary | None, Path | None], Sequence[str]]


@dataclass(frozen=True)
class Told:
    """A command whose end is a document.

    command: its name, such as 'search'.
    view: where the study is.
    study: name of the study that is searched.
    out: folder of the race's winner.
    """

    command: str
    view: View
    study: str
    out: Path

    def run(self, act: Callable[[], int], after: After, output: TextIO) -> int:
        """Run the command, write the document of what it has come to, and return its status.

        Where it is interrupted before the study is made there is nothing to tell.

        Args:
            act: function that runs it and returns its exit status.
            after: function that returns the commands that come next, from the study, its race and
                the winner's file, if there are any.
            output: what the document is written to.

        Raises:
            InputError: of `act`, for which no document is written.
            KeyboardInterrupt: of `act`, after the document.
        """
        try:
            status = act()
        except KeyboardInterrupt:
            self._write(WAS_INTERRUPTED, after, output)
            raise
        self._write(status, after, output)
        return status

    def _write(self, status: int, after: After, output: TextIO) -> None:
        study, race = self._record(self.study), self._record(f"{self.study}-confirm")
        if study is None:
            return
        shared = is_database(self.view.storage)
        running = shared and any(
            count_states(one)["RUNNING"] for one in (study, race) if one is not None
        )
        found = summarize(study, race, running=running)
        if status == WAS_INTERRUPTED:
            found = interrupted(found)
        file = self.out / f"{self.study}-confirmed.yaml"
        raced = found.race is not None and found.race.state == DONE
        winner = file if raced and file.exists() else None
        content = {
            "exit_status": status,
            **found.document(),
            "files": [] if winner is None else [files_written(winner)],
            "next": list(after(study, found.race, winner)),
        }
        document.write(output, self.command, content)

    def _record(self, name: str) -> StudyRecord | None:
        """Return a study as it is stored; None where there is none."""
        try:
            found = find_study(name, self.view.storage, study_folder(self.view.runs, name))
        except InputError:
            return None
        return found if found.exists else None


def interrupted(found: Summary) -> Summary:
    """Return what is said of a study whose command was interrupted."""
    race = found.race
    if race is not None and race.state != DONE:
        race = replace(race, state=INTERRUPTED)
    return replace(found, state=INTERRUPTED, race=race)


def files_written(path: Path) -> dict[str, str | None]:
    """Return an exported file and its weights; None for those of a best epoch that was the last."""
    best = path.with_suffix(".best.safetensors")
    return {
        "file": str(path),
        "weights": str(path.with_suffix(".safetensors")),
        "best_weights": str(best) if best.exists() else None,
    }
