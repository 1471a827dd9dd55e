"""An exported file in other forms, each of them proved against the network that it is made of."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.base.commands import near
from pipeline.base.narration import Waiting
from pipeline.problem import judgement
from pipeline.views.model_card import model_card
from pipeline.views.robustbench import model_info
from regmix import atomic
from regmix.cores import compute_on
from regmix.exported.file import Exported, digest

FORMS = ("hub", "onnx", "pt2")
"""What beside its YAML a configuration can be taken away as."""


def check_forms(forms: Sequence[str]) -> None:
    """Prove that what the forms need is installed, before anything is written.

    Raises:
        InputError: naming what is missing.
    """
    if "onnx" in forms:
        from regmix.exported.graphs import check_onnx

        check_onnx()


def place(path: Path, form: str, out: Path) -> Path:
    """Return where a form of an exported file is written."""
    return out / f"{path.stem}{'-' if form == 'hub' else '.'}{form}"


def take_away(path: Path, exported: Exported, forms: Sequence[str], out: Path) -> None:
    """Write a configuration's network in other forms, and print a line for each.

    Args:
        path: the YAML file, after which they are named.
        exported: its content.
        forms: some of `FORMS`.
        out: folder to write to.

    Raises:
        InputError: where the network can't be had in one of them; the forms before it are there,
            and of that one nothing is.
    """
    compute_on()
    from regmix.exported import graphs, hub
    from regmix.exported.network import chosen, network

    weights = chosen(exported, path, "final")
    model, shape = network(exported, weights), tuple(exported.images["shape"])
    if "hub" in forms:
        folder, kept = place(path, "hub", out), _kept(path, weights)
        texts = {
            "README.md": model_card(path.stem, exported, kept),
            "robustbench.json": json.dumps(model_info(exported, kept), indent=2) + "\n",
        }
        with Waiting(f"making {near(folder)}"):
            atomic.write_folder(folder, lambda new: hub.fill(new, exported, weights, model, texts))
        print(f"{near(folder)}: the same logits by torch alone, see its README.md", flush=True)
    for form, graph in (("onnx", graphs.onnx), ("pt2", graphs.pt2)):
        if form in forms:
            target = place(path, form, out)
            with Waiting(f"making {near(target)}"):  # torch's compiler takes seconds to load
                made = graph(model, shape)
                atomic.write(target, partial(_write, made.content))
            print(f"{near(target)}: {_words(made.apart)}", flush=True)


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _words(apart: float | None) -> str:
    if apart is None:
        return "written, and not compared: onnxruntime is not installed"
    return "the same logits" if not apart else f"logits within {apart:.1g} of the network's"


def _kept(path: Path, weights: Path) -> dict[str, Any] | None:
    """Return the evaluation on test images that is kept beside a file, if it is of its weights."""
    kept = path.with_suffix(".judgement.yaml")
    if not kept.exists():
        return None
    content = judgement.read(kept)
    if content["weights"] != digest(weights):
        print(f"{kept} is of other weights, and is left out of the card", flush=True)
        return None
    return content
