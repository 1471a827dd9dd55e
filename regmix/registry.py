"""Every variant that there is: file name = function name = name in YAML.

A kind of variant is a folder of the tool, to which a user's plug-ins of the same kind are added.
What options a variant has is read from its source without importing it, see `signature`.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from regmix import signature
from regmix.errors import InputError, cut, first_line, unknown
from regmix.signature import Contract, Option
from regmix.source_importer import SourceFile, SourceImporter

if TYPE_CHECKING:  # a configuration is checked without loading torch
    from regmix.interfaces import (
        Attack,
        Dataset,
        Loss,
        LossInputs,
        Model,
        PerturbationRadius,
    )

KINDS = ("data", "model", "attack", "loss")
"""The kinds that a configuration consists of; `add_kind` adds others for other packages."""


T = TypeVar("T")


@dataclass(frozen=True)
class _Kind:
    folder: Path  # of the tool's own variants; its name is also that of a plug-in's folder
    package: str
    contract: Contract | None

    def own(self) -> frozenset[str]:
        """Return the names of the tool's own variants."""
        return _own(self.folder)


@cache  # a driver asks for them with each trial
def _own(folder: Path) -> frozenset[str]:
    return frozenset(path.stem for path in folder.glob("[!_]*.py"))


@cache
def _source(path: Path) -> str:
    return path.read_text("utf-8")


_kinds: dict[str, _Kind] = {}
_plugins = SourceImporter("regmix_plugins")


def add_kind(kind: str, folder: Path, package: str, contract: Contract | None = None) -> None:
    """Add a kind of variant; the same one may be added again.

    Args:
        kind: name in messages and in `names`, such as 'pruner'.
        folder: folder of the tool's own variants; plug-ins lie in one of the same name.
        package: dotted name by which that folder is imported.
        contract: parameters that a variant's function must take; None leaves them unchecked.

    Raises:
        InputError: where a plug-in has the name of one of the tool's variants.
        ValueError: where the kind was added with other arguments.
    """
    added = _Kind(folder, package, contract)
    if _kinds.setdefault(kind, added) != added:
        raise ValueError(f"the kind {kind!r} is known as {_kinds[kind]}")
    check_names(_plugins.files)


def install(files: Mapping[str, SourceFile]) -> None:
    """Make plug-ins known in this process; see `plugins.install`, which checks them first.

    Args:
        files: path within the plug-in folder, such as 'losses/mine.py', to its source.
    """
    _plugins.install(files)


def check_names(paths: Mapping[str, object]) -> None:
    """Prove that no plug-in has the name of one of the tool's own variants.

    Args:
        paths: paths within the plug-in folder, such as 'losses/mine.py'.

    Raises:
        InputError: for the first that does.
    """
    for name, kind in _kinds.items():
        for variant in sorted(kind.own()):
            if (path := f"{kind.folder.name}/{variant}.py") in paths:
                article = "an" if name[0] in "aeiou" else "a"
                raise InputError(
                    f"{path}: the tool has {article} {name} of this name; rename the file"
                )


def built(kind: str, name: str, build: Callable[[], T]) -> T:
    """Return what builds a variant, such as a sampler.

    Args:
        kind, name: the variant, for the message.
        build: function that calls the variant's own.

    Raises:
        InputError: where a plug-in fails at it.
    """
    try:
        return build()
    except InputError:
        raise
    except Exception as error:
        place = plugin_place(error)
        if place is None:
            raise
        reason = cut(f"{type(error).__name__}: {first_line(error)}", 120)
        raise InputError(f"{place}: {kind} {name} can't be built ({reason}); correct it") from error


def plugin_place(error: Exception) -> str | None:
    """Return path and line of the innermost plug-in that an error came through, if any did."""
    return _plugins.place(error)


def names(kind: str) -> tuple[str, ...]:
    """Return the names of all variants of a kind, such as 'loss', in alphabetical order."""
    folder = _kinds[kind].folder.name
    plugged = {
        path.stem
        for path in map(Path, _plugins.files)
        if path.parent.name == folder and not path.name.startswith("_")
    }
    return tuple(sorted(_kinds[kind].own() | plugged))


