"""What the trainer tells memory and average: who was fooled, and how the images were cropped."""

import pytest
import torch

from regmix.projection import project
from regmix.training.augment import Crop
from regmix.training.perturbation_memory import PerturbationMemory

FULL = {"initialization": "history", "batch_size": 48, "epochs": 2}


def test_the_memory_is_told_how_many_were_correct_before_and_after(build, seen, monkeypatch):
    told, keep = [], PerturbationMemory.keep

    def recorder(self, *arguments, correct, **options):
        told.append(correct)
        keep(self, *arguments, correct=correct, **options)

    monkeypatch.setattr(PerturbationMemory, "keep", recorder)
    (metrics,) = build(initialization="history", epochs=1).epochs()
    before = [(call.attacked.initial.argmax(1) == call.target.argmax(1)).sum() for call in seen]
    assert [correct[0] for correct in told] == before
    assert sum(int(correct[1]) for correct in told) == pytest.approx(48 * metrics.train_final)


@pytest.mark.parametrize("rule", ["sign", "success"])
def test_every_momentum_rule_is_a_training_of_its_own(build, rule):
    norm, other = (build(initialization="history", momentum_rule=r, lr=0.1) for r in ("norm", rule))
    for trainer in (norm, other):
        list(trainer.epochs(until=3))
    gap = norm.model.state_dict()["0.weight"] - other.model.state_dict()["0.weight"]
    assert gap.abs().max() > 1e-5


def test_a_constant_decay_evaluates_other_weights_of_the_same_training(build):
    growing, constant = (build(lr=0.1, averaging_rule=r) for r in ("growing", "constant"))
    for trainer in (growing, constant):
        list(trainer.epochs(until=1))
    one, two = growing.model.state_dict(), constant.model.state_dict()
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    one, two = growing.average.model.state_dict(), constant.average.model.state_dict()
    assert (one["0.weight"] - two["0.weight"]).abs().max() > 1e-4


def test_pgks_average_is_told_what_was_correct(build):
    how = {"averaging_decay": 0.1, "lr": 0.1, "averaging_rule": "pgk"}
    weak, strong = (build(**how, averaging_threshold=t) for t in (0.001, 1.0))
    for trainer in (weak, strong):
        trainer.average.updates = 10**6
        list(trainer.epochs(until=1))
    start = build(**how).average.model.state_dict()["0.weight"]
    moved = [(t.average.model.state_dict()["0.weight"] - start).abs().max() for t in (weak, strong)]
    assert moved[0] < 1e-3 * moved[1]


def mirrored_every_other_epoch(monkeypatch):
    """Replace the random crops: the first is the image itself, the second its mirror image."""
    epochs = []

    def crop_flip(images, generator):
        count, _, height, width = images.shape
        rows, columns = torch.arange(height) + height // 8, torch.arange(width) + width // 8
        columns = columns.flip(0) if len(epochs) % 2 else columns
        epochs.append(1)
        return Crop(rows.expand(count, -1), columns.expand(count, -1))

    monkeypatch.setattr("regmix.training.inputs.crop_flip", crop_flip)


@pytest.mark.parametrize("align", [True, False])
def test_an_aligned_history_is_mirrored_with_its_image(build, seen, monkeypatch, align):
    mirrored_every_other_epoch(monkeypatch)
    list(build(**FULL, augment="crop_flip", align_history=align).epochs())
    first, second = seen
    at = (first.images.flip(3)[:, None] == second.images[None]).flatten(2).all(2).int().argmax(1)
    assert torch.equal(second.images[at], first.images.flip(3))
    moved = first.start + 0.1 * first.attacked.gradient.sign()
    kept = project(moved, first.images, 0.1)
    expected = kept.flip(3) if align else kept
    torch.testing.assert_close(second.start[at], expected, rtol=0, atol=1e-4)  # fp16 storage


def test_without_crop_and_flip_there_is_nothing_to_align(build):
    one, other = (build(initialization="history", align_history=a) for a in (True, False))
    for trainer in (one, other):
        list(trainer.epochs())
    torch.testing.assert_close(one.state_dict()["memory"], other.state_dict()["memory"])
    torch.testing.assert_close(one.model.state_dict(), other.model.state_dict(), rtol=0, atol=0)
