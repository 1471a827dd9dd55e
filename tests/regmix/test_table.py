"""The helper of the table tests sees every case, and hides none that fails."""

import pytest

from tests.support.regmix.table import check_each


def test_every_case_is_checked_and_all_that_fail_are_named():
    seen = []

    def check(number, word):
        seen.append(number)
        assert number % 2, word
        if number == 3:
            raise KeyError(word)
        if number == 5:
            with pytest.raises(ValueError):
                pass

    with pytest.raises(AssertionError, match="5 of 6 cases failed") as told:
        check_each(check, [(number, "odd") for number in range(6)])
    assert seen == list(range(6))
    message = str(told.value)
    assert all(f"({number}, 'odd')" in message for number in (0, 2, 3, 4, 5))
    assert message.count("odd") >= 5


def test_a_table_that_holds_passes_and_an_empty_one_does_not():
    check_each(lambda number: number, [(1,), (2,)])
    with pytest.raises(AssertionError, match="the table is empty"):
        check_each(lambda number: number, [])
