"""What the registry demands of a variant's source, and how it tells what is wrong with one."""

from typing import Annotated, Literal

import pytest

from regmix import ranges, signature
from regmix.errors import InputError
from regmix.ranges import Bounds, Count, NonNegative, Positive
from regmix.signature import Contract, Option

LOSS = Contract(("final", "initial", "clean", "target"), companion="inputs")
ATTACK = Contract(
    ("model", "images", "start", "target"),
    keywords=("epsilon", "keep_graph"),
    companion="radius",
    companion_keywords=("epsilon",),
)
PRUNER = Contract(("epochs",), optional=("inner",))

GOOD_LOSS = """
def mine(final, initial, clean, target, *, weight: NonNegative = 1.0):
    return final.sum()

def inputs(*, weight):
    return 1 / 0
"""
GOOD_ATTACK = """
def mine(model, images, start, target, *, epsilon, keep_graph, steps: Count = 3):
    return None

def radius(*, epsilon, **options):
    return None
"""


def read(source, contract, name="mine"):
    return signature.read(source, "losses/mine.py", name, contract)


def refusal(source, contract, name="mine"):
    with pytest.raises(InputError) as told:
        read(source, contract, name)
    message = str(told.value)
    assert message.startswith("losses/mine.py:")
    assert "\n" not in message
    assert len(message) < 300
    return message


def test_options_are_read_without_executing_the_source():
    source = f"raise SystemExit(7)\n{GOOD_LOSS}"
    assert dict(read(source, LOSS)) == {"weight": Option(NonNegative, 1.0)}


def test_what_the_caller_gives_is_no_option():
    assert dict(read(GOOD_ATTACK, ATTACK)) == {"steps": Option(Count, 3)}


@pytest.mark.parametrize("optional", ["", ", inner=None"])
def test_an_optional_parameter_may_be_left_out(optional):
    source = f"def mine(epochs{optional}, *, factor: Count = 3): ..."
    assert list(read(source, PRUNER)) == ["factor"]


def test_without_a_contract_any_parameters_will_do():
    assert list(read("def mine(a, b=2, *c, d: Count = 3, **e): ...", None)) == ["d"]


EVERY_RULE = {
    **{
        name: getattr(ranges, name)
        for name in dir(ranges)
        if hasattr(getattr(ranges, name), "__metadata__")
    },
    "float": float,
    "int": int,
    "bool": bool,
    "str": str,
    "Positive | None": Positive | None,
    "Literal['a', 'b']": Literal["a", "b"],
    "Literal['a']": Literal["a"],
    "Literal['a', 'b'] | None": Literal["a", "b"] | None,
    "Annotated[int, Bounds(low=2, high=4)]": Annotated[int, Bounds(low=2, high=4)],
    "Annotated[float, Bounds(-1, 2, open_low=True)]": Annotated[
        float, Bounds(-1, 2, open_low=True)
    ],
}
DEFAULTS = {"bool": True, "str": "x", "Literal['a', 'b']": "b", "Literal['a']": "a"}
DEFAULTS["Literal['a', 'b'] | None"] = None
DEFAULTS["Annotated[int, Bounds(low=2, high=4)]"] = 3


def test_every_rule_of_the_vocabulary_is_understood():
    assert {"Real", "Count", "Seed", "Decay"} <= EVERY_RULE.keys()
    for text, rule in EVERY_RULE.items():
        default = DEFAULTS.get(text, 1 if rule in (int, Count) else 0.5)
        default = 1 if text in ("Natural", "Seed") else default
        source = f"def mine(epochs, *, o: {text} = {default!r}): ..."
        assert dict(read(source, PRUNER)) == {"o": Option(rule, default)}, text


