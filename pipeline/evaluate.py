"""Judge an exported configuration's weights: once on test data, or on its validation images."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.table import Table

from pipeline.base import cli
from pipeline.problem import yaml_file
from pipeline.problem.exported import Exported, load_part, load_split, with_data_dir
from pipeline.problem.plugin_folder import load_plugins
from pipeline.report.formatting import console
from regmix import atomic
from regmix.errors import InputError
from regmix.evaluation.results import Masking, Proportion
from regmix.images import Images
from regmix.ranges import Count

if TYPE_CHECKING:
    from torch import nn


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("evaluate.py", __doc__)
    result.add_argument("file", metavar="FILE", help="a YAML file that export.py or train.py wrote")
    result.add_argument("--autoattack", action="store_true", help="also run AutoAttack (slow)")
    result.add_argument("--images", help="only so many test images (default: all)")
    result.add_argument("--again", action="store_true", help="judge although a judgement exists")
    result.add_argument(
        "--validation",
        action="store_true",
        help="judge on the validation images, as a finalist: APGD-CE and APGD-T at full length",
    )
    result.add_argument(
        "--best", action="store_true", help="the weights of the best epoch instead of the last"
    )
    result.add_argument("--data-dir", help="where the images are, if not where the file says")
    result.add_argument("--plugins", help="folder of the plug-ins that the search used")
    return result


def main(argv: Sequence[str]) -> int:
    """Return 0 when the judgement is printed and, on test data, written beside the file."""
    args = parser().parse_args(argv)
    path = Path(args.file).resolve()
    exported = Exported.read(path, load_plugins(args.plugins))
    exported = with_data_dir(exported, args.data_dir)
    count = cli.number("--images", args.images, Count | None)
    weights = exported.best_weights if args.best else exported.weights
    if weights is None:
        raise InputError(f"--best: the last epoch of {path.name} is its best; leave it out")
    if not weights.exists():
        raise InputError(f"{weights}: the weights are missing; export or train again")
    if args.validation:
        if args.autoattack or count:
            raise InputError(
                "--validation: takes neither --autoattack nor --images; leave them out"
            )
        _show(path, _finalist(exported, path, weights))
        return 0
    kept = path.with_suffix(".best.judgement.yaml" if args.best else ".judgement.yaml")
    if kept.exists() and not args.again:
        print(f"judged before, see {kept}; test data judges once (--again judges again)")
        _show(path, yaml_file.read(kept))
        return 0
    judgement = _judge(exported, weights, count, args.autoattack)
    atomic.write(kept, lambda file: file.write_text(yaml_file.dump(judgement)))
    _show(path, judgement)
    print(f"wrote {kept}")
    return 0


def _judge(
    exported: Exported, weights: Path, count: int | None, with_autoattack: bool
) -> dict[str, Any]:
    """Return the judgement on test data as it is kept."""
    from regmix.evaluation.attack_settings import AttackSettings
    from regmix.evaluation.final_evaluation import evaluate_test
    from regmix.evaluation.masking import masking
    from regmix.evaluation.pgd_ensemble import random_start, validate

    config, test = exported.config, load_part(exported.config, "test")
    if count is not None:
        test = test.first(count)
    model, (images, labels) = _model(exported, weights, test), _tensors(test)
    rows, epsilon, seed = {}, config.eval_epsilon, config.eval_seed
    for name, share in evaluate_test(
        model, images, labels, AttackSettings(epsilon, seed), with_autoattack=with_autoattack
    ):
        rows[name] = share
        print(f"{name}: {share.value:.4f}", file=sys.stderr, flush=True)
    start = random_start(images, epsilon, seed)
    known = validate(model, images, labels, start, epsilon=epsilon, steps=config.eval_steps)
    signs = masking(model, images, labels, start, known, AttackSettings(epsilon, seed))
    return _kept(exported, "test images", test, rows, signs)


def _finalist(exported: Exported, path: Path, weights: Path) -> dict[str, Any]:
    """Return the judgement of a finalist on the validation images."""
    from regmix.evaluation.apgd_levels import evaluate_finalist
    from regmix.evaluation.attack_settings import AttackSettings
    from regmix.evaluation.pgd_ensemble import random_start, validate

    config, valid = exported.config, load_split(exported, path).valid
    model, (images, labels) = _model(exported, weights, valid), _tensors(valid)
    epsilon, seed = config.eval_epsilon, config.eval_seed
    start = random_start(images, epsilon, seed)
    known = validate(model, images, labels, start, epsilon=epsilon, steps=config.eval_steps)
    judged = evaluate_finalist(model, images, labels, start, known, AttackSettings(epsilon, seed))
    shares = {
        "clean": known.clean,
        "FGSM": known.fgsm,
        "PGD": known.pgd,
        "and margin": known.robust,
    }
    rows = {
        name: Proportion(round(value * len(valid)), len(valid)) for name, value in shares.items()
    }
    rows["and APGD-100, 9 targets, Square"] = judged.share
    return _kept(exported, "validation images, which chose it", valid, rows, judged.masking)


def _model(exported: Exported, weights: Path, images: Images) -> "nn.Module":
    from regmix.device import device
    from regmix.training import checkpoint
    from regmix.training.trainer import build_model

    model = build_model(exported.config, images.images.shape[1], len(images.classes))
    try:
        model.load_state_dict(checkpoint.load_weights(weights))
    except RuntimeError:
        raise InputError(
            f"{weights}: does not fit {exported.config.model.name}; export again"
        ) from None
    return model.to(device()).eval().requires_grad_(False)


def _tensors(images: Images) -> tuple[Any, Any]:
    import torch

    from regmix.device import device

    pixels = torch.from_numpy(images.images).to(device()).float() / 255
    return pixels, torch.from_numpy(images.labels).to(device())


def _kept(
    exported: Exported, part: str, images: Images, rows: dict[str, Proportion], signs: Masking
) -> dict[str, Any]:
    """Return settings, hits and count of each row, and the signs of masking."""
    from dataclasses import asdict

    from regmix.device import machine

    return {
        "data": exported.config.data.name,
        "part": part,
        "fingerprint": images.fingerprint(),
        "epsilon": exported.config.eval_epsilon,
        "seed": exported.config.eval_seed,
        "machine": machine(),
        "rows": {name: {"hits": row.hits, "count": row.count} for name, row in rows.items()},
        "masking": asdict(signs),
    }


def _show(path: Path, judgement: dict[str, Any]) -> None:
    try:
        shares = {
            name: Proportion(row["hits"], row["count"]) for name, row in judgement["rows"].items()
        }
        epsilon, data = float(judgement["epsilon"]), f"{judgement['data']}'s {judgement['part']}"
        signs = Masking(**judgement["masking"])
    except (KeyError, TypeError, AttributeError, ValueError):
        raise InputError(f"{path.stem}.judgement.yaml: is damaged; add --again") from None
    table = Table(title=f"{path.stem} on {data}, epsilon {epsilon:.4g}", box=None)
    for column in ("attack", "accuracy", "95 % interval", "images"):
        table.add_column(column, justify="left" if column == "attack" else "right")
    for name, share in shares.items():
        low, high = share.interval
        interval = f"{low:.4f} to {high:.4f}"
        table.add_row(name, f"{share.value:.4f}", interval, f"{share.hits} of {share.count}")
    console().print(table)
    for flag in signs.flags():
        print(f"gradient masking? {flag}")
    if not signs.flags():
        print("no sign of gradient masking")


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("evaluate", main)


if __name__ == "__main__":
    sys.exit(run())
