"""Studies deleted, renamed, packed and restored, with what MLflow shows of them."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.base import paths
from pipeline.base.commands import command, given
from pipeline.problem.environment import versions
from pipeline.study import archive, shelving
from pipeline.study.studies import Studies
from pipeline.tracking import artifacts, experiments
from pipeline.tracking.uri import default_uri, is_server
from pipeline.views.study_list import megabytes
from regmix.errors import InputError, masked


@dataclass(frozen=True)
class Shelf:
    """Studies, and the database or server of MLflow that shows them.

    uri: as it was typed; None for the file in the studies' folder.
    """

    studies: Studies
    uri: str | None

    @property
    def tracking(self) -> str:
        """Address of MLflow's database or server."""
        return self.uri or default_uri(self.studies.runs)

    def delete(self, name: str) -> None:
        """Delete a study, its race, and their experiments; what was exported stays.

        Raises:
            InputError: as of `shelving.delete`.
        """
        size = self.studies.size(name)
        births = shelving.delete(self.studies, name)
        print(f"deleted {' and '.join(births) or name} ({megabytes(size)})", flush=True)
        try:
            gone = experiments.delete(self.tracking, [birth for birth in births.values() if birth])
        except InputError as error:
            _say_behind(error, f"its experiment {name} stays there; delete it on MLflow's page")
            return
        if gone:
            print(f"MLflow: deleted {' and '.join(gone)}; `mlflow gc` frees the room they take")

    def rename(self, old: str, new: str) -> None:
        """Give a study, its race, and their experiments another name.

        Raises:
            InputError: as of `shelving.rename`.
        """
        births = shelving.rename(self.studies, old, new)
        print(f"{old} is {new} now", flush=True)
        folder = None if is_server(self.tracking) else artifacts.folder(self.studies.runs)
        try:
            experiments.rename(self.tracking, {one: name for name, one in births.items()}, folder)
        except InputError as error:
            _say_behind(error, f"later: {self._sync(new)}")

    def pack(self, name: str, file: str) -> None:
        """Write a study and its race into one file.

        Raises:
            InputError: as of `archive.pack`.
        """
        found = archive.pack(self.studies, name, file, versions())
        print(f"{file}: {' and '.join(found.births)}, {len(found.files)} files")
        print(f"next, where it goes on: {command('status.py', '--restore', file)}")

    def restore(self, file: str) -> None:
        """Put the study of an archive into the folder, and say how its view is made.

        Raises:
            InputError: as of `archive.restore`.
        """
        found = archive.restore(self.studies.runs, file)
        print(f"restored {' and '.join(found.births)} ({megabytes(found.size)})")
        differ = _differences(found.versions)
        if differ:
            print(f"it was packed with other versions: {differ}")
        print("to go on with it, type the command that began it again; next:")
        print(f"  {self._sync(found.study)}  # shows it in MLflow")

    def _sync(self, name: str) -> str:
        runs = None if self.studies.runs == paths.RUNS else self.studies.runs
        options = {"--study": name, "--runs": runs, "--storage": self.studies.storage}
        return command("search.py", "--sync", *given({**options, "--tracking-uri": self.uri}))


def _say_behind(error: InputError, remedy: str) -> None:
    print(f"MLflow lags behind ({masked(str(error))[:150]}); {remedy}", file=sys.stderr)


def _differences(packed: Mapping[str, str]) -> str:
    """Return in which versions a packed study and this machine differ, '' for none."""
    here = versions()
    names = [name for name in here if packed.get(name) != here[name]]
    return ", ".join(f"{name} {packed.get(name)} there, {here[name]} here" for name in names)
