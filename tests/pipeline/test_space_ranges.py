"""Ranges have the type of their option: what a space accepts, every draw of it is accepted too."""

import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.problem.problem import SearchProblem
from pipeline.problem.space import Choice, Float, Int
from regmix.config import TrainConfig, options_of
from regmix.errors import InputError
from tests.support.processes import call

RECIPE = "digits"
COMPONENTS = {"data": "digits", "model": "small_cnn", "attack": "fgsm", "loss": "regmix"}


def load(tmp_path, space, recipe=RECIPE):
    path = tmp_path / "mine.yaml"
    path.write_text(space)
    return SearchProblem.load(str(path), recipe, {})


def draws(problem, count=20):
    """Both ends of every range, and random values of them."""
    chance = random.Random(0)
    shares = [
        [0.0] * 100,
        [1.0] * 100,
        *([chance.random() for _ in range(100)] for _ in range(count)),
    ]
    for share in shares:
        yield {n: r.at(s) for (n, r), s in zip(problem.space.ranges.items(), share, strict=False)}


REFUSED = {
    "real numbers for a whole one": ("batch_size: {float: [8, 16]}", "write {int: [8, 16]}"),
    "numbers for a word": ("schedule: {int: [1, 2]}", "must be one of multistep"),
    "numbers for true or false": ("align_history: {int: [0, 1]}", "must be true or false"),
    "numbers for a variant": ("model: {float: [0, 1]}", "model must be a choice"),
    "a word that there is not": ("schedule: {choice: [cosine, cosin]}", "must be one of multistep"),
    "a variant that there is not": ("model: {choice: [small_cnn, resnet]}", "unknown model"),
    "a number for a variant": ("model: {choice: [1, 2]}", "model must be named, but is 1"),
    "one number twice": ("alpha: {choice: [1, '1']}", "choice needs at least 2 different values"),
    "one number three times": ("alpha: {choice: [1, 1.0, 1.5]}", "at least 2 different values"),
    "one and true": ("alpha: {choice: [1, 1.0, true]}", "at least 2 different values"),
    "a list in a choice": ("alpha: {choice: [[1], 2]}", "of single values, but has [1]"),
    "a mapping in a choice": ("alpha: {choice: [{a: 1}, 2]}", "of single values"),
    "a choice outside": ("alpha: {choice: [-1, 2]}", "alpha must be at least 0, but is -1"),
    "a choice of no number": ("alpha: {choice: [1, two]}", "alpha must be a number, but is 'two'"),
    "an upper end outside": ("momentum: {float: [0.5, 1]}", "momentum must lie in [0, 1)"),
    "an infinite end": ("alpha: {float: [0, .inf]}", "must have finite bounds, but has inf"),
    "no number for an end": ("alpha: {float: [.nan, 1]}", "must have finite bounds, but has nan"),
    "an end of 400 digits": (f"alpha: {{float: [0, '{'9' * 400}']}}", "must have finite bounds"),
    "a huge end": ("batch_size: {int: [1, 1e40]}", "must have bounds of at most 9007199254740992"),
    "a broken end": ("batch_size: {int: [1, 2.5]}", "must have whole numbers for bounds"),
    "a list for an end": ("alpha: {float: [[1], 2]}", "must have numbers for bounds, but has [1]"),
    "truth for an end": ("alpha: {float: [false, true]}", "must have numbers for bounds"),
    "too wide": ("alpha: {float: [1e-320, 1e300], log: true}", "wider than a float can tell"),
    "below one on a log scale": ("batch_size: {int: [0, 9], log: true}", "log: true needs bounds"),
    "a list": ("alpha: [1, 2]", "must be like {float: [0.5, 20], log: true}, but is [1, 2]"),
    "a list for the kind": ("alpha: {float: [1, 2], log: [true]}", "log must be true or false"),
    "nothing": ("alpha:", "must be like {float: [0.5, 20], log: true}, but is None"),
    "the loss": ("loss: {choice: [plain, mse]}", "loss is what a space is about"),
    "the data": ("data: {choice: [digits, cifar10]}", "data belongs to the task"),
    "what one variant lacks": (
        "attack: {choice: [fgsm, pgd]}\n  steps: {choice: [2, 3]}", "unknown parameter 'steps'"
    ),
    "what another loss takes": ("mse_weight: {float: [1, 2]}", "unknown parameter 'mse_weight'"),
    "a long name": (f"{'x' * 400}: {{float: [1, 2]}}", "unknown parameter"),
    "an empty name": ("'': {float: [1, 2]}", "unknown parameter ''"),
    "a number as a name": ("1: {float: [1, 2]}", "unknown parameter '1'"),
    "many": ("".join(f"a{n}: {{float: [1, 2]}}\n  " for n in range(101)), "at most 100 parameters"),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_range_of_another_type_is_refused_where_it_was_written(tmp_path, rule, expected):
    with pytest.raises(InputError) as told:
        load(tmp_path, f"search:\n  {rule}\n")
    assert expected in str(told.value) and str(told.value).startswith(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("loss: [regmix]\n", "unknown loss ['regmix']"),
        ("loss: ~\n", "unknown loss None"),
        ("loss: 1\n", "unknown loss 1"),
        ("fixed: 0\n", "fixed must be a mapping of names to values, but is 0"),
        ("fixed: false\n", "fixed must be a mapping of names to values, but is False"),
        ("fixed: []\n", "fixed must be a mapping of names to values, but is []"),
        ("fixed: {loss: mse}\n", "loss is what a space is about"),
        ("fixed: {data: digits}\n", "data belongs to the task"),
        ("fixed: {beta: [1]}\n", "beta must be a number, but is [1]"),
        ("fixed: {beta: {a: 1}}\n", "beta must be a number, but is {'a': 1}"),
        ("fixed: {model: [resnet18]}\n", "model must be named, but is ['resnet18']"),
        ("fixed: {on: 1}\n", "unknown parameter 'on'"),
    ],
)
def test_the_rest_of_a_space_is_checked_where_it_was_written(tmp_path, head, expected):
    with pytest.raises(InputError) as told:
        load(tmp_path, head + "search: {alpha: {float: [1, 2]}}\n")
    assert expected in str(told.value) and str(told.value).startswith(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("trainings: 0", "trainings must be at least 1, but is 0"),
        ("trainings: -1", "trainings must be at least 1, but is -1"),
        ("trainings:", "trainings must be a whole number, but is None"),
        ("trainings: [1]", "trainings must be a whole number, but is [1]"),
        ("loss: mse", "loss is decided by the space"),
        ("losses: {mse: {foo: 1}}", "losses: mse: unknown option 'foo'"),
        ("losses: {mse: {mse_weight: -1}}", "losses: mse: mse_weight must be at least 0"),
        ("losses: {plain: {alpha: 1}}", "losses: plain: unknown option 'alpha'"),
        ("losses: {other: {}}", "unknown loss 'other'"),
        ("losses: {1: {}}", "unknown loss '1'"),
        ("losses: [mse]", "losses must map each loss to its options"),
        ("losses: {mse: 0}", "losses must map each loss to its options"),
        ("losses:", "losses must map each loss to its options"),
        ("lr: [1]", "lr must be a number, but is [1]"),
        ("model: [small_cnn]", "model must be named, but is ['small_cnn']"),
        ("lr: 2001-01-01", "lr must be a number, but is '2001-01-01'"),
        ("on: 1", "unknown parameter 'on'"),
    ],
)
def test_a_recipe_is_checked_also_in_what_this_search_does_not_use(tmp_path, change, expected):
    recipe = tmp_path / "task.yaml"
    known = {"data": "digits", "model": "small_cnn", "attack": "fgsm", change.split(":")[0]: None}
    lines = [f"{name}: {value}" for name, value in known.items() if value] + [change]
    recipe.write_text("\n".join(lines))
    with pytest.raises(InputError) as told:
        load(tmp_path, "search: {alpha: {float: [1, 2]}}\n", str(recipe))
    assert expected in str(told.value) and str(told.value).startswith(str(recipe))


