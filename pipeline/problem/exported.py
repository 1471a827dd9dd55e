"""The images of an exported configuration: those it was trained on, those it is judged by."""

from dataclasses import replace
from pathlib import Path

from pipeline.base.narration import Waiting, tell
from regmix.config import TrainConfig
from regmix.errors import InputError, shown
from regmix.exported.file import TEST_FINGERPRINT, Exported
from regmix.fit import check_fit, normalized_remarks
from regmix.images import Images, PartName, Split
from regmix.reading import read_part
from regmix.user_files import absolute


def load_split(exported: Exported, path: Path) -> Split:
    """Read the images that a configuration was trained and validated on.

    Raises:
        InputError: where these are other images than those of the file at `path`, or its
            configuration does not fit them.
    """
    config = exported.config
    images = load_part(config, "train")
    known, found = exported.images["fingerprint"], images.fingerprint()
    if known != found:
        raise InputError(
            f"{path}: was trained on other images (fingerprint {known}, here {found}); give the "
            "right ones by --data-dir"
        )
    check_fit(config, images, dict.fromkeys(config.flat(), f"{path}: config"))
    return config.split(images)


def load_test(exported: Exported, path: Path) -> Images:
    """Read the test images of a configuration's data set.

    Raises:
        InputError: where they have other classes, another size or other channels than the images
            that the configuration of the file at `path` was trained on, or are others than those
            that it was evaluated on before.
    """
    test, known = load_part(exported.config, "test"), exported.images
    place = exported.config.data.options.get("data_dir") or exported.config.data.name
    here = test.identity()
    if here["classes"] != known["classes"]:
        raise InputError(
            f"{place}: must have the classes that {path.name} was trained on, but "
            f"{_first_difference(known['classes'], here['classes'])}; give those by --data-dir"
        )
    if here["shape"] != known["shape"]:
        raise InputError(
            f"{place}: must hold images of shape (C, H, W) = {tuple(known['shape'])}, as "
            f"{path.name} was trained on, but they have {tuple(here['shape'])}; give those by "
            "--data-dir"
        )
    before = known.get(TEST_FINGERPRINT, here["fingerprint"])
    if before != here["fingerprint"]:
        raise InputError(
            f"{place}: must hold the test images that {path.name} was evaluated on before "
            f"(fingerprint {before}), but has {here['fingerprint']}; give those by --data-dir"
        )
    return test


def _first_difference(known: list[str], here: list[str]) -> str:
    if len(known) != len(here):
        return f"has {len(here)} instead of {len(known)}"
    number = next(n for n, pair in enumerate(zip(known, here, strict=True)) if len({*pair}) == 2)
    return f"number {number} is {shown(here[number])} instead of {shown(known[number])}"


def load_part(config: TrainConfig, part: PartName) -> Images:
    """Read one part of the configuration's data set, and say in one line what was read."""
    with Waiting(f"reading the {part} part") as progress:
        images = read_part(config.data.name, config.data.options, part, progress)
    if part == "train":
        said = normalized_remarks(config, images)
        images = replace(images, remarks=(*images.remarks, *said))
    tell(images.described(part))
    return images


def with_data_dir(exported: Exported, data_dir: str | None) -> Exported:
    """Return the same with the images in another folder.

    Raises:
        InputError: where the data set lies in no folder.
    """
    if data_dir is None:
        return exported
    flat = exported.config.flat()
    if "data_dir" not in flat:
        raise InputError(
            f"--data-dir: the data set {shown(exported.config.data.name)} needs none; leave it out"
        )
    config = TrainConfig.from_flat({**flat, "data_dir": str(absolute(data_dir, "--data-dir"))})
    return replace(exported, config=config)
