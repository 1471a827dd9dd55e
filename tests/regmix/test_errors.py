import ast
import functools
from pathlib import Path

import pytest

from regmix.errors import LONGEST, InputError, first_line, shown, unknown

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "nearest"), [("alhpa", "alpha"), ("bata", "beta"), ("gama", "gamma")]
)
def test_an_unknown_name_is_told_with_the_nearest_that_is_known(name, nearest):
    message = str(unknown("wamr.yaml", "parameter", name, ["beta", "gamma", "alpha"]))
    assert message == (
        f"wamr.yaml: unknown parameter {name!r}; did you mean {nearest!r}? "
        "there are: alpha, beta, gamma"
    )


def test_nothing_near_is_not_guessed_at():
    message = str(unknown("here", "loss", "zzz", iter(["plain", "mse"])))
    assert message == "here: unknown loss 'zzz'; there are: mse, plain"


def test_it_is_an_error_of_the_input():
    assert isinstance(unknown("here", "loss", "x", ["y"]), InputError)
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError("disk full"), "disk full"),
        (ValueError("wrong\nin many ways"), "wrong"),
        (ValueError("\n  wrong\n"), "wrong"),
        (EOFError(), "EOFError"),
        (KeyboardInterrupt(" \n"), "KeyboardInterrupt"),
    ],
)
def test_every_error_has_a_first_line(error, line):
    assert first_line(error) == line


SOURCES = [path for room in ("pipeline", "regmix") for path in (ROOT / room).rglob("*.py")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_value_in_an_error_goes_through_the_one_shortener(path):
    """A value's own `repr` may be a gigabyte long, or fail; `shown` bounds it."""
    for call in ast.walk(ast.parse(path.read_text())):
        if isinstance(call, ast.Call) and "Error" in ast.unparse(call.func):
            for part in ast.walk(call):
                if isinstance(part, ast.FormattedValue) and part.conversion == ord("r"):
                    written = ast.unparse(part.value)
                    assert path.name == "registry.py" and written == "kind", (
                        f"line {part.lineno}: write {{shown({written})}} for {{{written}!r}}"
                    )


BOMB = functools.reduce(lambda inner, _: [inner] * 9, range(30), ["x"])  # type: ignore[list-item]
VALUES = {
    "a bomb": BOMB, "a bomb in a mapping": {"a": BOMB}, "digits": 10**6000, "a text": "x" * 10**7,
    "bytes": b"x" * 10**6, "levels": [[[[[]]]]], "an escape": "\x1b[2J\n", "none": float("nan"),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_whatever_is_echoed_is_short_and_on_one_line(name):
    text = shown(VALUES[name])
    assert len(text) <= 60 and text.isprintable()
    message = str(InputError(f"{'/long' * 50}/mine.yaml: must be {'a rule ' * 30}, but is {text}"))
    assert len(message) <= LONGEST and message.isprintable()


def test_the_place_stays_whole_where_the_rest_can_be_shorter():
    place = f"/{'folder/' * 20}mine.yaml"
    names = [f"option_{number}" for number in range(90)]
    message = str(unknown(f"{place}: search", "parameter", "x" * 200, names))
    assert message.startswith(f"{place}: search: unknown parameter") and len(message) <= LONGEST
    message = str(InputError(f"{place}: must be one, but is {'y' * 400}; write it"))
    assert message.startswith(f"{place}: must be one, but is yyy") and message.endswith(
        "; write it"
    )
