"""A picture of an attack: the figures behind it, the file, and what can't be drawn."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.driver.attack import attack
from pipeline.views.attack_figure import draw
from pipeline.views.formatting import radius
from regmix.evaluation.radii import attack_view
from regmix.exported.file import Exported
from tests.support.processes import call
from tests.support.trained import trained

SETTINGS = {"data": "digits", "train_images": 200, "eval_epsilon": 0.1}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files of one division of the images, and one that was trained on other images."""
    folder = tmp_path_factory.mktemp("attacked")
    trained(folder / "one.yaml", **SETTINGS)
    trained(folder / "two.yaml", **SETTINGS, seed=1)
    trained(folder / "other.yaml", **SETTINGS, split_seed=1)
    return folder


@pytest.fixture(scope="module")
def picture(files):
    paths = (files / "one.yaml", files / "two.yaml")
    content = {path: Exported.read(path) for path in paths}
    return attack(content, count=None, rows=4, epsilons=None, seed=None)


def test_what_falls_stays_fallen_and_no_perturbation_leaves_ball_or_box(picture):
    pixels = picture.images.images[picture.shown] / 255
    for view in picture.views.values():
        assert view.epsilons[0] == 0 and view.epsilons == tuple(sorted(view.epsilons))
        assert not (view.survived[1:] & ~view.survived[:-1]).any()
        assert view.survived[0].sum() > view.survived[-1].sum()
        assert np.abs(view.perturbations).max() <= picture.epsilon + 1e-6
        attacked = pixels + view.perturbations
        assert attacked.min() >= -1e-6 and attacked.max() <= 1 + 1e-6


def test_what_is_shown_is_what_was_counted(picture):
    labels = picture.images.labels[picture.shown]
    first = next(iter(picture.views.values()))
    assert first.survived[0][picture.shown].all()
    for view in picture.views.values():
        main = view.survived[view.epsilons.index(picture.epsilon)][picture.shown]
        assert ((view.before.argmax(1) == labels) == view.survived[0][picture.shown]).all()
        assert ((view.after.argmax(1) == labels) == main).all()
        np.testing.assert_allclose(view.after.sum(1), 1, rtol=1e-5)


def test_a_network_that_nothing_moves_never_falls():
    class Fixed(torch.nn.Module):
        def forward(self, images):
            return 0 * images.flatten(1)[:, :3] + torch.tensor([1.0, 0.0, 0.0])

    labels = torch.tensor([0, 0, 1])
    view = attack_view(
        Fixed().eval(), torch.rand(3, 1, 4, 4), labels, [0], epsilon=0.5, epsilons=[0.1], seed=0
    )
    assert view.epsilons == (0, 0.1, 0.5)
    assert (view.survived == [True, True, False]).all()


@pytest.mark.parametrize("models", [1, 2])
def test_the_picture_is_a_png_as_wide_as_said(picture, models):
    from dataclasses import replace

    some = dict(list(picture.views.items())[:models])
    image = Image.open(io.BytesIO(draw(replace(picture, views=some))))
    assert image.format == "PNG" and image.width == 1200
    pixels = np.asarray(image.convert("RGB"))
    assert (pixels == 255).all(2).mean() > 0.3 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 9


def test_the_command_writes_it_and_says_what_it_counted(files, tmp_path):
    words = (files / "one.yaml", files / "two.yaml", "--out", tmp_path / "a.png", "--images", 20)
    result = call("attack", *words, "--epsilons", "8/255", "--rows", 2)
    assert result.code == 0, result.err
    assert "attacking 20 images at 2 radii" in result.out and "of 20 images are right" in result.out
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("one.yaml", "other.yaml"), "was trained on some of the images that one.yaml"),
        (("one.yaml", "one.yaml"), "FILE is the same twice"),
        (("one.yaml", "two.yaml", "other.yaml"), "once or twice, not 3 times"),
        (("none.yaml",), "can't be read"),
        (("one.yaml", "--images", "41"), "--images must be at most 40, but is 41"),
        (("one.yaml", "--epsilons", "2"), "--epsilons must lie in (0, 1], but is '2'"),
        (("one.yaml", "--rows", "0"), "--rows must lie in [1, 40]"),
        (("one.yaml", "--seed", "-1"), "--seed must lie in"),
        (("one.yaml", "--out", "a.jpg"), "--out must end with .png, but is a.jpg"),
        (("one.yaml", "--data-dir", "x"), "'digits' needs none"),
    ],
)
def test_what_can_t_be_drawn_is_one_line(files, tmp_path, monkeypatch, words, expected):
    monkeypatch.chdir(tmp_path)
    named = [str(files / word) if word.endswith(".yaml") else word for word in words]
    assert expected in call("attack", *named).one_line
    assert not list(tmp_path.iterdir())


def test_a_radius_is_written_as_the_field_writes_it():
    assert [radius(one) for one in (8 / 255, 0.1, 0.2, 1.5 / 255)] == [
        "8/255",
        "0.1",
        "0.2",
        "0.00588235",
    ]