def test_a_path_in_a_message_is_as_it_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("search: {alpha: {float: [-1, 2]}}\n")
    line = call("search", "--space", "./mine.yaml", "--recipe", "digits").one_line
    assert line.startswith("search: mine.yaml: search: alpha must be at least 0, but is -1.0")


def test_choices_are_kept_in_the_options_type(tmp_path):
    problem = load(
        tmp_path,
        "search:\n  batch_size: {choice: [16, '32', 64.0]}\n  alpha: {choice: [1, 5/2]}\n"
        "  clip_norm: {choice: [null, 5]}\n  align_history: {choice: [true, 'false']}\n"
        "  beta: {int: [1, 3]}\n",
    )
    ranges = problem.space.ranges
    assert ranges["batch_size"] == Choice((16, 32, 64)) and ranges["alpha"] == Choice((1.0, 2.5))
    assert ranges["clip_norm"] == Choice((None, 5.0)) and ranges["beta"] == Int(1, 3)
    assert ranges["align_history"] == Choice((True, False))
    kinds = [type(value) for name in ("batch_size", "alpha") for value in ranges[name].values]
    assert kinds == [int, int, int, float, float]
    assert problem.config({"beta": 2}).loss.options["beta"] == 2.0


def test_variants_may_be_searched_also_where_the_recipe_has_another(tmp_path):
    text = "search:\n  model: {choice: [resnet18, preactresnet18]}\n  alpha: {float: [1, 2]}\n"
    recipe = tmp_path / "task.yaml"
    for model, own in (("model: small_cnn\n", "small_cnn"), ("", None)):
        recipe.write_text(f"data: digits\nattack: fgsm\nvalid_images: 400\n{model}")
        problem = load(tmp_path, text, str(recipe))
        assert problem.default()["model"] == "resnet18"
        assert problem.moved()["model"] == (own, "resnet18")
        assert {problem.config(params).model.name for params in draws(problem)} == {
            "resnet18",
            "preactresnet18",
        }


