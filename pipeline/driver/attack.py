"""One or two exported files' networks under the same attack, on validation images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.base.narration import Waiting
from pipeline.problem.exported import load_split
from regmix.cores import compute_on
from regmix.errors import InputError
from regmix.evaluation.attack_view import ATTACK, AttackPicture
from regmix.exported.file import Exported
from regmix.images import Images, stratified_order

if TYPE_CHECKING:
    from torch import nn

    from regmix.evaluation.judged_network import JudgedNetwork
    from regmix.placed import Placed

MOST = 500
"""Images that are attacked where nobody says how many."""
_STEPS = (0.25, 0.5, 0.75, 1.25, 1.5, 2.0)  # radii, as shares of the main one


def attack(
    files: dict[Path, Exported],
    *,
    count: int | None,
    rows: int,
    epsilons: Sequence[float] | None,
    seed: int | None,
) -> AttackPicture:
    """Attack validation images of the first file, at its own radius and around it.

    Args:
        files: path -> content of each; at most two.
        count: number of images that are attacked; None for all, at most `MOST`.
        rows: number of images that are shown.
        epsilons: radii of the curve, pixels in [0, 1]; None for shares of the first file's own.
        seed: seed of the attack; None for the first file's.

    Raises:
        InputError: where the files' images are not the same, or the second one was trained on
            those that are attacked.
    """
    compute_on()
    from regmix.device import device
    from regmix.evaluation.radii import attack_view
    from regmix.placed import Placed

    path, first = next(iter(files.items()))
    config = first.config
    valid = load_split(first, path).valid
    for other in list(files)[1:]:
        _check_same(path, first, other, files[other])
    images = valid.first(min(MOST, len(valid)) if count is None else count)
    placed = Placed.of(images, device())
    radius, chance = config.eval_epsilon, config.eval_seed if seed is None else seed
    radii = [min(1.0, radius * step) for step in _STEPS] if epsilons is None else epsilons
    print(
        f"attacking {len(images):,} images at {len({radius, *radii})} radii: {ATTACK}", flush=True
    )
    networks = {
        name: _network(content, one, placed)
        for (one, content), name in zip(files.items(), _names(list(files)), strict=True)
    }
    shown = _drawn(next(iter(networks.values())), placed, images, rows, chance, path)
    views = {}
    for name, network in networks.items():
        with Waiting(f"attacking {name}") as progress:
            views[name] = attack_view(
                network,
                placed.pixels,
                placed.labels,
                shown,
                epsilon=radius,
                epsilons=radii,
                seed=chance,
                progress=progress,
            )
    return AttackPicture(views, images, shown, radius, config.data.name, chance)


def _check_same(path: Path, first: Exported, other: Path, second: Exported) -> None:
    """Prove that two networks know the same images, and were trained on none of those attacked."""
    for key, what in (("fingerprint", "images"), ("classes", "classes"), ("shape", "shape")):
        if first.images[key] != second.images[key]:
            raise InputError(
                f"{other}: was trained on other {what} than {path.name}, so that they can't be "
                "attacked side by side; give files of one data set"
            )
    one, two = first.config, second.config
    if one.split_seed != two.split_seed or one.valid_images > two.held_out_images:
        raise InputError(
            f"{other}: was trained on some of the images that {path.name} was validated on, which "
            "would flatter it; give files of one recipe"
        )


def _names(paths: list[Path]) -> list[str]:
    """Return the files' names without their endings, with their folders where they are the same."""
    stems = [path.stem for path in paths]
    return stems if len(set(stems)) == len(stems) else [str(path.with_suffix("")) for path in paths]


def _network(exported: Exported, path: Path, placed: "Placed") -> "JudgedNetwork":
    from regmix.evaluation.judged_network import engine_for, judged
    from regmix.exported.network import chosen, network

    model = network(exported, chosen(exported, path, "final")).to(placed.pixels.device)
    return judged(model, placed.pixels, engine_for(model, placed.pixels))


def _drawn(
    network: "nn.Module", placed: "Placed", images: Images, rows: int, seed: int, path: Path
) -> list[int]:
    """Draw images that a network gets right, from each class in turn, and sort them by class."""
    from regmix.evaluation.pgd_ensemble import correct

    right = np.flatnonzero(correct(network, placed.pixels, placed.labels).cpu().numpy())
    if not len(right):
        raise InputError(f"{path}: gets none of {len(images)} images right; nothing can be shown")
    order = stratified_order(images.labels[right], np.random.default_rng(seed))
    some = right[order[:rows]]
    return [int(one) for one in sorted(some, key=lambda one: (images.labels[one], one))]
