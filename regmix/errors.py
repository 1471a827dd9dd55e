"""The one kind of error that a user's input can cause, and words for its one line."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A mistake in what the user gave; its text is one line: place, rule, value, remedy."""


def unknown(place: str, kind: str, name: str, known: Iterable[str]) -> InputError:
    """Build the error for an unknown name.

    Args:
        place: file or command line that the name was written in.
        kind: kind of thing that is named, such as 'loss'.
        name: name that is unknown.
        known: names that there are; the nearest one is suggested.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"{place}: unknown {kind} {name!r}; {hint}there are: {', '.join(names)}")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or the name of its type where there is none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
