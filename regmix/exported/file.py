"""The file of an exported configuration: everything that a run needs, and what it gave."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from regmix import atomic, schema, yaml_file
from regmix.config import TrainConfig
from regmix.errors import InputError, shown
from regmix.evaluation.results import FinalEvaluation
from regmix.plugins import Plugins, check_digests
from regmix.ranges import Bounds, Count, Natural, UnitInterval
from regmix.registry import KINDS
from regmix.schema import Each, ListOf, MayLack, OrNone, Rule
from regmix.training.metrics import EpochMetrics
from regmix.user_files import regular_file

TEST_FINGERPRINT = "test_fingerprint"
"""Key among the images' facts: which test images judged the file."""

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
    TEST_FINGERPRINT: MayLack(str),
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

PRIVATE = frozenset({"data_dir"})
"""Options that tell of the machine that it was trained on: they stay with the file."""

_LONGEST = 255  # bytes of a file's name
_REMEDY = "export the configuration again"
_PLUGIN_REMEDIES = {
    "changed": "restore it, or search again",
    "missing": "give the folder that holds it by --plugins, or plugins= from Python",
}
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
            InputError: for a file of another kind, an unknown or missing key, a wrong value, or
                another plug-in.
        """
        content = yaml_file.read(path)
        _check_kind(path, content)
        content = schema.read(str(path), content, SCHEMA, _REMEDY)
        flat, digests = content["config"], content.get("plugins", {})
        check_digests(digests, plugins, str(path), **_PLUGIN_REMEDIES)
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


def _check_kind(path: Path, content: Mapping[str, object]) -> None:
    """Raise InputError for a search space, a recipe, or another file that never was exported."""
    if content.keys() & {"origin", "config", "metrics"}:
        return
    kind = "a search space" if "search" in content else "no exported configuration"
    raise InputError(f"{path}: is {kind}; give a file that export.py or train.py wrote")


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


def record_test_images(path: Path, fingerprint: str) -> None:
    """Store in an exported file on which test images it was evaluated, once."""
    content = yaml_file.read(path)
    if TEST_FINGERPRINT not in content["images"]:
        content["images"][TEST_FINGERPRINT] = fingerprint
        _write(path, content)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
