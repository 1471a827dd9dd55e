"""A folder that holds a network by itself: weights, sources, a loader that needs torch alone."""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regmix.exported import standalone
from regmix.exported.file import PRIVATE, Exported, digest
from regmix.exported.sources import gather
from regmix.training.trainer import takes_channels_last

_NORMALIZATION = "regmix.normalization"


def fill(
    folder: Path, exported: Exported, weights: Path, model: nn.Module, texts: Mapping[str, str]
) -> None:
    """Write everything that a network is loaded from into an empty folder, and load it once.

    Args:
        folder: the folder.
        exported: the configuration.
        weights: file of its weights.
        model: the network with these weights, in eval mode on the CPU.
        texts: further files, such as a card: name -> content.

    Raises:
        InputError: where the network needs more than PyTorch.
    """
    normalized = exported.config.normalization == "data"
    gathered = gather(exported.config.model.name, (_NORMALIZATION,) if normalized else ())
    texts = {"config.json": _json(_described(exported, weights, gathered.module)), **texts}
    texts["load.py"] = Path(standalone.__file__).read_text("utf-8")
    texts["network/__init__.py"] = '"""The sources that this network is built by."""\n'
    texts |= {f"network/{path}": text for path, text in gathered.files.items()}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    shutil.copyfile(weights, folder / "model.safetensors")
    _prove(folder, exported, model)


def _described(exported: Exported, weights: Path, module: str) -> dict[str, Any]:
    config, (channels, height, width) = exported.config, exported.images["shape"]
    return {
        "network": {
            "module": module,
            "function": config.model.name,
            "options": dict(config.model.options),
            "channels_last": takes_channels_last(config),
            "normalization": _NORMALIZATION if config.normalization == "data" else None,
        },
        "weights_sha256": digest(weights),
        "image": {"channels": channels, "height": height, "width": width, "range": [0, 1]},
        "classes": exported.images["classes"],
        "threat_model": {"norm": "Linf", "epsilon": config.eval_epsilon},
        "training": {k: v for k, v in config.flat().items() if k not in PRIVATE},
    }


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _prove(folder: Path, exported: Exported, model: nn.Module) -> None:
    """Load the folder as a stranger does, and hold its logits against the network's."""
    known = set(sys.modules)
    images = torch.rand(3, *exported.images["shape"], generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            same = torch.equal(standalone.load(folder)(images), model(images))
    finally:
        for name in set(sys.modules) - known:  # another export may have other sources
            if name.startswith(standalone.PACKAGE):
                del sys.modules[name]
    assert same, f"{folder} gives other logits than the network that it was made of"
