import pytest

from regmix.errors import InputError, first_line, unknown


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
