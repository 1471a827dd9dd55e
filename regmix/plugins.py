"""A user's own losses, attacks, models, data sets, pruners and samplers, from a folder outside.

The folder's files are read once, as texts. The texts travel to the workers, so that these need
not see the folder; their digests are kept with a result, so that it can't be continued or
repeated with other code unnoticed.
"""

import ast
import hashlib
import keyword
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from regmix import registry, signature
from regmix.errors import InputError, shown
from regmix.source_importer import SourceFile
from regmix.user_files import absolute, regular_file

FOLDERS = {
    "data": "data",
    "model": "models",
    "attack": "attacks",
    "loss": "losses",
    "pruner": "pruners",
    "sampler": "samplers",
}
"""The folder of each kind of plug-in."""
_LARGEST = 10**6  # bytes of one file


@dataclass(frozen=True)
class Plugins:
    """The files of a plug-in folder; nothing of them is executed until a variant is asked for.

    A file is a variant, as in the tool's own folders. One whose name begins with `_` is not: the
    others import it as `regmix_plugins.losses._shared`.
    """

    sources: Mapping[str, str]  # path in the folder, such as 'losses/mine.py' -> text
    folder: str  # that was read, for messages

    @classmethod
    def read(cls, folder: Path) -> "Plugins":
        """Read the files `*.py` of a folder's known sub-folders.

        Raises:
            InputError: for a missing folder, one without any plug-in, or a file that can't be
                read, is no Python or has the name of one of the tool's own variants.
        """
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; give one that holds plug-ins")
        known = ", ".join(f"{name}/" for name in FOLDERS.values())
        if not any((folder / name).is_dir() for name in FOLDERS.values()):
            raise InputError(
                f"{folder}: must have one of the folders {known}, but has none; add one"
            )
        found = [
            path
            for name in FOLDERS.values()
            for path in sorted((folder / name).glob("[!.]*.py"))
            if path.name != "__init__.py"  # the folders are packages without one
        ]
        if not found:
            raise InputError(f"{folder}: must hold a file *.py in {known}, but holds none; add one")
        sources = {f"{path.parent.name}/{path.name}": _text(path) for path in found}
        registry.check_names(sources)
        return cls(sources, str(folder))

    @property
    def digests(self) -> Mapping[str, str]:
        """The sha256 of each file, in hexadecimal."""
        return {
            path: hashlib.sha256(text.encode()).hexdigest() for path, text in self.sources.items()
        }

    def used(self, names: Iterable[tuple[str, str]]) -> Mapping[str, str]:
        """Return the digests of the files that a result depends on.

        These are the plug-ins among the variants, those that they import from one another, and
        all files that begin with `_` if there is any of them.

        Args:
            names: kind and name of each variant, such as ('loss', 'mine'), the tool's included.
        """
        waiting = [f"{FOLDERS[kind]}/{name}.py" for kind, name in names if kind in FOLDERS]
        found: set[str] = set()
        while waiting:
            path = waiting.pop()
            if path in self.sources and path not in found:
                found.add(path)
                waiting += _imported(self.sources[path])
                waiting += [one for one in self.sources if Path(one).name.startswith("_")]
        return {path: digest for path, digest in self.digests.items() if path in found}


def install(plugins: Plugins) -> None:
    """Make plug-ins known to the registry in this process; the same ones may come again.

    Raises:
        InputError: where others are installed, or one has the name of a variant of the tool.
    """
    registry.check_names(plugins.sources)
    registry.install(
        {
            path: SourceFile(text, str(Path(plugins.folder) / path))
            for path, text in plugins.sources.items()
        }
    )


def install_folder(folder: str | PathLike[str] | None, place: str) -> Plugins | None:
    """Read a plug-in folder and make its variants known in this process; None for no folder.

    Args:
        folder: the folder as the user named it.
        place: option or argument that named it, for messages.

    Raises:
        InputError: where there is no such folder, or a file in it is wrong.
    """
    if folder is None:
        return None
    found = Plugins.read(absolute(fspath(folder), place))
    install(found)
    return found


def check_digests(
    known: Mapping[str, str],
    plugins: Plugins | None,
    place: str,
    *,
    changed: str = "restore it",
    missing: str = "give the folder that holds it",
) -> None:
    """Prove that the plug-ins behind a result are those that are here.

    Args:
        known: digest of each file, as `Plugins.used` returned them for the result.
        plugins: what is here; None where no folder was given.
        place: what holds the result, for messages.
        changed, missing: the remedies that a message ends with.

    Raises:
        InputError: for the first file that is missing or has changed.
    """
    present = plugins.digests if plugins else {}
    for path, digest in known.items():
        if path not in present:
            raise InputError(f"{place}: needs the plug-in {path}; {missing}")
        if present[path] != digest:
            raise InputError(
                f"{place}: {path} has changed since (sha256 {digest[:12]}, here "
                f"{present[path][:12]}); {changed}"
            )


def _text(path: Path) -> str:
    if not path.stem.isidentifier() or not path.stem.isascii() or keyword.iskeyword(path.stem):
        raise InputError(
            f"{path}: the file's name must be a name in Python, of a-z, 0-9 and _, but is "
            f"{shown(path.stem)}; rename it"
        )
    if path.exists() and not path.is_dir():
        regular_file(path, "replace it by a file")
    try:
        content = path.read_bytes() if path.stat().st_size <= _LARGEST else None
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); make it readable") from None
    if content is None:
        raise InputError(
            f"{path}: must be at most 1 MB, but has {path.stat().st_size:,} bytes; keep data "
            "outside of it"
        )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: must be UTF-8, but byte {error.start} is not; save it as UTF-8"
        ) from None
    signature.parse(text, str(path))
    return text


def _imported(source: str) -> Iterator[str]:
    """Yield the paths of the plug-ins that a plug-in names in its imports."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            package, *below = name.split(".")
            if package == "regmix_plugins" and len(below) == 2:
                yield f"{below[0]}/{below[1]}.py"
