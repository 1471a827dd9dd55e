"""What the command lines share: a parser, values, one-line errors and exit statuses."""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn
from unicodedata import category

from pipeline.base import streams, variables
from pipeline.base.early import INTERRUPTED
from pipeline.base.paths import disk_remedy, remove_empty_folders
from pipeline.base.signals import interruptible
from regmix.errors import (
    InputError,
    NonFiniteError,
    cut,
    first_line,
    of_memory,
    shown,
    unknown,
)
from regmix.ranges import Positive, check

PLACE = "command line"
_LONGEST = 10 * 366 * 24 * 3600  # seconds of a time that may be given, ten years


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the nearest option."""

    def __init__(self, name: str, description: str | None) -> None:
        """Parse for the command `name`; options are never abbreviated."""
        self._meant: dict[str, str] = {}
        super().__init__(
            prog=name,
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def add_argument(self, *names: Any, **how: Any) -> argparse.Action:  # noqa: ANN401
        """Add an option as argparse does; a word that it takes is not empty and can be printed."""
        if how.get("action") in (None, "append", "extend"):
            how.setdefault("type", _word)
        return super().add_argument(*names, **how)

    def add_values(self, meanings: Mapping[str, str]) -> None:
        """Add options that take one value each.

        Args:
            meanings: option -> its line in --help.
        """
        for option, meaning in meanings.items():
            self.add_argument(option, help=meaning)

    def expect(self, option: str, words: Iterable[str]) -> None:
        """Let the error for a bare word say which option takes it.

        Args:
            option: the option.
            words: known values of it.
        """
        self._meant |= {word: f"{option} {word}" for word in words}

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found, without its usage block."""
        prefix = "unrecognized arguments: "
        if not message.startswith(prefix):
            raise InputError(f"{PLACE}: {message}; see --help")
        word = message.removeprefix(prefix).partition(" ")[0]
        known = [text for text in self._option_string_actions if text.startswith("--")]
        if word.startswith("-"):
            raise unknown(PLACE, "option", word.partition("=")[0], known)
        meant = self._meant.get(word)
        if "=" in word and "--set" in known:
            meant = f"--set {cut(word)}"
        hint = f"did you mean {meant}?" if meant else "leave it out, or name its option; see --help"
        raise InputError(f"{PLACE}: takes no word {shown(word)} here; {hint}")


def _word(text: str) -> str:
    """Return a word of the command line: a name, a path, an address or a number.

    Raises:
        argparse.ArgumentTypeError: which argparse tells with the option before it.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty; leave it out, or give it a value")
    strange = [c for c in text if category(c) == "Cc"]
    if strange:
        raise argparse.ArgumentTypeError(f"holds the character {shown(strange[0])}; remove it")
    return text


def run(name: str, main: Callable[[Sequence[str]], int]) -> int:
    """Run a command: a user's mistake is one line and status 2, a bug is a traceback.

    Numbers that are NaN or infinite, and a lack of memory, are one line and status 1.

    Ctrl-C, SIGTERM and a closed terminal are one line and status 130 at any moment. Streams that
    are closed, full or narrow change neither what is done nor the status.

    Args:
        name: name of the command, for messages.
        main: function that takes the words after it and returns the exit status.
    """
    streams.prepare()
    variables.mend()
    with interruptible():
        try:
            _check_text(sys.argv[1:])
            return main(sys.argv[1:])
        except (Exception, KeyboardInterrupt) as error:
            status, message = 2, _mistake(error)
            if isinstance(error, NonFiniteError):
                status, message = 1, f"diverged: {error}; no number would mean anything"
            if of_memory(error):
                status, message = 1, f"out of memory: {cut(first_line(error), 120)}; free some"
            if _interrupted(error):
                status, message = INTERRUPTED, "interrupted"
            if message is None:
                raise
            print(f"{name}: {' '.join(message.split())}", file=sys.stderr, flush=True)
            return status
        finally:
            remove_empty_folders()


def _check_text(words: Sequence[str]) -> None:
    """Raise InputError where a word is no text: storages and views could not keep its name."""
    for word in words:
        if not word.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in word):
            raise InputError(
                f"{PLACE}: {shown(word)} holds bytes that are no text in this locale; rename the "
                "file, or set LC_ALL=C.UTF-8"
            )


def _mistake(error: BaseException) -> str | None:
    """Return what the user can do about an error, None for a bug."""
    if isinstance(error, InputError):
        return str(error)
    return disk_remedy(error) if isinstance(error, OSError) else None


def _interrupted(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C lies behind an error: a library's clean-up may have met it midway."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def add_json(parser: Parser) -> None:
    """Add the option that prints one document, see `pipeline.base.document`."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON document on standard output at the end; all else on standard error",
    )


def add_quiet(parser: Parser) -> None:
    """Add the option that leaves out what is said on the way, see `pipeline.base.narration`."""
    parser.add_argument("--quiet", action="store_true", help="print the end alone; errors as ever")


def overrides(pairs: Sequence[str], place: str = "--set") -> dict[str, str]:
    """Read KEY=VALUE words; values stay text until a configuration checks them.

    Args:
        pairs: the words.
        place: option that they were typed after, for messages.

    Raises:
        InputError: for a word without '=', or a key given twice.
    """
    result: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or not value.strip():
            raise InputError(f"{place}: must be KEY=VALUE, but is {shown(pair)}; write epochs=20")
        if key in result:
            raise InputError(f"{place}: {cut(key)} is given twice; leave one")
        result[key] = value
    return result


def number(option: str, value: object, rule: Any) -> Any:  # noqa: ANN401  (see `ranges.check`)
    """Check the number that an option was given; None, where it was not typed, stays None.

    Args:
        option: option as it is typed, such as '--trials'.
        value: value as it was typed.
        rule: annotation of `regmix.ranges`.

    Raises:
        InputError: where type or range is wrong.
    """
    return None if value is None else check(PLACE, option, value, rule)


def gpu_share(text: str | None) -> float | str | None:
    """Read the share of a GPU for each trial: a number, or `auto`.

    Raises:
        InputError: for anything else.
    """
    if text is None or text == "auto":
        return text
    option = "--gpus-per-trial"
    share: float = number(option, text, Positive)
    return share


def seconds(option: str, text: str, *, zero: bool = False) -> float:
    """Read a duration such as 90s, 30m or 2h.

    Args:
        option: option as it is typed, such as '--budget'.
        text: the duration as it was typed.
        zero: whether 0s means something.

    Raises:
        InputError: for another form, none at all, or more than ten years.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh])", text)
    found = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if not (0 < found <= _LONGEST or (zero and match and not found)):
        most = ", at most ten years" if found else ""
        raise InputError(
            f"{PLACE}: {option} must be a time such as 90s, 30m or 2h{most}, but is {shown(text)}"
        )
    return found
