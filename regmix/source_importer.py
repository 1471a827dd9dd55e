"""Modules imported from source texts, so that a machine which can't see the files can load them."""

import importlib
import linecache
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

from regmix.errors import InputError, first_line


@dataclass(frozen=True)
class SourceFile:
    """The text of a Python file, and the path that it was read from, for messages."""

    text: str
    place: str


class SourceImporter(MetaPathFinder):
    """Finds the module `PACKAGE.FOLDER.NAME` in the text of 'FOLDER/NAME.py'."""

    def __init__(self, package: str) -> None:
        """Begin without any file; nothing can be imported until `install`."""
        self.package = package
        self.files: Mapping[str, SourceFile] = {}

    def install(self, files: Mapping[str, SourceFile]) -> None:
        """Make files importable in this process, and their lines known to tracebacks.

        Raises:
            InputError: where other texts are installed already.
        """
        if self.files and _texts(files) != _texts(self.files):
            raise InputError(
                "plug-ins: this process has loaded others, or these have changed since; start "
                "Python anew"
            )
        self.files = dict(files)
        if self not in sys.meta_path:
            sys.meta_path.append(self)
        for file in files.values():
            lines = file.text.splitlines(keepends=True)
            linecache.cache[file.place] = (len(file.text), None, lines, file.place)

    def load(self, folder: str, name: str) -> ModuleType:
        """Import 'FOLDER/NAME.py'.

        Raises:
            InputError: naming file and line where its code, or that of a file which it imports,
                raises an error.
        """
        try:
            return importlib.import_module(f"{self.package}.{folder}.{name}")
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"[:150]
            place = self.place(error) or self.files[f"{folder}/{name}.py"].place
            raise InputError(f"{place}: can't be imported ({reason}); correct it") from error

    def place(self, error: Exception) -> str | None:
        """Return path and line of the innermost of these files that an error came through."""
        places = {file.place for file in self.files.values()}
        found, trace = None, error.__traceback__
        while trace is not None:
            path = trace.tb_frame.f_code.co_filename
            found = f"{path}:{trace.tb_lineno}" if path in places else found
            trace = trace.tb_next
        return found

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return the specification of a module of the package; None for any other."""
        package, *below = fullname.split(".")
        if package != self.package:
            return None
        file = self.files.get("/".join(below) + ".py")
        if file is not None:
            return ModuleSpec(fullname, _TextLoader(file), origin=file.place)
        if not below or any(known.startswith(f"{'/'.join(below)}/") for known in self.files):
            return ModuleSpec(fullname, None, is_package=True)
        return None


class _TextLoader(InspectLoader):
    """Executes one file, compiled under the path that it was read from."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file

    def get_source(self, fullname: str) -> str:  # noqa: ARG002
        return self._file.text

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return compile(self._file.text, self._file.place, "exec", dont_inherit=True)


def _texts(files: Mapping[str, SourceFile]) -> dict[str, str]:
    return {path: file.text for path, file in files.items()}
