"""The one kind of error that a user's input can cause."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something that the user gave is wrong: says place, rule, value and remedy in one line."""


def unknown(place: str, kind: str, name: str, known: Iterable[str]) -> InputError:
    """Build the error for a name that is not among the known ones, with the nearest that is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"{place}: unknown {kind} {name!r}; {hint}there are: {', '.join(names)}")
