import math
from itertools import product
from typing import Annotated, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regmix.errors import InputError
from regmix.ranges import (
    Bounds,
    Count,
    Decay,
    NonNegative,
    Positive,
    PositiveUnitInterval,
    Real,
    Seed,
    UnitInterval,
    check,
    number,
)
from tests.support.regmix.table import check_each

NUMBERS = (Real, Positive, NonNegative, UnitInterval, PositiveUnitInterval, Decay, Count, Seed)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.1", 0.1), ("1e-3", 0.001), ("8/255", 8 / 255), (" 3 / 4 ", 0.75), ("-2", -2.0)],
)
def test_numbers_are_read_as_people_write_them(text, value):
    assert number(text) == value


@pytest.mark.parametrize("text", ["", "a", "1/0", "/2", "1/2/3", "1,5", "0x10"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="not a number"):
        number(text)


@pytest.mark.parametrize(
    ("annotation", "value", "result"),
    [
        (float, 1, 1.0),
        (float, "1/4", 0.25),
        (int, 3.0, 3),
        (int, "3", 3),
        (bool, True, True),
        (bool, "False", False),
        (str, "text", "text"),
        (str, "none", "none"),
        (Literal["a", "b"], "b", "b"),
        (Literal["a", "b"] | None, "a", "a"),
        (Literal["a", "b"] | None, None, None),
        (Count | None, "null", None),
        (Count | None, 1, 1),
        (Real, -5, -5.0),
        (Positive, 1e-9, 1e-9),
        (NonNegative, 0, 0.0),
        (UnitInterval, 1, 1.0),
        (PositiveUnitInterval, 1, 1.0),
        (Decay, 0, 0.0),
        (Seed, 0, 0),
    ],
)
def test_every_kind_of_annotation_is_read_in_its_own_type(annotation, value, result):
    read = check("here", "name", value, annotation)
    assert read == result
    assert type(read) is type(result)


@pytest.mark.parametrize(
    ("annotation", "value", "rule"),
    [
        (float, "much", "must be a number"),
        (float, None, "must be a number"),
        (float, [1], "must be a number"),
        (float, True, "must be a number"),
        (int, False, "must be a whole number"),
        (int, 0.5, "must be a whole number"),
        (int, math.nan, "must be a whole number"),
        (int, math.inf, "must be a whole number"),
        (bool, 1, "must be true or false"),
        (bool, "yes", "must be true or false"),
        (str, 3, "must be text"),
        (Literal["a", "b"], "c", "must be one of a, b"),
        (Literal["a", "b"], None, "must be one of a, b"),
        (Real, math.nan, "must be finite"),
        (Positive, 0, "must be above 0"),
        (NonNegative, -0.1, "must be at least 0"),
        (UnitInterval, 1.1, "must lie in [0, 1]"),
        (PositiveUnitInterval, 0, "must lie in (0, 1]"),
        (Decay, 1, "must lie in [0, 1)"),
        (Count, 0, "must be at least 1"),
        (Seed, -1, "must lie in [0, 9.22337e+18]"),
        (Seed, 2**63, "must lie in [0, 9.22337e+18]"),
        (Count | None, 0, "must be at least 1"),
    ],
)
def test_what_breaks_a_rule_is_told_with_place_name_rule_and_value(annotation, value, rule):
    with pytest.raises(InputError) as told:
        check("recipe.yaml", "alpha", value, annotation)
    message = str(told.value)
    assert message.startswith(f"recipe.yaml: alpha {rule}, but is {value!r}")
    assert "\n" not in message


def test_no_range_holds_nan_infinity_or_a_truth_value():
    def refused(annotation, value):
        with pytest.raises(InputError):
            check("here", "name", value, annotation)

    wrong = (math.nan, math.inf, -math.inf, "nan", "-inf", "1e400", True)
    check_each(refused, product(NUMBERS, wrong))


@pytest.mark.parametrize("annotation", [Positive, Count])
def test_a_number_too_large_for_any_float_is_refused(annotation):
    with pytest.raises(InputError):
        check("here", "name", 10**400, annotation)


@given(st.integers(0, 2**63 - 1))
@example(2**53 + 1)  # the first that a float cannot tell from its neighbour
def test_a_whole_number_is_kept_to_its_last_digit(value):
    assert check("here", "seed", value, Seed) == value
    assert check("here", "seed", str(value), Seed) == value


@given(st.floats(-10, 10))
def test_bounds_agree_with_their_own_words(value):
    held = {
        "(-1, 2]": -1 < value <= 2,
        "[-1, 2)": -1 <= value < 2,
        "[-1, 2]": -1 <= value <= 2,
        "(-1, 2)": -1 < value < 2,
    }
    for open_low, open_high in ((True, False), (False, True), (False, False), (True, True)):
        bounds = Bounds(-1, 2, open_low=open_low, open_high=open_high)
        interval = str(bounds).removeprefix("must lie in ")
        assert bounds.holds(value) == held[interval]


def test_an_option_with_other_bounds_needs_no_new_reader():
    annotation = Annotated[int, Bounds(low=2, high=4)]
    assert check("here", "name", "3", annotation) == 3
    with pytest.raises(InputError, match="must lie in"):
        check("here", "name", 5, annotation)
