"""How a command ends: in one line for a mistake or an interrupt, in a traceback for a bug."""

import errno
import os

import pytest

from pipeline.base import cli
from regmix.errors import InputError


def interrupted_while_cleaning_up(argv):
    try:
        raise KeyboardInterrupt
    finally:
        os.unlink("no-such-lock")  # as Optuna does, whose release met the interrupt midway


def mistaken(argv):
    raise InputError("--trials: must be 1 or more,\nbut is 0")


def full(argv):
    raise OSError(errno.ENOSPC, "No space left on device", "mlruns/x")


def interrupted(argv):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("main", "status", "line"),
    [
        (lambda argv: 0, 0, ""),
        (interrupted, 130, "search: interrupted\n"),
        (interrupted_while_cleaning_up, 130, "search: interrupted\n"),
        (mistaken, 2, "search: --trials: must be 1 or more, but is 0\n"),
        (full, 2, "search: mlruns/x: the disk is full; make room or choose another place by"),
    ],
)
def test_it_ends_with_a_status_and_at_most_a_line(main, status, line, capsys):
    assert cli.run("search", main) == status
    err = capsys.readouterr().err
    assert err.startswith(line) and err.count("\n") == bool(line)


@pytest.mark.parametrize("error", [FileNotFoundError("a bug"), RuntimeError("a bug")])
def test_a_bug_is_a_traceback(error):
    def buggy(argv):
        raise error

    with pytest.raises(type(error)):
        cli.run("search", buggy)


def test_a_duration_is_none_only_where_that_means_something():
    assert cli.seconds("--checkpoint-every", "0s", zero=True) == 0
    assert cli.seconds("--checkpoint-every", "1.5m", zero=True) == 90
    for text, zero in (
        ("0s", False),
        ("-1s", True),
        ("", True),
        ("0", True),
        ("9" * 30 + "h", True),
    ):
        with pytest.raises(InputError, match="must be a time such as 90s"):
            cli.seconds("--budget", text, zero=zero)
