"""What `import regmix` gives: load, train and evaluate, each in one call."""

import subprocess
import sys
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from torch import nn

import regmix
from regmix.evaluation.results import unpack
from regmix.exported.file import Exported
from regmix.images import Images
from tests.support.house import ROOT
from tests.support.trained import SETTINGS, trained

TINY = {**SETTINGS, "data": "digits", "train_images": 200, "epochs": 2, "eval_epsilon": 0.1}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    place = tmp_path_factory.mktemp("door") / "mine.yaml"
    settings = {"data": "digits", "train_images": 200, "eval_epsilon": 0.1, "eval_steps": 10}
    trained(place, **settings, normalization="data", judgement="finalist")
    return place


@pytest.fixture(scope="module")
def valid(file):
    """The images that the file's network was validated on, as a user has them."""
    from pipeline.problem.exported import load_split

    images = load_split(Exported.read(file), file).valid
    return torch.from_numpy(images.images).float() / 255, torch.from_numpy(images.labels)


@pytest.mark.process
def test_importing_it_loads_neither_torch_nor_numpy():
    code = "import sys, regmix; print(sorted({'torch', 'numpy', 'yaml'} & set(sys.modules)))\n"
    code += "regmix.TrainConfig; print('torch' in sys.modules, 'load' in dir(regmix))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout == "[]\nFalse True\n", found.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = regmix.nothing


def test_a_loaded_network_is_the_one_that_was_judged(file, valid):
    model, metrics = regmix.load(file), Exported.read(file).metrics
    assert not model.training
    images, labels = valid
    found = regmix.evaluate(model, images, labels, epsilon=0.1, seed=3)
    assert found.clean == metrics.valid_clean
    assert found.robust == metrics.final.robust and found.count == metrics.final.count
    assert list(found.survivors) == unpack(metrics.final.survivors, found.count)
    assert found.masking == metrics.final.masking and found.doubts == metrics.final.flags(10)


def test_an_evaluation_leaves_the_network_as_it_was_and_says_what_it_did(file, valid):
    model, (images, labels) = regmix.load(file).train(), valid
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = regmix.evaluate(model, images[:10].numpy(), labels[:10].tolist(), 0.5, autoattack=True)
    assert model.training
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert found.attacks[-1] == "AutoAttack" and found.autoattack >= found.robust
    low, high = found.robust_interval
    assert low <= found.robust <= high
    assert f"robust {found.robust:.3f} (95 % interval {low:.3f}" in str(found)
    with pytest.raises(FrozenInstanceError):
        found.epsilon = 0.5


def test_a_network_that_calls_view_can_be_evaluated():
    class Viewed(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3 * 4 * 4, 5)

        def forward(self, images):
            return self.linear(images.view(-1, 48))

    images = torch.rand(8, 3, 4, 4)
    assert regmix.evaluate(Viewed(), images, torch.zeros(8, dtype=torch.long)).count == 8


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"images": torch.rand(10, 8, 8)}, r"shape \(N, C, H, W\), none of them 0, but have"),
        ({"images": torch.rand(0, 1, 8, 8)}, "none of them 0"),
        ({"images": torch.rand(10, 3, 8, 8)}, r"can't take images of shape \(3, 8, 8\)"),
        ({"images": torch.rand(10, 1, 8, 8) * 2}, r"lie in \[0, 1\].*reach from"),
        ({"images": torch.full((10, 1, 8, 8), torch.nan)}, r"lie in \[0, 1\]"),
        ({"images": torch.zeros(10, 1, 8, 8, dtype=torch.uint8)}, "divide bytes by 255"),
        ({"images": "x.png"}, "images must be a tensor or an array, but are 'x.png'"),
        ({"labels": torch.arange(10) + 1}, r"labels must lie in \[0, 9\].*reach from 1 to 10"),
        ({"labels": torch.arange(9)}, "labels must be 10 whole numbers"),
        ({"labels": torch.rand(10)}, "labels must be 10 whole numbers"),
        ({"epsilon": 0}, r"epsilon must lie in \(0, 1\], but is 0"),
        ({"epsilon": 8}, r"epsilon must lie in \(0, 1\], but is 8"),
        ({"seed": -1}, "seed must lie in"),
        ({"model": "exported/x.yaml"}, "model must be a torch.nn.Module, but is 'exported"),
        ({"model": nn.Identity()}, r"must return logits \(N, K\), but returns \(2, 1, 8, 8\)"),
    ],
)
def test_what_can_t_be_evaluated_is_one_line(file, changes, expected):
    given = {"model": regmix.load(file), "images": torch.rand(10, 1, 8, 8)}
    given |= {"labels": torch.arange(10), "epsilon": 0.1, **changes}
    with pytest.raises(regmix.InputError, match=expected):
        regmix.evaluate(**given)


def test_a_training_is_that_of_the_trainer_and_its_network_stays_when_another_runs():
    one = regmix.train(TINY)
    weights = {name: tensor.clone() for name, tensor in one.model.state_dict().items()}
    assert len(one.epochs) == 2 and one.epochs[-1].final is not None
    other = regmix.train(regmix.TrainConfig.from_flat({**TINY, "seed": 1}))
    assert other.config.seed == 1
    torch.testing.assert_close(one.model.state_dict(), weights, rtol=0, atol=0)
    again = regmix.train(TINY)
    torch.testing.assert_close(again.model.state_dict(), weights, rtol=0, atol=0)


def test_a_training_takes_images_of_ones_own():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    images = Images(pixels, np.arange(60) % 3, ("a", "b", "c"))
    found = regmix.train({**TINY, "train_images": None, "valid_images": 12}, images=images)
    assert found.model(torch.rand(2, 1, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({**TINY, "lrr": 1}, "unknown parameter 'lrr'; did you mean 'lr'"),
        ({"data": "digits"}, "model must be named"),
        ("mine.yaml", "config: must be a TrainConfig or a mapping"),
        ({**TINY, "train_images": 5000}, "must fit into 1397 training images"),
        ({**TINY, "true_class_mass": 0.05}, "must be above 1/10"),
    ],
)
def test_what_can_t_be_trained_is_one_line(config, expected):
    with pytest.raises(regmix.InputError, match=expected):
        regmix.train(config)


def test_weights_are_chosen_by_name(file):
    content = Exported.read(file)
    for weights in ("final", "best"):
        if weights == "best" and content.best_weights is None:
            with pytest.raises(regmix.InputError, match="has no best weights"):
                regmix.load(file, weights="best")
        else:
            assert not regmix.load(file, weights=weights).training
    with pytest.raises(regmix.InputError, match="weights must be one of final, best"):
        regmix.load(file, weights="last")
    with pytest.raises(regmix.InputError, match="can't be read"):
        regmix.load(file.with_name("none.yaml"))
