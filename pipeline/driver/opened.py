"""A study as notebooks and scripts have it: frames of its trials and curves, and what it says."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.paths import RUNS
from pipeline.driver.report import ReportRequest, write_report
from pipeline.study.records import TrialRecord
from pipeline.study.studies import OpenStudy, Studies
from pipeline.views import study_page
from pipeline.views.layout import page_width
from pipeline.views.study_list import summary_of
from pipeline.views.summary import Summary, TrialSummary
from regmix.errors import InputError
from regmix.user_files import absolute

if TYPE_CHECKING:
    import pandas as pd

_SHARES = ("final_robust", "low", "high", "over_default", "robust", "clean")
_COLUMNS = {  # of a trial -> what pandas keeps it as; a rank may be missing
    "trial": "int64",
    "state": "object",
    "rank": "Int64",
    **dict.fromkeys(_SHARES, "float64"),
    "epoch": "int64",
    "epochs": "int64",
    "reason": "object",
    "doubts": "object",
}
_MEASURED = (
    "valid_clean",
    "valid_fgsm",
    "valid_pgd",
    "valid_robust",
    "train_loss",
    "train_initial",
    "train_final",
    "co_ratio",
    "co_drop",
    "lr",
    "seconds",
)
_CURVES = {  # the same of an epoch
    "trial": "int64",
    "epoch": "int64",
    **dict.fromkeys(_MEASURED, "float64"),
    "co_detected": "bool",
}


@dataclass(frozen=True)
class OpenedStudy:
    """A study; each method reads it as it is then, also while a search runs on it.

    name: its name.
    """

    name: str
    _opened: OpenStudy
    _studies: Studies

    def summary(self) -> Summary:
        """Return what it says, as every view shows it."""
        return summary_of(self._opened)

    def best(self) -> TrialSummary:
        """Return the best trial.

        Raises:
            InputError: where no candidate is complete yet.
        """
        found = self.summary().best
        if found is None:
            raise InputError(f"{self.name}: no candidate is complete yet; continue the search")
        return found

    def trials(self) -> "pd.DataFrame":
        """Return a row for each trial that was begun, by its number, which is the index.

        Accuracies lie in [0, 1]. Columns: state; rank among the candidates, from 1; final_robust,
        the objective, with its 95 % interval from low to high; over_default, the difference to the
        recipe's default on the same images; robust and clean of the last epoch that was validated;
        epoch; reason of its end; doubts; then the searched parameters. What isn't known is missing.
        """
        import pandas as pd

        summary = self.summary()
        rows = sorted(summary.trials, key=lambda trial: trial.trial)
        names = list(summary.searched)
        found = pd.DataFrame([_row(trial) for trial in rows], columns=[*_COLUMNS, *names])
        return found.astype(_COLUMNS).set_index("trial")

    def curves(self) -> "pd.DataFrame":
        """Return a row for each epoch of each trial, by their numbers, which are the index.

        Columns are the metrics of an epoch, see `regmix.training.metrics.EpochMetrics`; those of
        a validation are missing where the epoch had none.
        """
        import pandas as pd

        rows = [row for trial in self._opened.study.trials() for row in _epochs(trial)]
        found = pd.DataFrame(rows, columns=list(_CURVES))
        return found.astype(_CURVES).set_index(["trial", "epoch"])

    def report(self, out: str | PathLike[str] | None = None) -> Path:
        """Write the study's report, one HTML file that needs no network; return the file.

        Args:
            out: file to write; None for report.html in the study's folder.

        Raises:
            InputError: where the file can't be written.
        """
        file = None if out is None else absolute(fspath(out), "out")
        return write_report(ReportRequest(self._studies, (self.name,), file))

    def __str__(self) -> str:
        """Return what `status.py --study` shows."""
        opened = self._opened
        summary, changed = self.summary(), opened.changed
        size = self._studies.size(self.name)
        return "\n".join(study_page.page(summary, changed, size, page_width()))

    def __repr__(self) -> str:
        """Return its name and state with the answer, in a line."""
        return f"<{self.name}: {self.summary().headline}>"

    def _repr_html_(self) -> str:
        """Return the same as notebooks show it, with the question."""
        summary = self.summary()
        name, headline = html.escape(self.name), html.escape(summary.headline)
        return f"<p><b>{name}</b>: {headline}</p><p>{html.escape(summary.question)}</p>"


def open_study(
    name: str, runs: str | PathLike[str] = RUNS, storage: str | None = None
) -> OpenedStudy:
    """Open a study to read it; who runs it is not disturbed.

    Args:
        name: the study's name, such as 'regmix-digits'.
        runs: folder of studies, as of --runs: that of the project where none is named.
        storage: database URL or journal file, as of --storage; None for the journal in `runs`.

    Raises:
        InputError: where there is none of this name, or it can't be read.
    """
    studies = Studies.checked(absolute(fspath(runs), "runs"), storage)
    return OpenedStudy(name, studies.open(name, "study"), studies)


def _row(trial: TrialSummary) -> dict[str, Any]:
    low, high = trial.interval or (None, None)
    found = {name: getattr(trial, name, None) for name in _COLUMNS}
    over = trial.over_default.value if trial.over_default else None
    words = {"over_default": over, "low": low, "high": high, "doubts": "; ".join(trial.doubts)}
    return {**trial.params, **found, **words}


def _epochs(trial: TrialRecord) -> list[Mapping[str, Any]]:
    return [
        {**{name: getattr(one, name, None) for name in _CURVES}, "trial": trial.number}
        for one in trial.epochs.values()
    ]