def unknown_variant(place: str, kind: str, name: object) -> InputError:
    """Return the error for a variant that there is not; one of a user's own needs its folder.

    Args:
        place: file, command line or argument that the name was written in.
        kind: kind of variant, such as 'loss'.
        name: the name.
    """
    own = "" if _plugins.files else "one of your own needs --plugins, or plugins= from Python"
    return unknown(place, kind, name, names(kind), own)


def is_plugin(kind: str, name: str) -> bool:
    """Return whether a variant comes from a plug-in folder."""
    return f"{_kinds[kind].folder.name}/{name}.py" in _plugins.files


def options(kind: str, name: str) -> Mapping[str, Option]:
    """Return the options of a variant, in the order in which they are written.

    Raises:
        InputError: where there is no such variant, or its source breaks the kind's contract.
    """
    if name not in names(kind):
        raise unknown_variant("configuration", kind, name)
    known = _kinds[kind]
    path = f"{known.folder.name}/{name}.py"
    if path in _plugins.files:
        text, place = _plugins.files[path].text, _plugins.files[path].place
    else:
        text, place = _source(known.folder / f"{name}.py"), path
    read = signature.read(text, place, name, known.contract)
    for option in read:
        if option in KINDS:
            raise InputError(
                f"{place}: an option must not be called {option}, which names a variant; rename it"
            )
    return read


def module(kind: str, name: str) -> ModuleType:
    """Import the file of a variant.

    Raises:
        InputError: where there is no such variant, its source breaks the kind's contract, or a
            plug-in raises an error while it is imported.
    """
    options(kind, name)
    known = _kinds[kind]
    if is_plugin(kind, name):
        return _plugins.load(known.folder.name, name)
    return importlib.import_module(f"{known.package}.{name}")


Options = Mapping[str, object]


@overload
def find(kind: Literal["data"], name: str, chosen: Options = ...) -> "Dataset": ...
@overload
def find(kind: Literal["model"], name: str, chosen: Options = ...) -> "Model": ...
@overload
def find(kind: Literal["attack"], name: str, chosen: Options = ...) -> "Attack": ...
@overload
def find(kind: Literal["loss"], name: str, chosen: Options = ...) -> "Loss": ...
@overload
def find(kind: str, name: str, chosen: Options = ...) -> Callable[..., Any]: ...
def find(kind: str, name: str, chosen: Options = MappingProxyType({})) -> Any:
    """Import a variant and return its function, a protocol of `interfaces`.

    Args:
        kind: one of `KINDS`, or one that was added.
        name: name of the variant.
        chosen: values of options, which the function is bound to; others keep their default.

    Raises:
        InputError: as `module` does.
    """
    function = getattr(module(kind, name), name)
    return partial(function, **chosen) if chosen else function


@overload
def companion(kind: Literal["attack"], name: str) -> "Callable[..., PerturbationRadius]": ...
@overload
def companion(kind: Literal["loss"], name: str) -> "Callable[..., LossInputs]": ...
def companion(kind: str, name: str) -> Callable[..., Any]:
    """Import a variant and return the function that its kind demands beside it.

    It is an attack's `radius` and a loss's `inputs`, see `interfaces`.

    Raises:
        InputError: as `module` does.
    """
    contract = _kinds[kind].contract
    assert contract is not None and contract.companion, f"{kind} has no companion"
    function: Callable[..., Any] = getattr(module(kind, name), contract.companion)
    return function


_HERE = Path(__file__).parent
add_kind("data", _HERE / "data", "regmix.data", Contract(("part",)))
add_kind("model", _HERE / "models", "regmix.models", Contract(("channels", "classes")))
add_kind(
    "attack",
    _HERE / "attacks",
    "regmix.attacks",
    Contract(
        ("model", "images", "start", "target"),
        keywords=("epsilon", "keep_graph"),
        companion="radius",
        companion_keywords=("epsilon",),
    ),
)
add_kind(
    "loss",
    _HERE / "losses",
    "regmix.losses",
    Contract(("final", "initial", "clean", "target"), companion="inputs"),
)
