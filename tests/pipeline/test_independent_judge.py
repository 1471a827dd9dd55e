"""evaluate.py held against a judge that shares none of its code: plain torch, the same images.

Only the architecture is the project's. The judge attacks every image to the last step, in one
batch, where the product drops the images that are fooled; so an image may differ only where the
judge's own margin is within rounding.
"""

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional as F

from pipeline.problem.exported import load_part
from regmix.config import TrainConfig
from regmix.models.small_cnn import small_cnn
from tests.support.processes import call
from tests.support.trained import SETTINGS, jpegs, trained

ROUNDING = 1e-3  # of a logit


def photographs(folder):
    """Read the test part by Pillow alone: pixels (N, C, H, W) in [0, 1], and labels."""
    files = sorted((folder / "test").glob("*/*"))
    names = sorted({file.parent.name for file in files})
    pixels = np.stack([np.asarray(Image.open(file)) for file in files]).transpose(0, 3, 1, 2)
    labels = torch.tensor([names.index(file.parent.name) for file in files])
    return torch.from_numpy(pixels.copy()).float() / 255, labels


def handwriting():
    """Return digits' test part; that it is scikit-learn's, and no training image, is proved."""
    from sklearn.datasets import load_digits

    config = TrainConfig.from_flat({**SETTINGS, "data": "digits"})
    train, test = (load_part(config, part) for part in ("train", "test"))
    grey, labels = load_digits(return_X_y=True)
    whole = np.column_stack((np.rint(grey * 255 / 16), labels))
    parts = [
        np.column_stack((part.images.reshape(len(part), -1), part.labels)) for part in (train, test)
    ]
    assert np.array_equal(in_order(np.concatenate(parts)), in_order(whole))
    return torch.from_numpy(test.images).float() / 255, torch.from_numpy(test.labels)


def in_order(rows):
    """Return the rows of a matrix, sorted."""
    return rows[np.lexsort(rows.T)]


def margins(model, points, labels):
    """Return z_y - max_{k != y} z_k: above 0 where an image is classified correctly."""
    with torch.no_grad():
        logits = model(points)
    own = logits[torch.arange(len(labels)), labels]
    logits[torch.arange(len(labels)), labels] = -torch.inf
    return own - logits.max(1).values


def attacked(model, images, labels, start, epsilon, step, steps):
    """Return the least margin (N,) of each image on the way of an L-inf attack (Madry et al.)."""
    least = margins(model, images, labels)  # a misclassified image counts under every attack
    points = (images + start).clamp(0, 1)
    for _ in range(steps):
        least = torch.minimum(least, margins(model, points, labels))
        points.requires_grad_()
        gradient = torch.autograd.grad(F.cross_entropy(model(points), labels), points)[0]
        moved = points.detach() + step * gradient.sign()
        points = torch.min(torch.max(moved, images - epsilon), images + epsilon).clamp(0, 1)
    return torch.minimum(least, margins(model, points, labels))


@pytest.mark.parametrize("kind", ["digits", "jpeg"])
def test_an_independent_judge_counts_the_same_images(tmp_path, kind):
    folder = jpegs(tmp_path / "images")
    digits = {"data": "digits", "eval_epsilon": 0.1}
    own = digits if kind == "digits" else {"data": "image_folder", "data_dir": str(folder)}
    found = trained(tmp_path / f"{kind}.yaml", **own)
    result = call("evaluate", tmp_path / f"{kind}.yaml")
    assert result.code == 0, result.err
    rows = yaml.safe_load((tmp_path / f"{kind}.judgement.yaml").read_text())["rows"]

    images, labels = handwriting() if kind == "digits" else photographs(folder)
    model = small_cnn(images.shape[1], 10 if kind == "digits" else 3, width=8)
    model.load_state_dict(load_file(found.weights))
    model.eval()
    epsilon, draw = found.config.eval_epsilon, torch.Generator().manual_seed(3)
    start = (2 * torch.rand(images.shape, generator=draw) - 1) * epsilon
    judged = {
        "clean": margins(model, images, labels),
        "FGSM": attacked(model, images, labels, torch.zeros_like(images), epsilon, epsilon, 1),
        "PGD-20": attacked(model, images, labels, start, epsilon, epsilon / 4, 20),
        "PGD-50": attacked(model, images, labels, start, epsilon, epsilon / 4, 50),
    }
    for name, margin in judged.items():
        undecided = int((margin.abs() < ROUNDING).sum())
        assert rows[name]["count"] == len(labels)
        assert abs(rows[name]["hits"] - int((margin > 0).sum())) <= undecided, name
    hits = [rows[name]["hits"] for name in judged]
    assert len(labels) / 4 < hits[0] and hits[2] < hits[0]  # it has learnt, and can be fooled
