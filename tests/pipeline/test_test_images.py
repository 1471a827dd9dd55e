"""evaluate.py judges on the images that the network was trained for, or not at all."""

import pytest
import yaml
from PIL import Image

from tests.support.processes import call
from tests.support.trained import jpegs, trained

NAMES = ("kind0", "kind1", "kind2")


@pytest.fixture(scope="module")
def _file(tmp_path_factory):
    place = tmp_path_factory.mktemp("judged")
    images = jpegs(place / "images")
    trained(place / "mine.yaml", data="image_folder", data_dir=str(images))
    return place / "mine.yaml"


@pytest.fixture
def file(_file, tmp_path):
    """A trained file in a folder of its own, without a judgement."""
    for name in ("mine.yaml", "mine.safetensors"):
        (tmp_path / name).write_bytes(_file.with_name(name).read_bytes())
    return tmp_path / "mine.yaml"


@pytest.mark.parametrize(
    ("names", "size", "expected"),
    [
        (("kind2", "kind0", "other"), 16, "number 1 is 'kind2' instead of 'kind1'"),
        (("a-kind2", "kind0", "kind1"), 16, "number 0 is 'a-kind2' instead of 'kind0'"),
        (("kind0", "kind1", "kind2", "kind3"), 16, "has 4 instead of 3"),
        (NAMES, 24, "must hold images of shape (C, H, W) = (3, 16, 16)"),
    ],
)
def test_other_classes_or_sizes_are_refused_before_anything_is_judged(
    file, tmp_path, names, size, expected
):
    other = jpegs(tmp_path / "other", size=size, names=names)
    line = call("evaluate", file, "--data-dir", other).one_line
    assert expected in line and str(other) in line and "--data-dir" in line
    assert not list(tmp_path.glob("*.judgement.yaml"))


def test_grey_images_are_refused_for_a_network_of_colours(file, tmp_path):
    other = jpegs(tmp_path / "other")
    for path in other.rglob("*.jpg"):
        with Image.open(path) as image:
            image.convert("L").save(path)
    line = call("evaluate", file, "--data-dir", other)
    assert line.code == 2 and "(3, 16, 16)" in line.one_line


def test_the_test_images_of_the_first_use_are_those_of_every_later_one(file, tmp_path):
    before = yaml.safe_load(file.read_text())
    assert "test_fingerprint" not in before["images"]
    same, other = jpegs(tmp_path / "same"), jpegs(tmp_path / "other", seed=2)
    assert call("evaluate", file, "--data-dir", same, "--images", 6).code == 0
    after = yaml.safe_load(file.read_text())
    known = after["images"].pop("test_fingerprint")
    assert after == before  # and the folder is still that of the training
    line = call("evaluate", file, "--again", "--data-dir", other).one_line
    assert f"evaluated on before (fingerprint {known})" in line
    again = call("evaluate", file, "--again", "--data-dir", same, "--images", 9)
    assert again.code == 0, again.err
