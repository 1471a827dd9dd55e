"""Methods compared: known answers, and how often a difference is told that isn't there."""

from dataclasses import asdict
from itertools import combinations

import numpy as np
import pytest

from pipeline.race.comparison import Confirmed, compared, holm, hypervolume, prove_raced_alike
from pipeline.race.statistics import difference
from pipeline.views import comparison_table
from regmix.errors import InputError
from tests.support.controllers import no_masking


def trained(generator, mean, seeds, hardness):
    """Outcomes (seeds, images): a seed moves all images of a training, and each has its own."""
    shift, own = (
        generator.normal(0, 0.06, (seeds, 1)),
        generator.normal(0, 0.7, (seeds, len(hardness))),
    )
    return hardness + own + shift + (mean - 0.5) / 0.22 > 0


class Number:
    """A trial of which the number and the parameters count."""

    def __init__(self, number, params=None):
        self.number, self.params = number, params or {"alpha": 1.5}


def method(runs, winner=1):
    """A method whose start has number 0, of two or more configurations."""
    kept = {number: runs[number] for number in (0, winner)}
    return Confirmed(Number(0), Number(winner), kept, [(0.5, 0.8), (0.4, 0.9)], 20.0)


def field(generator, means, seeds=3, images=400):
    """Method -> Confirmed, whose winners have these means on very many images."""
    hardness = generator.normal(0, 1.5, images)
    found = {}
    for name, mean in means.items():
        runs = [trained(generator, m, seeds, hardness) for m in mean]
        found[name] = method({n: dict(enumerate(run, 1)) for n, run in enumerate(runs)})
    return found


def test_holm_is_bonferroni_for_the_least_and_never_falls():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    values = list(np.random.default_rng(0).uniform(0, 0.2, 9))
    found = holm(values)
    assert min(found) == pytest.approx(9 * min(values))
    order = sorted(range(9), key=lambda n: values[n])
    assert [found[n] for n in order] == sorted(found)


def test_the_volume_is_the_area_that_points_dominate():
    assert hypervolume([(0.5, 0.8)]) == pytest.approx(0.4)
    assert hypervolume([(0.5, 0.6), (0.4, 0.8)]) == pytest.approx(0.5 * 0.6 + 0.4 * 0.2)
    assert hypervolume([(0.5, 0.6), (0.4, 0.8), (0.3, 0.7)]) == pytest.approx(0.38)
    points = np.random.default_rng(1).uniform(0, 1, (7, 2))
    drawn = np.random.default_rng(2).uniform(0, 1, (40000, 1, 2))
    share = np.mean([bool((place <= points).all(axis=1).any()) for place in drawn])
    assert hypervolume(map(tuple, points)) == pytest.approx(share, abs=0.01)
    assert hypervolume([]) == 0.0


def test_a_difference_agrees_with_its_interval_and_changes_sign_with_its_order():
    generator = np.random.default_rng(4)
    found = field(generator, {"a": (0.5, 0.5), "b": (0.5, 0.5), "c": (0.5, 0.56)})
    runs = {n: one.survivors[1] for n, one in enumerate(found.values())}
    for one, other in combinations(runs, 2):
        gap, back = difference(runs, one, other), difference(runs, other, one)
        assert gap.value == pytest.approx(-back.value) and gap.p == pytest.approx(back.p)
        assert gap.interval == pytest.approx((-back.interval[1], -back.interval[0]))
        assert (gap.p < 0.05) == (gap.interval[0] > 0 or gap.interval[1] < 0)
    assert difference(runs, 0, 0).p == 1.0


def test_of_equal_methods_any_pair_is_told_apart_in_a_twentieth_of_all_comparisons():
    wrong = 0
    for seed in range(100):
        equal = dict.fromkeys("abcd", (0.5, 0.5))
        pairs = compared(field(np.random.default_rng(seed), equal)).pairs
        assert len(pairs) == 6
        wrong += min(pair.gap.p for pair in pairs) < 0.05
    assert wrong <= 11  # of 100 at 0.05 more come in one of a hundred cases


def sound():
    """What an evaluation says that shows no sign of masking."""
    return {"eval_steps": 10, "masking": asdict(no_masking())}


