"""Tables of cases that one test goes through as a whole."""

from collections.abc import Callable, Iterable

import pytest


def check_each(check: Callable[..., object], cases: Iterable[tuple[object, ...]]) -> None:
    """Hold a check against every case, and fail once with all the cases that it refused.

    Args:
        check: function that raises where a case is wrong.
        cases: its arguments, case by case; at least one.
    """
    count, failures = 0, []
    for case in cases:
        count += 1
        try:
            check(*case)
        except (Exception, pytest.fail.Exception) as error:
            reason = (str(error).splitlines() or [""])[0]
            failures.append(f"{case}: {type(error).__name__}: {reason}")
    assert count, "the table is empty"
    assert not failures, "\n".join([f"{len(failures)} of {count} cases failed:", *failures])
