"""The file of an exported configuration: everything that a run needs, and what it gave."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pipeline.base.narration import Waiting, tell
from pipeline.problem import schema, yaml_file
from pipeline.problem.plugin_folder import check_plugins
from pipeline.problem.schema import Each, ListOf, MayLack, OrNone, Rule
from regmix import atomic
from regmix.config import TrainConfig
from regmix.errors import InputError, shown
from regmix.evaluation.results import FinalEvaluation
from regmix.fit import check_fit, normalized_remarks
from regmix.images import Images, PartName, Split
from regmix.plugins import Plugins
from regmix.ranges import Bounds, Count, Natural, UnitInterval
from regmix.reading import read_part
from regmix.registry import KINDS
from regmix.training.metrics import EpochMetrics
from regmix.user_files import absolute, regular_file

_TEST = "test_fingerprint"
_ORIGIN: dict[str, Rule] = {
    name: MayLack(rule)
    for name, rule in {"study": str, "trial": Natural, "rank": Count, "finalist": Natural}.items()
}
_ORIGIN["trained_again"] = MayLack(_ORIGIN)  # a file that was trained again may be so anew
_FINAL = schema.of_dataclass(FinalEvaluation, hits=Natural, count=Count)
_WEIGHTS: dict[str, Rule] = {"file": str, "sha256": str}
_IMAGES: dict[str, Rule] = {
    "fingerprint": str,
    "classes": ListOf(str),
    "shape": ListOf(Count, length=3),
    _TEST: MayLack(str),
}

MACHINE: dict[str, Rule] = {"device": str, "threads": Annotated[int, Bounds(low=1, high=4096)]}
"""What `regmix.device.machine` returns."""

SCHEMA: dict[str, Rule] = {
    "origin": _ORIGIN,
    "config": Each(object),  # checked by `TrainConfig.from_flat`
    "images": _IMAGES,
    "final_robust": MayLack(UnitInterval | None),
    "metrics": schema.of_dataclass(EpochMetrics, epoch=Count, final=OrNone(_FINAL)),
    "machine": MACHINE,
    "versions": Each(str),
    "plugins": MayLack(Each(str)),
    "weights": _WEIGHTS,
    "best_weights": MayLack(OrNone(_WEIGHTS)),
    "changed_at": MayLack(ListOf(Count)),
}
"""Every key of an exported file, and what it must hold."""

_LONGEST = 255  # bytes of a file's name
_REMEDY = "export the configuration again"
_HEADER = """\
# A configuration found by a search, complete enough to train again to the same numbers:
#   python pipeline/train.py {name}       trains it again
#   python pipeline/evaluate.py {name}    evaluates its weights once, on test data
"""


@dataclass(frozen=True)
class Exported:
    """One configuration with its origin and its result."""

    origin: dict[str, Any]  # study, trial, rank, or the file that was trained again
    config: TrainConfig
    images: dict[str, Any]  # of its data set, see `Images.identity`; `test_fingerprint` once used
    metrics: EpochMetrics  # of the last epoch
    machine: dict[str, Any]  # device and threads
    versions: dict[str, str]  # and the digest of the code
    plugins: dict[str, str]  # digests of the variants outside of the tool that it uses
    weights: Path  # of the averaged model after the last epoch, beside the file
    best_weights: Path | None = None  # after `metrics.best_epoch`, where that is an earlier one
    changed_at: tuple[int, ...] = ()  # epochs with which machine or versions changed on the way

    @classmethod
    def read(cls, path: Path, plugins: Plugins | None = None) -> "Exported":
        """Read and check a file.

        Args:
            path: the file.
            plugins: variants outside of the tool, which are known in this process.

        Raises:
            InputError: for an unknown or missing key, a wrong value, or another plug-in.
        """
        content = schema.read(str(path), yaml_file.read(path), SCHEMA, _REMEDY)
        flat, digests = content["config"], content.get("plugins", {})
        check_plugins(digests, plugins, str(path), changed="restore it, or search again")
        _check_whole(path, flat, KINDS)
        config = TrainConfig.from_flat(flat, dict.fromkeys(flat, f"{path}: config"))
        _check_whole(path, flat, config.flat())
        metrics = EpochMetrics.from_dict(content["metrics"])
        if metrics.final is not None and not metrics.final.consistent:
            raise InputError(f"{path}: metrics: final: its counts disagree; {_REMEDY}")
        best = content.get("best_weights")
        return cls(
            content["origin"],
            config,
            content["images"],
            metrics,
            content["machine"],
            content["versions"],
            digests,
            _named(path, "weights", content["weights"]),
            None if best is None else _named(path, "best_weights", best),
            tuple(content.get("changed_at", ())),
        )

    def write(self, path: Path) -> None:
        """Write the file; the weights lie beside it already."""
        content: dict[str, Any] = {
            "origin": self.origin,
            "config": self.config.flat(),
            "images": self.images,
            "final_robust": self.metrics.final.robust if self.metrics.final else None,
            "metrics": asdict(self.metrics),
            "machine": self.machine,
            "versions": self.versions,
            "weights": {"file": self.weights.name, "sha256": digest(self.weights)},
        }
        if self.changed_at:
            content["changed_at"] = list(self.changed_at)
        if self.plugins:
            content["plugins"] = self.plugins
        if self.best_weights:
            best = self.best_weights
            content["best_weights"] = {"file": best.name, "sha256": digest(best)}
        _write(path, content)


def _write(path: Path, content: dict[str, Any]) -> None:
    header = _HEADER.format(name=path.name)
    atomic.write(path, lambda file: file.write_text(header + yaml_file.dump(content)))


def _check_whole(path: Path, flat: Mapping[str, object], names: Iterable[str]) -> None:
    """Raise InputError for a name that is lost: its default may not be what the run had."""
    lost = [name for name in names if name not in flat]
    if lost:
        raise InputError(f"{path}: config: {lost[0]} is missing; {_REMEDY}")


def _named(path: Path, key: str, entry: dict[str, str]) -> Path:
    """Return the weights that a file names beside itself, and prove that they are these."""
    name = entry["file"]
    if not name.strip(".") or "/" in name or "\0" in name or len(name.encode()) > _LONGEST:
        raise InputError(
            f"{path}: {key}: file must be a plain name beside this file, but is {shown(name)}; "
            f"{_REMEDY}"
        )
    weights = path.with_name(name)
    if os.path.lexists(weights) and digest(regular_file(weights, _REMEDY)) != entry["sha256"]:
        raise InputError(f"{weights}: is not the file that {path.name} names; export it again")
    return weights


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
    before = known.get(_TEST, here["fingerprint"])
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


def record_test_images(path: Path, fingerprint: str) -> None:
    """Store in an exported file on which test images it was evaluated, once."""
    content = yaml_file.read(path)
    if _TEST not in content["images"]:
        content["images"][_TEST] = fingerprint
        _write(path, content)


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


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
