"""How many images judge a run: no fewer each epoch, more at the end, and none that is trained."""

import numpy as np
import pytest
import torch
from torch import nn

from regmix.data.digits import digits
from regmix.evaluation.pgd_ensemble import random_start
from regmix.evaluation.results import unpack
from regmix.evaluation.validator import Validator
from regmix.training.trainer import RegMixTrainer

CPU = torch.device("cpu")
TASK = {"valid_images": 100, "finalist_images": 300, "train_images": 60, "eval_epsilon": 0.2}
COUNTS = {
    "trial": ({}, 100),
    "some": ({"judgement": "finalist", "judged_images": 170}, 170),
    "finalist": ({"judgement": "finalist"}, 300),
}


class Counting(nn.Module):
    """A network that remembers the largest batch that it was asked about."""

    largest = 0

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images):
        Counting.largest = max(Counting.largest, len(images))
        return self.network(images)


@pytest.fixture(scope="module")
def images():
    return digits("train")


def test_the_number_of_images_that_judge_changes_no_bit_of_the_training(configure, images):
    runs = {}
    for name, (changes, count) in COUNTS.items():
        config = configure(**TASK, **changes, epochs=2, seed=3)
        trainer = RegMixTrainer(config, config.split(images), CPU)
        epochs = list(trainer.epochs())
        assert epochs[-1].final.count == count
        runs[name] = trainer, epochs
    trainer, epochs = runs["trial"]
    for other, others in runs.values():
        torch.testing.assert_close(
            other.average.model.state_dict(), trainer.average.model.state_dict(), rtol=0, atol=0
        )
        for one, same in zip(others, epochs, strict=True):
            assert (one.train_loss, one.raw_pgd) == (same.train_loss, same.raw_pgd)
            assert (one.valid_clean, one.valid_robust) == (same.valid_clean, same.valid_robust)


def test_what_judges_more_begins_with_what_judges_less(configure, images, trained):
    """The first level gives the same verdicts; stronger attacks begin with its survivors."""
    verdicts = {}
    for name, (changes, count) in COUNTS.items():
        config = configure(**TASK, **changes)
        parts = config.split(images)
        judge = Validator(config, parts.valid, CPU, further=parts.further)
        known = judge.per_epoch(trained)
        assert len(known.robust_mask) == 100
        final = judge.final(trained, known)
        verdicts[name] = np.array(unpack(final.survivors, final.count))
        assert len(verdicts[name]) == count
        assert not (verdicts[name][:100] & ~known.robust_mask.numpy()).any()
    whole = Validator(configure(**TASK, judgement="finalist"), parts.held_out, CPU)
    again = whole.final(trained, whole.per_epoch(trained))
    assert unpack(again.survivors, again.count) == verdicts["finalist"].tolist()


def test_an_image_has_the_same_start_however_many_come_after_it():
    few, many = (random_start(torch.zeros(count, 1, 8, 8), 0.2, 5) for count in (3, 300))
    assert torch.equal(few, many[:3])


@pytest.mark.parametrize("level", ["trial", "finalist"])
def test_no_batch_of_an_evaluation_grows_with_the_number_of_images(configure, trained, level):
    test, found = digits("test"), []
    for times in (3, 6):  # 1,200 and 2,400 images
        config = configure(judgement=level, eval_epsilon=0.3, valid_images=1)
        many = test.take(np.tile(np.arange(len(test)), times))
        Counting.largest = 0
        judge = Validator(config, many, CPU)
        network = Counting(trained).eval()
        judge.final(network, judge.per_epoch(network))
        found.append(Counting.largest)
    assert found[0] == found[1] <= 1024
