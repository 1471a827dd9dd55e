"""The kinds of error that are no bugs: a user's mistake on one line, a number that is none."""

import difflib
import re
import reprlib
from collections.abc import Iterable

LONGEST = 285
"""Characters of a message: with the command's name before it, fewer than 300."""

_SECRETS = (  # what an address may hold -> what is shown of it
    (re.compile(r"(://[^\s/:@]*):\S*@"), r"\1:***@"),  # USER:PASSWORD@, also with a bare @ or /
    (re.compile(r"(\bhttps?://)[^\s/:@]+@", re.IGNORECASE), r"\1***@"),  # a token as the user
    (
        re.compile(
            r"([?&][^\s=&]*(?:pass|pwd|secret|token|cred|sig|key)[^\s=&]*=)[^\s&'\")]*[^\s&'\"):;,]",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (re.compile(r"(\bpassword\s?=\s?)[^\s&'\")*]+", re.IGNORECASE), r"\1***"),  # a driver's words
)
_WORD = 60  # characters of a word, such as a path, in a message that is too long
_CUT = "..."
_NO_MEMORY = "can't allocate memory"  # of torch on a CPU, in a plain RuntimeError


class InputError(ValueError):
    """A mistake in what the user gave; its text is one line: place, rule, value, remedy."""

    def __init__(self, message: str) -> None:
        """Keep the message on one line of at most `LONGEST` characters, whatever it echoes.

        Passwords and tokens of addresses are masked in it, see `masked`.
        """
        super().__init__(_one_line(message))


class NonFiniteError(ArithmeticError):
    """A number that a result would be made of is NaN or infinite: the run has diverged."""


def unknown(
    place: str, kind: str, name: object, known: Iterable[str], instead: str = ""
) -> InputError:
    """Build the error for an unknown name.

    Args:
        place: file or command line that the name was written in.
        kind: kind of thing that is named, such as 'loss'.
        name: name that is unknown, of whatever type it was written in.
        known: names that there are; the nearest one is suggested.
        instead: what else may be meant, where no name is near.
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name)[:100], names, n=1, cutoff=0.5)
    hint = f"did you mean {shown(near[0])}? " if near else instead and f"{instead}; "
    message = f"{place}: unknown {kind} {shown(name)}; {hint}there are: "
    room = max(len(_CUT), LONGEST - len(message))
    while len(", ".join(names)) > room:  # the list ends early, sooner than the place is cut
        names = [*names[:-2], _CUT]
    return InputError(message + ", ".join(names))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, masked, or its type's name where there is none."""
    return masked((str(error).strip().splitlines() or [type(error).__name__])[0])


def of_memory(error: BaseException) -> bool:
    """Return whether memory did not suffice: Python's, a GPU's, or torch's on a CPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # torch's, which a driver doesn't load
        or _NO_MEMORY in str(error)
    )


def masked(text: str) -> str:
    """Return a text with `***` for each password, token and key of the addresses in it.

    Every message, table and command that may hold an address goes through it: a terminal's words
    end up in logs.
    """
    for pattern, shown_instead in _SECRETS:
        text = pattern.sub(shown_instead, text)
    return text


class _Shortened(reprlib.Repr):
    """`repr` in bounded time and length: a value from a file may hold itself a million times."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxtuple, self.maxset = 3, 4, 6, 6, 6
        self.maxstring = self.maxother = self.maxlong = _WORD

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002
        """Return a whole number; one beyond Python's limit of digits has no decimal text."""
        if x.bit_length() > 256:
            return f"a whole number of about {int(x.bit_length() * 0.30103) + 1} digits"
        return repr(x)


_shortened = _Shortened()


def shown(value: object, most: int = _WORD) -> str:
    """Return a value as it is echoed in a message: its `repr`, cut in the middle.

    Args:
        value: whatever the user wrote.
        most: length that is kept, characters.
    """
    return cut(_shortened.repr(value), most)


def cut(text: str, most: int = _WORD) -> str:
    """Return a text of at most `most` characters; what is left out of its middle is '...'."""
    if len(text) <= most:
        return text
    left = most - len(_CUT)
    return text[: left - left // 2] + _CUT + text[len(text) - left // 2 :]


def _one_line(message: str) -> str:
    """Return a message without breaks and control characters, at most `LONGEST` long."""
    line = masked(" ".join(message[: 100 * LONGEST].split()))
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    if len(line) > LONGEST:  # long words first, and the place last: the rest are rule and remedy
        place, *words = line.split(" ")
        line = " ".join([place, *map(cut, words)])
    if len(line) > LONGEST:
        line = " ".join(map(cut, line.split(" ")))
    return cut(line, LONGEST)
