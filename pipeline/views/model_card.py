"""The card of a network that is taken away: what it is, what was measured, and what was not."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.problem.judgement import shares
from pipeline.views.formatting import radius
from regmix import yaml_file
from regmix.config import Component
from regmix.evaluation.results import Masking, Proportion, apgd_name
from regmix.exported.file import PRIVATE, Exported

Kept = Mapping[str, Any]
"""An evaluation on test images, as `pipeline.problem.judgement.read` returns it."""

_CARD = """\
---
{metadata}---

# {name}

{what}

## Data

{data}

## Threat model

L-infinity, epsilon = {epsilon}: each pixel, in [0, 1], may be changed by at most that. The attacker
knows the network and its weights.

## Numbers

{numbers}

## Limits

{limits}

## Load

PyTorch is all that it needs:

```python
import torch
from load import load  # load.py of this folder

model = load()  # in eval mode, on the CPU
images = torch.rand(2, {channels}, {height}, {width})  # pixels in [0, 1], not normalised
logits = model(images)  # (2, {classes})
```

`config.json` holds the names of the classes and the whole configuration, `network/` the sources
that the network is built by, and `robustbench.json` the figures in RobustBench's form.
"""


def model_card(name: str, exported: Exported, kept: Kept | None) -> str:
    """Return a card in Markdown, which begins with the metadata that Hugging Face reads.

    Args:
        name: name of the configuration.
        exported: the configuration with its result.
        kept: its evaluation on test images; None where there was none.
    """
    channels, height, width = exported.images["shape"]
    return _CARD.format(
        metadata=yaml_file.dump(_metadata(name, exported, kept)),
        name=name,
        what=_what(exported),
        data=_data(exported),
        epsilon=radius(exported.config.eval_epsilon),
        numbers=_numbers(exported, kept),
        limits="\n".join(f"- {one}" for one in _limits(exported, kept)),
        channels=channels,
        height=height,
        width=width,
        classes=len(exported.images["classes"]),
    )


def _validated(exported: Exported) -> dict[str, Proportion]:
    """Return what was measured on validation images after the last epoch: attack -> share."""
    metrics, config, found = exported.metrics, exported.config, dict[str, Proportion]()
    clean, robust, count = metrics.valid_clean, metrics.valid_robust, config.valid_images
    if clean is not None and robust is not None:
        found["clean"] = Proportion(round(clean * count), count)
        name = f"PGD-{config.eval_steps} on cross-entropy and on the margin"
        found[name] = Proportion(round(robust * count), count)
    if metrics.final is not None:
        steps, targets = (100, 9) if config.judgement == "finalist" else (20, 3)
        name = f"PGD, then {apgd_name(steps, targets, len(exported.images['classes']))}"
        found[name + (", Square" if config.judgement == "finalist" else "")] = metrics.final.share
    return found


def _metadata(name: str, exported: Exported, kept: Kept | None) -> dict[str, Any]:
    parts = {"validation": _validated(exported), "test": shares(kept) if kept else {}}
    results = [_result(exported, part, rows) for part, rows in parts.items() if rows]
    return {
        "library_name": "pytorch",
        "pipeline_tag": "image-classification",
        "tags": ["adversarial-robustness", "adversarial-training", "image-classification"],
        "metrics": ["accuracy"],
        "model-index": [{"name": name, "results": results}],
    }


def _result(exported: Exported, part: str, rows: Mapping[str, Proportion]) -> dict[str, Any]:
    data = exported.config.data.name
    within = f"L-inf epsilon {radius(exported.config.eval_epsilon)}"
    names = {one: one if one == "clean" else f"{one}, {within}" for one in rows}
    return {
        "task": {"type": "image-classification", "name": "Image classification under attack"},
        "dataset": {"type": data, "name": f"{data}, {part} images", "split": part},
        "metrics": [
            {
                "type": "accuracy",
                "value": round(share.value, 4),
                "name": f"{names[attack]}, {_interval(share)}",
            }
            for attack, share in rows.items()
        ],
    }


def _interval(share: Proportion) -> str:
    low, high = share.interval
    return f"95 % interval {low:.4f} to {high:.4f}, n = {share.count}"


def _what(exported: Exported) -> str:
    config, origin, sentences = exported.config, exported.origin, []
    sentences.append(
        f"A network for {config.data.name}, trained to withstand attacks: {_named(config.model)}, "
        f"trained by the loss {_named(config.loss)} on the attack {_named(config.attack)} within a "
        f"radius of {radius(config.train_epsilon)}, for {config.epochs} epochs from seed "
        f"{config.seed}."
    )
    sentences.append("Its weights are the moving average after the last epoch.")
    if "trained_again" in origin:
        sentences.append("It was trained again from an exported configuration.")
        origin = origin["trained_again"]
    if "study" in origin and "trial" in origin:
        sentences.append(f"Found by a search: trial {origin['trial']} of `{origin['study']}`.")
    return "\n".join(sentences)


def _named(component: Component) -> str:
    shown = ((key, value) for key, value in component.options.items() if key not in PRIVATE)
    options = ", ".join(f"{key} {_short(value)}" for key, value in shown)
    return f"{component.name} ({options})" if options else component.name


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).lower()


def _data(exported: Exported) -> str:
    config, images = exported.config, exported.images
    channels, height, width = images["shape"]
    trained = "all others" if config.train_images is None else f"{config.train_images:,} others"
    size = f"{channels} channel{'s' * (channels > 1)}, {width}x{height}"
    return (
        f"{config.data.name}: images of {size}, in {len(images['classes'])} classes.\n"
        f"Of its training part {config.held_out_images:,} images were held out for validation; "
        f"{trained} were trained on.\nThe test part had no "
        "share in training or in the choice of the configuration."
    )


def _numbers(exported: Exported, kept: Kept | None) -> str:
    rows = [
        f"| validation | {attack} | {_cells(share)} |"
        for attack, share in _validated(exported).items()
    ]
    if kept is not None:
        rows += [f"| test | {attack} | {_cells(share)} |" for attack, share in shares(kept).items()]
    table = "| images | attack | accuracy | 95 % interval | n |\n|---|---|---|---|---|"
    words = [
        "Validation images chose the configuration, so that their figures are too good.",
    ]
    if kept is None:
        words.append("Test images have not judged this network yet.")
    else:
        words.append("On test images each attack begins anew; `worst case` survives all of them.")
    return "\n".join([table, *rows, "", *words])


def _cells(share: Proportion) -> str:
    low, high = share.interval
    return f"{share.value:.4f} | {low:.4f} to {high:.4f} | {share.count:,}"


def _limits(exported: Exported, kept: Kept | None) -> Iterator[str]:
    config = exported.config
    yield (
        "Accuracy under attack is an upper bound: another attack may find more. AutoAttack has "
        f"{'attacked it too' if kept and kept['autoattack'] else 'not attacked it'}."
    )
    yield (
        f"It was measured at epsilon {radius(config.eval_epsilon)} in the L-infinity norm alone: "
        "nothing is known of other radii, norms, or changes of another kind."
    )
    yield "Intervals are of the draw of images. Another seed of training gives another network."
    for flag in _flags(exported, kept):
        yield f"Gradient masking? {flag[0].upper()}{flag[1:]}."


def _flags(exported: Exported, kept: Kept | None) -> tuple[str, ...]:
    if kept is not None:
        count = max(share.count for share in shares(kept).values())
        return Masking(**kept["masking"]).flags(count, kept["eval_steps"])
    final = exported.metrics.final
    return final.flags(exported.config.eval_steps) if final is not None else ()
