"""The files of a study's trials: which are needed, and which go."""

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.leaderboard import ranked

if TYPE_CHECKING:
    from optuna.study import Study

WEIGHTS, CHECKPOINT = "weights.safetensors", "checkpoint.pt"
BEST_WEIGHTS = "best.safetensors"  # of an earlier epoch than the last


def trial_folder(study_folder: Path, number: int) -> Path:
    """Return where a trial keeps its files."""
    return study_folder / "trials" / f"{number:04d}"


def drop_halves(folder: Path) -> None:
    """Remove what a kill left half written."""
    for half in folder.glob(".*"):
        half.unlink(missing_ok=True)


def tidy(study: "Study", study_folder: Path, kept: int, busy: Collection[int] = ()) -> None:
    """Remove the files of ended trials that nobody needs any more.

    Args:
        study: says how the trials ended.
        study_folder: that the files lie in.
        kept: how many of the best complete trials keep their weights; the default does too.
        busy: numbers of trials whose workers may still write.
    """
    trials = ranked(study)
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    needed = {trial.number for trial in complete[:kept]}
    needed |= {trial.number for trial in complete if trial.user_attrs.get("origin") == "default"}
    for trial in trials:
        folder = trial_folder(study_folder, trial.number)
        if not trial.state.is_finished() or trial.number in busy or not folder.is_dir():
            continue
        drop_halves(folder)
        unneeded = () if trial.number in needed else (WEIGHTS, BEST_WEIGHTS)
        for name in (CHECKPOINT, *unneeded):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it holds weights
            folder.rmdir()