@pytest.mark.parametrize(
    ("source", "contract", "told"),
    [
        ("def mine(:", LOSS, "losses/mine.py:1: is no Python: "),
        ("\n\nreturn 3", LOSS, "losses/mine.py:3: is no Python: 'return' outside function"),
        ("x = '\0'", LOSS, "is no Python"),
        ("", LOSS, "must define a function mine(), named as the file, but defines none; add it"),
        ("def other(): ...\nmine = other", LOSS, "but defines other; add it or rename the file"),
        ("class mine: ...", LOSS, "must define a function mine()"),
        (
            GOOD_LOSS.replace("final, initial", "initial, final"),
            LOSS,
            "losses/mine.py:2: the positional parameters of mine() must be final, initial, clean, "
            "target, but are initial, final, clean, target; name them so, and put options behind *",
        ),
        (GOOD_LOSS.replace(", target", ""), LOSS, "but are final, initial, clean; name them"),
        (GOOD_LOSS.replace("target", "target, alpha"), LOSS, "clean, target, alpha; name them"),
        (GOOD_LOSS.replace("*, ", ""), LOSS, "target, weight; name them so, and put options"),
        (GOOD_LOSS.replace("target, *", "target, *more"), LOSS, "takes * or ** arguments"),
        (GOOD_LOSS.replace("= 1.0", "= 1.0, **more"), LOSS, "must name each option, but takes *"),
        (GOOD_LOSS.replace("inputs", "branches"), LOSS, "must define inputs() beside mine(), but"),
        (
            GOOD_LOSS.replace("(*, weight)", "()"),
            LOSS,
            "losses/mine.py:5: inputs() must take weight by name, but lacks weight; add it, or",
        ),
        (
            GOOD_LOSS.replace("(*, weight)", "(*, weight, more)"),
            LOSS,
            "inputs() is given weight, but also requires more; remove it or give it a default",
        ),
        (GOOD_LOSS.replace("(*, weight)", "(weight, more)"), LOSS, "but also requires more"),
        (
            GOOD_ATTACK.replace("epsilon, keep_graph, ", "epsilon, "),
            ATTACK,
            "mine() must take epsilon, keep_graph behind * without a default, but lacks keep_graph",
        ),
        (GOOD_ATTACK.replace("keep_graph", "keep_graph: bool = True"), ATTACK, "lacks keep_graph"),
        (
            GOOD_ATTACK.replace("(*, epsilon, **options)", "(steps)"),
            ATTACK,
            "radius() must take epsilon, steps by name, but lacks epsilon; add it, or **_: object",
        ),
        (GOOD_ATTACK.replace("epsilon, **options", "epsilon"), ATTACK, "but lacks steps; add"),
        (GOOD_ATTACK.replace("radius", "reach"), ATTACK, "must define radius() beside mine()"),
        ("def mine(epochs, other=None): ...", PRUNER, "must be epochs, then at most inner, but"),
        ("def mine(epochs, inner): ...", PRUNER, "must be epochs, then at most inner, but are"),
        ("def mine(): ...", PRUNER, "but are none; name them so"),
        (
            GOOD_LOSS.replace(": NonNegative", ""),
            LOSS,
            "the option weight must be annotated with its range, but is not; choose one of float,",
        ),
        (
            GOOD_LOSS.replace("NonNegative", "Tensor"),
            LOSS,
            "also with | None, but is 'Tensor'; change it",
        ),
        (GOOD_LOSS.replace("NonNegative", "Literal[1, 2]"), LOSS, "but is 'Literal[1, 2]'; change"),
        (GOOD_LOSS.replace("NonNegative", "list[int]"), LOSS, "but is 'list[int]'; change it"),
        (GOOD_LOSS.replace("NonNegative", "exit(3)"), LOSS, "but is 'exit(3)'; change it"),
        (
            GOOD_LOSS.replace("NonNegative", "Annotated[int, Bounds(lowest=2)]"),
            LOSS,
            "the bounds of weight must be Bounds(low=..., high=...) of numbers, but are",
        ),
        (
            GOOD_LOSS.replace("NonNegative", "Annotated[int, Bounds(low=exit(3))]"),
            LOSS,
            "but are 'Bounds(low=exit(3))'; change them",
        ),
        (GOOD_LOSS.replace("NonNegative", "Annotated[int, Other(2)]"), LOSS, "'Other(2)'; change"),
        (GOOD_LOSS.replace(" = 1.0", ""), LOSS, "weight must have a default, but has none; add"),
        (
            GOOD_LOSS.replace("1.0", "DEFAULT"),
            LOSS,
            "the default of weight must be a number, a text, True, False or None, but is 'DEFAULT'",
        ),
        (GOOD_LOSS.replace("1.0", "-1.0"), LOSS, "the default of weight must be at least 0, but"),
        (GOOD_LOSS.replace("1.0", "None"), LOSS, "the default of weight must be a number, but"),
        (GOOD_LOSS.replace("1.0", "'high'"), LOSS, "must be a number, but is 'high'"),
    ],
)
def test_what_breaks_the_contract_is_told_in_one_line(source, contract, told):
    assert told in refusal(source, contract)
