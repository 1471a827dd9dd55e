from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from regmix.data._cifar import _download
from regmix.data.cifar10 import cifar10
from regmix.data.cifar100 import cifar100
from regmix.errors import InputError
from regmix.progress import Phase, heard_by
from regmix.torchvision_cpu import torchvision

BOTH = pytest.mark.parametrize(("cifar", "count"), [(cifar10, 10), (cifar100, 100)])


def fill(folder, classes):
    for part in ("train", "test"):
        for number in range(classes):
            path = folder / part / f"class{number:03}" / "1.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (32, 32), (number, 0, 0)).save(path)


@pytest.fixture
def no_network(monkeypatch):
    """Whoever tries to download is told so."""

    def download(*_, **__):
        raise URLError("no network here")

    monkeypatch.setattr("urllib.request.urlopen", download)


@BOTH
@pytest.mark.parametrize("part", ["train", "test"])
def test_without_network_and_archive_the_remedy_is_told(tmp_path, no_network, cifar, count, part):
    with pytest.raises(InputError, match="give an image folder") as told:
        cifar(part, data_dir=str(tmp_path))
    assert str(told.value).startswith(f"{tmp_path}: CIFAR-{count} can't be had (")
    assert "no network here" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("cifar", "batch"),
    [(cifar10, "cifar-10-batches-py/data_batch_1"), (cifar100, "cifar-100-python/train")],
)
def test_a_damaged_archive_is_not_taken_for_the_data(tmp_path, no_network, cifar, batch):
    path = tmp_path / batch
    path.parent.mkdir()
    path.write_bytes(b"half a batch")
    with pytest.raises(InputError, match="can't be had"):
        cifar("train", data_dir=str(tmp_path))


@BOTH
def test_a_folder_that_does_not_exist_is_named(tmp_path, no_network, cifar, count):
    with pytest.raises(InputError, match=f"no such folder; make it, and CIFAR-{count} is"):
        cifar("train", data_dir=str(tmp_path / "nowhere"))


@BOTH
@pytest.mark.parametrize("more", [-1, 1])
def test_an_image_folder_must_have_every_class(tmp_path, no_network, cifar, count, more):
    fill(tmp_path, count + more)
    with pytest.raises(InputError, match=f"must have {count} classes, but has {count + more}"):
        cifar("train", data_dir=str(tmp_path))


@BOTH
def test_an_image_folder_of_all_classes_stands_in_for_the_archive(
    tmp_path, no_network, cifar, count
):
    fill(tmp_path, count)
    images = cifar("test", data_dir=str(tmp_path))
    assert images.images.shape == (count, 3, 32, 32)
    assert images.images[:, 0, 5, 5].tolist() == list(range(count))
    assert images.labels.tolist() == list(range(count))


@BOTH
@pytest.mark.parametrize("part", ["train", "test"])
def test_the_archives_layout_becomes_ours(tmp_path, monkeypatch, cifar, count, part):
    """torchvision gives (N, H, W, C) arrays and lists of labels."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    asked = {}

    def archive(root, *, train, download):
        asked.update(root=root, train=train, download=download)
        return SimpleNamespace(data=pixels, targets=[3, 1, 2, 0], classes=["a", "b", "c", "d"])

    vars(archive).update(url="", filename="archive", base_folder="")
    monkeypatch.setattr(torchvision.datasets, f"CIFAR{count}", archive)
    images = cifar(part, data_dir=str(tmp_path))
    assert asked == {"root": str(tmp_path), "train": part == "train", "download": True}
    assert images.images.shape == (4, 3, 32, 32)
    assert images.images[2, 1, 7, 30] == pixels[2, 7, 30, 1]
    assert images.labels.tolist() == [3, 1, 2, 0]
    assert images.labels.dtype == np.int64
    assert images.classes == ("a", "b", "c", "d")


def test_a_download_says_how_far_it_is_and_is_whole_or_not_there(tmp_path):
    source, target, heard = tmp_path / "source", tmp_path / "data" / "archive", []
    source.write_bytes(bytes(2_500_000))
    with heard_by(heard.append):
        _download(source.as_uri(), tmp_path / "unpacked", target)
    assert target.read_bytes() == source.read_bytes()
    assert heard[0] == Phase("MB", 1, 2, share=0.4) and heard[-1].share == 1
    assert sorted(path.name for path in target.parent.iterdir()) == ["archive"]


def test_what_is_there_is_not_downloaded_again(tmp_path, no_network):
    _download("http://nowhere.invalid/", tmp_path, tmp_path / "archive")
    assert list(tmp_path.iterdir()) == []
