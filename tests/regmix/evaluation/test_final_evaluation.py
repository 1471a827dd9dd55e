import copy

import pytest
import torch

from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.final_evaluation import evaluate_test
from regmix.evaluation.pgd_ensemble import random_start, validate


def table(*given, epsilon, batch_size=500, **how):
    return dict(evaluate_test(*given, AttackSettings(epsilon, 0, batch_size), **how))


def test_clean_comes_first_and_the_worst_case_last(trained, digit_images):
    names = list(table(trained, *digit_images, epsilon=0.05))
    assert (names[0], names[-1]) == ("clean", "worst case")
    assert len(names) > 3


@pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.2])
def test_on_a_linear_model_every_attack_finds_the_closed_form(linear, epsilon):
    model, images, labels, worst_margin = linear
    rows = table(model, images, labels, epsilon=epsilon)
    exact = int((worst_margin(epsilon) > 0).sum())
    clean = rows.pop("clean")
    assert (clean.hits, clean.count) == (int((worst_margin(0) > 0).sum()), 400)
    assert {(share.hits, share.count) for share in rows.values()} == {(exact, 400)}


def test_the_worst_case_is_below_every_row(trained, digit_images):
    rows = table(trained, *digit_images, epsilon=0.04)
    assert rows["worst case"].hits <= min(share.hits for share in rows.values())
    assert 0 < rows["worst case"].hits < rows["FGSM"].hits < rows["clean"].hits
    assert rows["PGD-50"].hits <= rows["PGD-20"].hits


def test_the_worst_case_needs_an_image_to_survive_each_attack(trained, digit_images, monkeypatch):
    images, labels = digit_images
    right = trained(images).argmax(1) == labels

    def spares(first, last):
        numbers = torch.zeros(len(labels), dtype=torch.int64)
        numbers[right] = torch.arange(int(right.sum()))  # an attack is asked about these alone
        return lambda part: (numbers[part] >= first) & (numbers[part] < last)

    monkeypatch.setattr(
        "regmix.evaluation.final_evaluation._attacks",
        lambda *_: {"one": spares(0, 30), "other": spares(20, 999)},
    )
    rows = table(trained, images, labels, epsilon=0.05)
    assert rows["one"].hits == 30
    assert rows["other"].hits == int(right.sum()) - 20  # wrong images are broken already
    assert rows["worst case"].hits == 10


def test_it_agrees_with_the_evaluation_of_an_epoch(trained, digit_images):
    images, labels = digit_images
    rows = table(trained, images, labels, epsilon=0.04)
    start = random_start(images, 0.04, seed=0)
    shares = validate(trained, images, labels, start, epsilon=0.04, steps=20)
    assert rows["clean"].value == pytest.approx(shares.clean)
    assert rows["FGSM"].value == pytest.approx(shares.fgsm)
    assert rows["PGD-20"].value == pytest.approx(shares.pgd)
    assert rows["worst case"].value <= shares.robust + 1e-6


def test_the_batch_size_does_not_matter(trained, digit_images):
    whole, small = (
        table(trained, *digit_images, epsilon=0.05, batch_size=size) for size in (500, 25)
    )
    assert whole.keys() == small.keys()
    for name in whole.keys() - {"APGD-20, 3 targets", "worst case"}:
        assert whole[name] == small[name]
    for name in ("APGD-20, 3 targets", "worst case"):  # APGD draws its starts batch by batch
        assert abs(whole[name].hits - small[name].hits) <= 2


def test_it_leaves_the_model_as_it_was(trained, digit_images):
    before = copy.deepcopy(trained.state_dict())
    table(trained, *digit_images, epsilon=0.05)
    torch.testing.assert_close(trained.state_dict(), before, rtol=0, atol=0)
    assert all(weight.grad is None for weight in trained.parameters())


def test_a_model_that_is_never_right_has_a_table_too(trained, digit_images):
    images, _ = digit_images
    wrong = (trained(images).argmax(1) + 1) % 10
    rows = table(trained, images, wrong, epsilon=0.05, with_autoattack=True)
    assert {share.hits for share in rows.values()} == {0}
