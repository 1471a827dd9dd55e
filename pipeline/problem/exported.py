"""The file of an exported configuration: everything that a run needs, and what it gave."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.problem import yaml_file
from pipeline.problem.plugin_folder import check_plugins
from regmix import atomic
from regmix.config import TrainConfig
from regmix.errors import InputError, unknown
from regmix.images import Images, PartName, Split
from regmix.plugins import Plugins
from regmix.reading import read_part
from regmix.training.metrics import EpochMetrics

_KEYS = ("origin", "config", "data_fingerprint", "metrics", "machine", "versions", "weights")
_OPTIONAL = ("final_robust", "plugins", "best_weights")
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
    data_fingerprint: str
    metrics: EpochMetrics  # of the last epoch
    machine: dict[str, Any]  # device and threads
    versions: dict[str, str]
    plugins: dict[str, str]  # digests of the variants outside of the tool that it uses
    weights: Path  # of the averaged model after the last epoch, beside the file
    best_weights: Path | None = None  # after `metrics.best_epoch`, where that is an earlier one

    @classmethod
    def read(cls, path: Path, plugins: Plugins | None = None) -> "Exported":
        """Read and check a file.

        Args:
            path: the file.
            plugins: variants outside of the tool, which are known in this process.

        Raises:
            InputError: for an unknown or missing key, a wrong value, or another plug-in.
        """
        content = yaml_file.read(path)
        for key in content.keys() - {*_KEYS, *_OPTIONAL}:
            raise unknown(str(path), "key", key, (*_KEYS, *_OPTIONAL))
        for key in _KEYS:
            if key not in content:
                raise InputError(f"{path}: {key} is missing; export the configuration again")
        for key in ("config", "metrics", "machine", "versions", "origin", "weights", "plugins"):
            if not isinstance(content.get(key, {}), dict):
                raise InputError(f"{path}: {key} must be a mapping; export it again")
        flat, digests = content["config"], content.get("plugins", {})
        check_plugins(digests, plugins, str(path), changed="restore it, or search again")
        config = TrainConfig.from_flat(flat, dict.fromkeys(flat, f"{path}: config"))
        try:
            metrics = EpochMetrics.from_dict(content["metrics"])
            weights, best = (_named(path, content.get(key)) for key in ("weights", "best_weights"))
        except (TypeError, KeyError) as error:
            raise InputError(
                f"{path}: metrics or weights are wrong ({error}); export it again"
            ) from None
        assert weights is not None, "a mapping names a file"
        return cls(
            content["origin"],
            config,
            str(content["data_fingerprint"]),
            metrics,
            content["machine"],
            content["versions"],
            digests,
            weights,
            best,
        )

    def write(self, path: Path) -> None:
        """Write the file; the weights lie beside it already."""
        content: dict[str, Any] = {
            "origin": self.origin,
            "config": self.config.flat(),
            "data_fingerprint": self.data_fingerprint,
            "final_robust": self.metrics.final.robust if self.metrics.final else None,
            "metrics": asdict(self.metrics),
            "machine": self.machine,
            "versions": self.versions,
            "weights": {"file": self.weights.name, "sha256": _digest(self.weights)},
        }
        if self.plugins:
            content["plugins"] = self.plugins
        if self.best_weights:
            best = self.best_weights
            content["best_weights"] = {"file": best.name, "sha256": _digest(best)}
        header = _HEADER.format(name=path.name)
        atomic.write(path, lambda file: file.write_text(header + yaml_file.dump(content)))


def _named(path: Path, entry: dict[str, str] | None) -> Path | None:
    """Return the weights that a file names, if any, and prove that they are these."""
    if entry is None:
        return None
    weights = path.parent / entry["file"]
    if weights.exists() and _digest(weights) != entry.get("sha256"):
        raise InputError(f"{weights}: is not the file that {path.name} names; export it again")
    return weights


def load_split(exported: Exported, path: Path) -> Split:
    """Read the images that a configuration was trained and validated on.

    Raises:
        InputError: where these are other images than those of the file at `path`.
    """
    config = exported.config
    images = load_part(config, "train")
    if images.fingerprint() != exported.data_fingerprint:
        raise InputError(
            f"{path}: was trained on other images (fingerprint {exported.data_fingerprint}, here "
            f"{images.fingerprint()}); give the right ones by --data-dir"
        )
    return config.split(images)


def load_part(config: TrainConfig, part: PartName) -> Images:
    """Read one part of the configuration's data set, and say in one line what was read."""
    images = read_part(config.data.name, config.data.options, part)
    print(images.described(part), flush=True)
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
            f"--data-dir: the data set {exported.config.data.name!r} needs none; leave it out"
        )
    config = TrainConfig.from_flat({**flat, "data_dir": str(Path(data_dir).resolve())})
    return replace(exported, config=config)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
