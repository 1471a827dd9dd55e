"""The studies of `--from`: found, proved, and copied into the study that begins from them."""

import os

from pipeline.driver.request import SearchRequest
from pipeline.forecast.sources import copied
from pipeline.problem.plugin_folder import check_plugins
from pipeline.study.copied_study import CopiedStudy
from pipeline.study.records import StudyRecord
from pipeline.study.storage import find_study, study_folder
from regmix.errors import InputError


def copies(request: SearchRequest, study: StudyRecord | None) -> list[CopiedStudy]:
    """Return what a study that is about to begin copies of its sources.

    Nothing is read again for a study that has begun: it goes on as it was begun, whatever has
    become of its sources.

    Args:
        request: the search.
        study: its study; None where there is none yet.

    Raises:
        InputError: where a source is missing, of another format or space, has no candidate or needs
            plug-ins that are not here; where the study was begun from others.
    """
    if study is not None and study.has_begun_from:
        if request.sources:
            study.compare("sources", {"--from": list(request.sources)})
        return []
    trainings = request.trainings
    if trainings is None and request.trials is None and request.budget is None:
        trainings = request.problem.recipe.trainings
    found = [_found(request, name) for name in request.sources]
    return copied(found, request.problem.space, trainings, request.problem.default())


def _found(request: SearchRequest, name: str) -> StudyRecord:
    """Load a source: a study of `--runs`, else one in `--storage`."""
    place = study_folder(request.runs, name, "--from")
    if name == request.study:
        raise InputError(
            f"--from {name}: is the study itself; name an earlier one, or choose a new name by "
            "--study"
        )
    own = os.path.exists(place / "journal.log")
    source = find_study(name, None if own else request.storage, place, "--from")
    mended = "restore it, or leave the study out"
    check_plugins(source.plugins, request.plugins, f"--from {name}", changed=mended)
    return source
