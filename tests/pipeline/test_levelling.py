"""Spaces of a comparison: what is no loss's own is searched in all of them, or in none."""

import pytest

from pipeline.problem.levelling import levelled
from pipeline.problem.problem import SPACES, SearchProblem, find_space
from pipeline.problem.space import SearchSpace
from regmix import yaml_file
from regmix.errors import InputError

SEVEN = ("plain", "mse", "trades", "wamr", "agr", "regmix")
COMMON = {"epsilon_ratio", "true_class_mass", "lr", "weight_decay"}
OWN = {
    "plain": set(), "mse": {"mse_weight"}, "trades": {"trades_weight"}, "wamr": {"alpha", "beta"},
    "agr": {"gamma"}, "regmix": {"alpha", "beta", "gamma"},
}  # fmt: skip


def written(folder, names):
    """Read each levelled space back from a file, as a comparison writes it."""
    found = {}
    for name, content in levelled([find_space(name) for name in names]).items():
        path = folder / f"{name}.yaml"
        path.write_text(yaml_file.dump(content))
        found[name] = SearchSpace.from_yaml(path)
    return found


def test_whatever_one_space_searches_beside_its_weights_all_search_alike(tmp_path):
    found = written(tmp_path, SEVEN)
    assert tuple(found) == SEVEN
    for name, space in found.items():
        before = SearchSpace.from_yaml(SPACES / f"{name}.yaml")
        assert set(space.ranges) == OWN[name] | COMMON
        assert (space.loss, space.fixed) == (before.loss, before.fixed)
        assert {key: space.ranges[key] for key in before.ranges} == before.ranges
        assert {space.ranges[key] for key in COMMON} == {found["regmix"].ranges[k] for k in COMMON}


def test_spaces_that_search_alike_stay_as_they_are(tmp_path):
    for name, space in written(tmp_path, ("trades", "mart", "dkl", "logit_pairing")).items():
        assert space.ranges == SearchSpace.from_yaml(SPACES / f"{name}.yaml").ranges


def test_a_levelled_space_begins_at_the_recipes_own_values(tmp_path):
    for name in written(tmp_path, SEVEN):
        problem = SearchProblem.load(str(tmp_path / f"{name}.yaml"), "digits", {})
        assert not problem.moved()
        own = SearchProblem.load(name, "digits", {}).config({})
        assert problem.config(problem.default()) == own


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss: mse\nsearch: {lr: {float: [1, 2]}}", "lr is Float"),
        ("loss: mse\nfixed: {lr: 0.3}\nsearch: {mse_weight: {float: [1, 2]}}", "fixed to 0.3 by"),
    ],
)
def test_a_parameter_that_is_searched_otherwise_is_refused(tmp_path, text, expected):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=expected) as caught:
        levelled([find_space("regmix"), path])
    assert "lr" in str(caught.value) and "mine" in str(caught.value)


def test_two_spaces_of_one_name_are_refused(tmp_path):
    path = tmp_path / "mse.yaml"
    path.write_text((SPACES / "mse.yaml").read_text())
    with pytest.raises(InputError, match="mse is named twice"):
        levelled([find_space("mse"), path])
