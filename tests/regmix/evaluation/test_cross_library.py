"""Our attacks against those of torchattacks and foolbox; `tests/oracles.sh` installs these two.

In double precision: in single precision two orders of summation may differ by enough to flip
the sign of a gradient that is zero but for rounding, and that pixel then moves the other way.
"""

import copy
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from regmix.attacks.fgsm import fgsm
from regmix.attacks.pgd import pgd as training_pgd
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.autoattack import autoattack
from regmix.evaluation.pgd_ensemble import pgd as evaluation_pgd

torchattacks = pytest.importorskip("torchattacks")
foolbox = pytest.importorskip("foolbox")

EPSILONS = pytest.mark.parametrize("epsilon", [0.02, 0.06, 0.3])
STEPS = pytest.mark.parametrize("steps", [1, 2, 10])
same = partial(torch.testing.assert_close, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def case(trained, digit_images):
    """A network in eval mode with batch norm, images and labels, of which some are wrong."""
    images, labels = digit_images
    model = copy.deepcopy(trained).double()
    right = model(images.double()).argmax(1) == labels
    assert 5 < (~right).sum() < 60
    return model, images.double(), labels


def by_torchattacks(model, images, labels, epsilon, step, steps):
    attack = torchattacks.PGD(model, eps=epsilon, alpha=step, steps=steps, random_start=False)
    return attack(images, labels)


def by_foolbox(model, images, labels, epsilon, step, steps):
    attack = foolbox.attacks.LinfPGD(rel_stepsize=step / epsilon, steps=steps, random_start=False)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1))
    # without early stop: `run` is what an attack does before foolbox picks the best point
    return attack.run(wrapped, images, labels, epsilon=epsilon)


def fgsm_by_torchattacks(model, images, labels, epsilon):
    return torchattacks.FGSM(model, eps=epsilon)(images, labels)


def fgsm_by_foolbox(model, images, labels, epsilon):
    attack = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    return attack.run(foolbox.PyTorchModel(model, bounds=(0, 1)), images, labels, epsilon=epsilon)


PGD = pytest.mark.parametrize("theirs", [by_torchattacks, by_foolbox])
FGSM = pytest.mark.parametrize("theirs", [fgsm_by_torchattacks, fgsm_by_foolbox])


def in_training(attack, model, images, labels, epsilon, **options):
    """The points that an attack in training finds from a zero start, network in eval mode."""
    target, zero = F.one_hot(labels, 10).double(), torch.zeros_like(images)
    found = attack(model, images, zero, target, epsilon=epsilon, keep_graph=False, **options)
    return images + found.perturbation


def evaluated(model, images, labels, epsilon, step, steps):
    """Who survives our evaluation from a zero start, and the last points."""
    zero = torch.zeros_like(images)
    how = {"epsilon": epsilon, "step": step, "steps": steps}
    survived, perturbation = evaluation_pgd(model, images, labels, zero, **how)
    return survived, images + perturbation


@FGSM
@EPSILONS
def test_fgsm_in_training_finds_the_same_points(case, theirs, epsilon):
    points = theirs(*case, epsilon)
    assert (points - case[1]).abs().max() > 0.9 * epsilon
    same(in_training(fgsm, *case, epsilon), points)


@PGD
@EPSILONS
@STEPS
def test_pgd_in_training_finds_the_same_points(case, theirs, epsilon, steps):
    points = theirs(*case, epsilon, 0.25 * epsilon, steps)
    same(in_training(training_pgd, *case, epsilon, steps=steps, step_ratio=0.25), points)


@FGSM
@EPSILONS
def test_one_full_step_of_our_pgd_is_theirs_where_the_image_is_right(case, theirs, epsilon):
    model, images, labels = case
    right = model(images).argmax(1) == labels
    survived, points = evaluated(*case, epsilon, epsilon, 1)
    expected = theirs(*case, epsilon)
    same(points, torch.where(right[:, None, None, None], expected, images))  # else it stays
    assert torch.equal(survived, right & (model(expected).argmax(1) == labels))


@PGD
@EPSILONS
def test_our_pgd_stops_each_image_at_the_first_of_their_points_that_is_wrong(case, theirs, epsilon):
    """Their path is known from running them with each number of steps."""
    model, images, labels = case
    path = [images] + [theirs(*case, epsilon, 0.25 * epsilon, n) for n in range(1, 7)]
    wrong = torch.stack([model(points).argmax(1) != labels for points in path])
    wrong[-1] = True  # who is right to the end is compared at the end
    first = wrong.int().argmax(0)
    expected = torch.stack(path)[first, torch.arange(len(images))]
    survived, points = evaluated(*case, epsilon, 0.25 * epsilon, 6)
    same(points, expected)
    assert torch.equal(survived, (model(expected).argmax(1) == labels))
    if epsilon == 0.06:
        assert len(set(first.tolist())) > 3  # some fall early, some late, some never


def test_autoattacks_verdict_is_that_of_torchattacks_copy(case):
    """Image by image; they draw other random numbers, so an image on the edge may differ."""
    model, images, labels = (part[:40] if torch.is_tensor(part) else part for part in case)
    model, images = copy.deepcopy(model).float(), images.float()
    ours = autoattack(model, images, labels, AttackSettings(0.03, 0, batch_size=40))
    whole = torchattacks.AutoAttack(model, eps=0.03, n_classes=10, seed=0)(images, labels)
    survived = model(whole).argmax(1) == labels
    assert 5 < survived.sum() < 35
    assert (ours == survived).float().mean() >= 0.95
    for loss in ("ce", "dlr"):  # a part of the whole: who survives the one survives the other
        points = torchattacks.APGD(model, eps=0.03, steps=100, loss=loss)(images, labels)
        assert (model(points).argmax(1) == labels)[ours].all()
