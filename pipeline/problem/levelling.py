"""Spaces for a fair comparison: what is no loss's own is searched in all of them, or in none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.problem.space import SearchSpace
from regmix import yaml_file
from regmix.errors import InputError
from regmix.registry import options


def levelled(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return the content of each space with what all others search beside their losses' options.

    A space that searches smoothing or the learning rate is compared with one that doesn't by
    these, whatever the losses are worth: so each such parameter is added to every space.

    Args:
        paths: files of the spaces.

    Returns:
        name -> content as `SearchSpace.from_yaml` reads it, in the order of `paths`.

    Raises:
        InputError: where a space is wrong, two have one name, or search one parameter otherwise.
    """
    spaces = [SearchSpace.from_yaml(path) for path in paths]
    contents: dict[str, dict[str, Any]] = {}
    for space, path in zip(spaces, paths, strict=True):
        if space.name in contents:
            raise InputError(f"--spaces: {space.name} is named twice; leave one, or rename a file")
        contents[space.name] = yaml_file.read(path)
    shared: dict[str, SearchSpace] = {}  # parameter -> the first space that searches it
    for space in spaces:
        for name in space.ranges:
            if name not in options("loss", space.loss):
                shared.setdefault(name, space)
    for space in spaces:
        for name, first in shared.items():
            _check_alike(name, first, space)
            contents[space.name]["search"][name] = contents[first.name]["search"][name]
    return contents


def _check_alike(name: str, first: SearchSpace, other: SearchSpace) -> None:
    """Raise InputError where another space fixes the parameter, or searches another range."""
    if name in other.fixed:
        raise InputError(
            f"--spaces: {name} is searched by {first.name}, but fixed to {other.fixed[name]} by "
            f"{other.name}; search it in both, or in neither"
        )
    if name in other.ranges and other.ranges[name] != first.ranges[name]:
        raise InputError(
            f"--spaces: {name} is {first.ranges[name]} in {first.name}, but {other.ranges[name]} "
            f"in {other.name}; give both the same range"
        )
