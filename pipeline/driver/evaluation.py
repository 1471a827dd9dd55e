"""The weights of an exported configuration, evaluated: on test images, or as a finalist."""

import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.narration import Waiting
from pipeline.problem.exported import load_split, load_test
from pipeline.views.formatting import duration
from regmix.config import TrainConfig
from regmix.cores import compute_on
from regmix.evaluation.results import Masking, Proportion, apgd_name
from regmix.exported.file import Exported, digest, record_test_images
from regmix.images import Images
from regmix.progress import Phase
from regmix.reading import read_part

if TYPE_CHECKING:
    from torch import nn

_GAUGE = "PGD-20"  # by whose time that of the others is forecast
_REST, _AUTOATTACK = 9.0, 150.0  # how many times longer they take, as measured on digits


def evaluate_on_test(
    exported: Exported, path: Path, weights: Path, count: int | None, *, with_autoattack: bool
) -> dict[str, Any]:
    """Return the evaluation on test images as it is kept, and print each attack's figure.

    Args:
        exported: the configuration.
        path: its file, which remembers on which test images it was evaluated.
        weights: file of its weights.
        count: number of test images; None for all.
        with_autoattack: whether AutoAttack runs too.

    Raises:
        InputError: where images or weights are missing or don't fit.
    """
    compute_on()
    from regmix.engine import ENGINE
    from regmix.evaluation.attack_settings import AttackSettings
    from regmix.evaluation.final_evaluation import evaluate_test
    from regmix.evaluation.judged_network import judged
    from regmix.evaluation.masking import masking
    from regmix.evaluation.pgd_ensemble import random_start, validate

    config, test = exported.config, load_test(exported, path)
    _warn_of_shared(config, test)
    whole = test.fingerprint()
    if count is not None:
        test = test.first(count)
    images, labels = _tensors(test)
    model = judged(_load_model(exported, weights, test), images, ENGINE)
    rows, epsilon, seed = {}, config.eval_epsilon, config.eval_seed
    begun = time.monotonic()
    with Waiting("evaluating", sys.stderr) as progress:
        for name, share in evaluate_test(
            model,
            images,
            labels,
            AttackSettings(epsilon, seed),
            with_autoattack=with_autoattack,
            progress=progress,
        ):
            rows[name] = share
            begun, spent = time.monotonic(), time.monotonic() - begun
            progress.say(f"{name}: {share.value:.4f}")
            if name == _GAUGE:
                progress.say(left_in_words(spent, with_autoattack=with_autoattack))
        progress(Phase("looking for signs of masking"))
        start = random_start(images, epsilon, seed)
        known = validate(
            model,
            images,
            labels,
            start,
            epsilon=epsilon,
            steps=config.eval_steps,
            schedule=config.eval_step_schedule,
        )
        signs = masking(model, images, labels, start, known, AttackSettings(epsilon, seed))
    record_test_images(path, whole)
    return _document(
        exported, weights, "test images", test, rows, signs, with_autoattack=with_autoattack
    )


def left_in_words(seconds: float, *, with_autoattack: bool) -> str:
    """Return how long an evaluation still takes.

    Args:
        seconds: what PGD-20 has taken.
        with_autoattack: whether AutoAttack comes, too.
    """
    words = f"about {duration(_REST * seconds)} left"
    return words + f", and {duration(_AUTOATTACK * seconds)} for AutoAttack" * with_autoattack


def _warn_of_shared(config: TrainConfig, test: Images) -> None:
    """Say how many test images were trained on, if any: they judge nothing."""
    with Waiting("reading the train part, of which no test image may be") as progress:
        train = read_part(config.data.name, config.data.options, "train", progress)
        shared = test.shared_with(train)
    if shared:
        print(
            f"warning: {shared:,} of {len(test):,} test images are also training images, pixel by "
            "pixel, so that every figure is too good",
            flush=True,
        )


def evaluate_on_validation(exported: Exported, path: Path, weights: Path) -> dict[str, Any]:
    """Return the evaluation as a finalist on all images held out, which is not kept.

    Args:
        exported: the configuration.
        path: its file, for messages.
        weights: file of its weights.

    Raises:
        InputError: where images or weights are missing or don't fit.
    """
    compute_on()
    from regmix.device import device
    from regmix.evaluation.validator import Validator

    config, valid = exported.config, load_split(exported, path).held_out
    model = _load_model(exported, weights, valid)
    validator = Validator(replace(config, judgement="finalist"), valid, device())
    with Waiting("evaluating", sys.stderr) as progress:
        known = validator.per_epoch(model)
        final = validator.final(model, known, progress)
    shares = {
        "clean": known.clean,
        "FGSM": known.fgsm,
        "PGD": known.pgd,
        "and margin": known.robust,
    }
    rows = {
        name: Proportion(round(value * len(valid)), len(valid)) for name, value in shares.items()
    }
    rows[f"and {apgd_name(100, 9, len(valid.classes))}, Square"] = final.share
    part = "validation images, by which it was chosen"
    return _document(exported, weights, part, valid, rows, final.masking)


def _load_model(exported: Exported, weights: Path, images: Images) -> "nn.Module":
    from regmix.device import device
    from regmix.training import checkpoint
    from regmix.training.trainer import build_model

    model = build_model(exported.config, images.images.shape[1], len(images.classes))
    checkpoint.load_into(model, weights)
    return model.to(device()).eval()


def _tensors(images: Images) -> tuple[Any, Any]:
    import torch

    from regmix.device import device

    pixels = torch.from_numpy(images.images).to(device()).float() / 255
    return pixels, torch.from_numpy(images.labels).to(device())


def _document(
    exported: Exported,
    weights: Path,
    part: str,
    images: Images,
    rows: dict[str, Proportion],
    signs: Masking,
    *,
    with_autoattack: bool = False,
) -> dict[str, Any]:
    """Return settings, hits and count of each row, and the signs of masking."""
    from regmix.device import machine

    return {
        "data": exported.config.data.name,
        "part": part,
        "weights": digest(weights),
        "fingerprint": images.fingerprint(),
        "epsilon": exported.config.eval_epsilon,
        "eval_steps": exported.config.eval_steps,
        "seed": exported.config.eval_seed,
        "machine": machine(),
        "autoattack": with_autoattack,
        "rows": {name: {"hits": row.hits, "count": row.count} for name, row in rows.items()},
        "masking": asdict(signs),
    }
