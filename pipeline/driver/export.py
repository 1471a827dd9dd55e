"""A complete trial written as a file that trains again to the same numbers."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.trial_files import BEST_WEIGHTS, WEIGHTS, TrialFiles
from regmix import atomic
from regmix.config import TrainConfig
from regmix.errors import InputError
from regmix.exported.file import Exported
from regmix.plugins import FOLDERS
from regmix.registry import KINDS


def export(
    study: StudyRecord,
    trial: TrialRecord,
    files: TrialFiles,
    path: Path,
    origin: Mapping[str, int],
) -> None:
    """Write a complete trial's configuration to `path`, and its weights beside it.

    Args:
        study: the study of the trial.
        trial: the trial.
        files: the files of the study's trials.
        path: the file to write.
        origin: further facts of where it came from, such as its rank.

    Raises:
        InputError: where the weights are gone.
    """
    weights = _copy(files, trial.number, WEIGHTS, path.with_suffix(".safetensors"))
    if weights is None:
        raise InputError(
            f"{files.uri}: the weights of trial {trial.number} are gone, since only the best "
            "keep theirs; ask for fewer by --top"
        )
    best = _copy(files, trial.number, BEST_WEIGHTS, path.with_suffix(".best.safetensors"))
    places = trial.computed_on
    Exported(
        origin={"study": study.name, "trial": trial.number, **origin},
        config=TrainConfig.from_flat(trial.config),
        images=dict(study.data),
        metrics=trial.latest,
        machine=places[-1].machine,
        versions=places[-1].versions,
        plugins=_component_plugins(study.plugins),
        weights=weights,
        best_weights=best,
        changed_at=tuple(place.epoch for place in places[1:]),
    ).write(path)


def _component_plugins(digests: Mapping[str, str]) -> dict[str, str]:
    """Return those plug-ins that a training needs: no pruner and no sampler."""
    folders = {FOLDERS[kind] for kind in KINDS}
    return {file: digest for file, digest in digests.items() if file.split("/")[0] in folders}


def _copy(files: TrialFiles, number: int, name: str, target: Path) -> Path | None:
    """Copy a file that may not exist; an old copy of what no longer exists goes."""
    content = files.read(number, name)
    if content is None:
        target.unlink(missing_ok=True)
        return None
    atomic.write(target, lambda file: file.write_bytes(content))
    return target