BOUNDS = st.sampled_from(
    [0, 1, -1, 2, 3, 8, 16, 100, 0.5, 0.1, 1.5, 1e-3, "1e-3", "8/255", True, None, "x", 1e300,
     -1e300, 2**60, 10**30, math.inf, [1], "cosine", "multistep", "history", "train", "sign"]
)  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(options_of(COMPONENTS))),
            st.sampled_from(["float", "int", "choice"]),
            st.lists(BOUNDS, min_size=2, max_size=3),
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda one: one[0],
    )
)
def test_what_a_space_accepts_every_draw_of_it_is_accepted_too(tmp_path, ranges):
    import yaml

    rules = {
        name: {kind: bounds if kind == "choice" else bounds[:2], **({"log": True} if log else {})}
        for name, kind, bounds, log in ranges
    }
    try:
        problem = load(tmp_path, yaml.safe_dump({"search": rules}))
    except InputError as error:
        assert str(tmp_path) in str(error)
        return
    default, moved, own = problem.default(), problem.moved(), problem.config({}).flat()
    for name, range_ in problem.space.ranges.items():
        if not isinstance(range_, Choice):
            assert range_.low <= default[name] <= range_.high
        else:
            assert default[name] in range_.values
        assert (name in moved) == (default[name] != own[name])
    for params in [default, *draws(problem)]:
        config = problem.config(params)
        assert TrainConfig.from_flat(config.flat()) == config
        assert all(config.flat()[name] == value for name, value in params.items())


@given(st.floats(-50, 50), st.floats(0.01, 50), st.floats(-100, 100))
def test_the_nearest_value_is_as_near_as_any(low, width, value):
    near = Float(low, low + width).nearest(value)
    assert all(
        abs(near - value) <= abs(other - value) for other in (low, low + width, low + width / 2)
    )
    whole = Int(round(low), round(low) + 10)
    assert all(
        abs(whole.nearest(value) - value) <= abs(n - value)
        for n in range(whole.low, whole.high + 1)
    )
    assert (whole.nearest(None), Float(0, 1).nearest(None)) == (whole.high, 1)
    assert Choice((8, 16, 64)).nearest(30) == 16 and Choice(("a", "b")).nearest("c") == "a"