def test_a_clear_difference_is_told_and_the_rest_is_called_indistinguishable():
    means = {"worse": (0.4, 0.40), "one": (0.45, 0.5), "two": (0.45, 0.5)}
    found = field(np.random.default_rng(12), means, seeds=4, images=1000)
    known = compared(found)
    assert next(reversed(known.worth)) == "worse"
    assert {frozenset((p.one, p.other)) for p in known.pairs if p.gap.p < 0.05} == {
        frozenset(("one", "worse")), frozenset(("two", "worse"))
    }  # fmt: skip
    told = comparison_table.remarks(found, known, {"lr": ["two"]})
    assert sum("is better than worse by" in line for line in told) == 2
    alike = [line for line in told if line.startswith("No difference between")]
    assert len(alike) == 1 and "one and two" in alike[0] and "worse" not in alike[0]
    assert "Only two searched lr: a lead of it may be that of lr." in told
    gained = {name: any(f"{name}: trial 1 with alpha 1.5" in line and ", beyond" in line
                        for line in told) for name in found}  # fmt: skip
    assert gained == {"worse": False, "one": True, "two": True}
    rows = {"worst case": {"hits": 40, "count": 100}, "clean": {"hits": 90, "count": 100}}
    judged = dict.fromkeys(found, {"rows": rows, **sound()})
    for width in (60, 80, 100, 160):
        page = comparison_table.page(found, known, judged, {"lr": ["two"]}, width)
        assert max(map(len, page)) <= width and not [line for line in page if line[-1:] == " "]
    assert page[0].startswith("Best of 3 methods: ")
    text = "\n".join(page)
    assert "0.400 (0.309 to 0.498)" in text and "p holds for all pairs" in text
    assert "0.440  0.500/0.800, 0.400/0.900" in text


def test_a_search_that_found_nothing_gains_nothing_and_says_so():
    found = field(np.random.default_rng(5), {"a": (0.5, 0.5), "b": (0.5, 0.5)})
    found["a"] = method(found["a"].survivors, winner=0)
    known = compared(found)
    assert (known.worth["a"].gain.value, known.worth["a"].gain.p) == (0.0, 1.0)
    told = comparison_table.remarks(found, known, {})
    assert "a: its search found nothing better than its start." in told


def test_a_network_that_shows_a_sign_of_masking_is_named():
    rows = {"clean": {"hits": 380, "count": 400}}
    masking = sound()["masking"]
    judged = {
        name: {"rows": rows, "eval_steps": 10, "masking": {**masking, "large_epsilon": share}}
        for name, share in {"a": 0.0, "b": 0.5}.items()
    }
    (line,) = comparison_table.doubts(judged)
    assert line.startswith("b: gradient masking? at four times epsilon 0.500 survive")


def test_races_of_other_seeds_are_refused_by_name():
    generator = np.random.default_rng(2)
    three, two = (field(generator, {"a": (0.5, 0.5)}, seeds=n)["a"] for n in (3, 2))
    with pytest.raises(InputError, match=r"seeds of the race is \(1, 2, 3\) in a, but \(1, 2\) in"):
        prove_raced_alike({"a": three, "b": two})


def test_winners_of_races_with_more_and_fewer_images_count_on_those_that_both_have():
    found = field(np.random.default_rng(3), {"a": (0.5, 0.5), "b": (0.5, 0.5)})
    whole = compared(found).pairs[0].gap
    first = {k: {s: bits[:100] for s, bits in r.items()} for k, r in found["b"].survivors.items()}
    mixed = {"a": found["a"], "b": method(first)}
    prove_raced_alike(mixed)
    (pair,) = compared(mixed).pairs
    part = {n: {s: b[:100] for s, b in mixed[n].survivors[1].items()} for n in ("a", "b")}
    one, other = (
        np.mean([bits.mean() for bits in part[n].values()]) for n in (pair.one, pair.other)
    )
    assert pair.gap.value == pytest.approx(one - other)
    assert pair.gap.interval[1] - pair.gap.interval[0] > whole.interval[1] - whole.interval[0]
