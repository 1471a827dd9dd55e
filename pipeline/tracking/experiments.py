"""What becomes of a study's experiment in MLflow where the study itself is renamed or deleted."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.base.address import sqlite_file
from pipeline.tracking import artifacts as places
from pipeline.tracking.experiment import born
from pipeline.tracking.uri import connect


def rename(uri: str, names: Mapping[str, str], folder: Path | None) -> None:
    """Give the experiments of studies their new names, and their files the folders of these.

    Args:
        uri: tracking database or server.
        names: birth of a study -> its new name.
        folder: folder of all experiments' files; None where a server decides.

    Raises:
        InputError: where MLflow is away.
    """
    if not _is_there(uri):
        return
    client = connect(uri)
    for birth, name in names.items():
        found = born(client, birth)
        if found is None:
            continue
        before = found.name
        if before != name:
            client.rename_experiment(found.experiment_id, name)
        if folder is not None:
            with contextlib.suppress(FileNotFoundError):  # no run was ever shown
                os.rename(folder / before, folder / name)
            places.move(uri, found.experiment_id, (folder / name).as_uri())


def delete(uri: str, births: Sequence[str]) -> list[str]:
    """Delete the experiments of studies, as MLflow's page does, and return their names.

    MLflow can restore them until its `mlflow gc` is run.

    Args:
        uri: tracking database or server.
        births: births of the studies.

    Raises:
        InputError: where MLflow is away.
    """
    if not _is_there(uri):
        return []
    client, gone = connect(uri), []
    for birth in births:
        found = born(client, birth)
        if found is not None and found.lifecycle_stage == "active":
            client.delete_experiment(found.experiment_id)
            gone.append(found.name)
    return gone


def _is_there(uri: str) -> bool:
    """Tell whether there is a view at all: a SQLite file would be made by asking for it."""
    path = sqlite_file(uri)
    return path is None or path.exists()
