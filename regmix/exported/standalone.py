"""Load the network of this folder. PyTorch is all that it needs.

    import torch
    from load import load

    model = load()                           # in eval mode, on the CPU
    logits = model(torch.rand(2, C, H, W))   # pixels in [0, 1]; what normalisation there is, inside

`config.json` says C, H, W and the names of the classes; `README.md` says what it was measured to
be. Nothing is unpickled. The code in `network/` is run, as that of any network is.
"""

import hashlib
import importlib.util
import json
import struct
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
PACKAGE = "regmix_network_"

TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""The types of numbers that safetensors knows, as torch has them."""


def load(folder: str | Path = HERE) -> nn.Module:
    """Return the network in eval mode: images (N, C, H, W) in [0, 1] to logits (N, K).

    Args:
        folder: folder with config.json, model.safetensors and network/.

    Raises:
        ValueError: where the weights are not those that config.json names.
    """
    place = Path(folder)
    config = json.loads((place / "config.json").read_text("utf-8"))
    content = (place / "model.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != config["weights_sha256"]:
        raise ValueError(f"{place / 'model.safetensors'} is not the file that config.json names")
    package = f"{PACKAGE}{config['weights_sha256'][:16]}"  # several may be loaded at once
    built = config["network"]
    build = getattr(_module(place / "network", package, built["module"]), built["function"])
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced below
        model = build(len_of(config, "channels"), len(config["classes"]), **built["options"])
    if built["channels_last"]:
        model.to(memory_format=torch.channels_last)
    if built["normalization"]:
        normalized = _module(place / "network", package, built["normalization"]).Normalized
        model = normalized(model, len_of(config, "channels"))
    model.load_state_dict(tensors(content))
    found: nn.Module = model.eval()
    return found


def len_of(config: dict[str, Any], axis: str) -> int:
    """Return the length of an axis of the images: `channels`, `height` or `width`."""
    return int(config["image"][axis])


def tensors(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Eight bytes say how long the header is, JSON of name -> type, shape and place; then come the
    numbers, row by row.
    """
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = bytearray(content[8 + length + begin : 8 + length + end])
        flat = torch.frombuffer(raw, dtype=TYPES[entry["dtype"]]) if raw else torch.empty(0)
        found[name] = flat.to(TYPES[entry["dtype"]]).reshape(entry["shape"])
    return found


def _module(folder: Path, package: str, name: str) -> Any:  # noqa: ANN401  (a module)
    """Import `name` of the folder's own package, whatever else is installed."""
    if package not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            package, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None and spec.loader is not None
        sys.modules[package] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[package])
    return importlib.import_module(f"{package}.{name}")


def main() -> None:
    """Show that the network loads and answers."""
    config = json.loads((HERE / "config.json").read_text("utf-8"))
    shape = [len_of(config, axis) for axis in ("channels", "height", "width")]
    with torch.no_grad():
        logits = load()(torch.rand(2, *shape))
    print(f"images {[2, *shape]} in [0, 1] -> logits {list(logits.shape)}")
    print(f"classes: {', '.join(config['classes'])}")


if __name__ == "__main__":
    main()
