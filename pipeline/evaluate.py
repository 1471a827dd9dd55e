"""Judge an exported configuration's weights once, on test data."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.table import Table

from pipeline import command, yaml_file
from pipeline.exported import Exported, load_part, with_data_dir
from pipeline.progress import console
from regmix import atomic
from regmix.errors import InputError
from regmix.ranges import Count, check
from regmix.shares import Share


def parser() -> command.Parser:
    """Return the command line's options."""
    result = command.Parser(prog="evaluate.py", description=__doc__, allow_abbrev=False)
    result.add_argument("file", metavar="FILE", help="a YAML file that export.py or train.py wrote")
    result.add_argument("--autoattack", action="store_true", help="also run AutoAttack (slow)")
    result.add_argument("--images", help="only so many test images (default: all)")
    result.add_argument("--again", action="store_true", help="judge although a judgement exists")
    result.add_argument("--data-dir", help="where the images are, if not where the file says")
    return result


def main(argv: Sequence[str]) -> int:
    """Return 0 when the judgement is printed and written beside the file."""
    args = parser().parse_args(argv)
    path = Path(args.file).resolve()
    exported = with_data_dir(Exported.read(path), args.data_dir)
    count = None if args.images is None else check("command line", "--images", args.images, Count)
    if not exported.weights.exists():
        raise InputError(f"{exported.weights}: the weights are missing; export or train again")
    kept = path.with_suffix(".judgement.yaml")
    if kept.exists() and not args.again:
        print(f"judged before, see {kept}; test data judges once (--again judges again)")
        _show(path, yaml_file.read(kept))
        return 0
    judgement = _judge(exported, count, args.autoattack)  # type: ignore[arg-type]
    atomic.write(kept, lambda file: file.write_text(yaml_file.dump(judgement)))
    _show(path, judgement)
    print(f"wrote {kept}")
    return 0


def _judge(exported: Exported, count: int | None, with_autoattack: bool) -> dict[str, Any]:
    """Return the judgement as it is kept: settings, and hits and count of each row."""
    import torch

    from regmix import checkpoint
    from regmix.device import device, machine
    from regmix.judge import judge
    from regmix.trainer import build_model

    config, test = exported.config, load_part(exported.config, "test")
    if count is not None:
        test = test.first(count)
    model = build_model(config, test.images.shape[1], len(test.classes))
    try:
        model.load_state_dict(checkpoint.load_weights(exported.weights))
    except RuntimeError:
        raise InputError(
            f"{exported.weights}: does not fit {config.model.name}; export again"
        ) from None
    model.to(device()).eval().requires_grad_(False)
    rows = {}
    images = torch.from_numpy(test.images).to(device()).float() / 255
    labels = torch.from_numpy(test.labels).to(device())
    for name, share in judge(
        model,
        images,
        labels,
        epsilon=config.eval_epsilon,
        seed=config.eval_seed,
        with_autoattack=with_autoattack,
    ):
        rows[name] = {"hits": share.hits, "count": share.count}
        print(f"{name}: {share.value:.4f}", file=sys.stderr, flush=True)
    return {
        "data": config.data.name,
        "test_fingerprint": test.fingerprint(),
        "epsilon": config.eval_epsilon,
        "seed": config.eval_seed,
        "machine": machine(),
        "rows": rows,
    }


def _show(path: Path, judgement: dict[str, Any]) -> None:
    try:
        shares = {name: Share(row["hits"], row["count"]) for name, row in judgement["rows"].items()}
        epsilon, data = float(judgement["epsilon"]), str(judgement["data"])
    except (KeyError, TypeError, AttributeError, ValueError):
        raise InputError(f"{path.stem}.judgement.yaml: is damaged; add --again") from None
    table = Table(title=f"{path.stem} on {data}'s test images, epsilon {epsilon:.4g}", box=None)
    for column in ("attack", "accuracy", "95 % interval", "images"):
        table.add_column(column, justify="left" if column == "attack" else "right")
    for name, share in shares.items():
        low, high = share.interval
        interval = f"{low:.4f} to {high:.4f}"
        table.add_row(name, f"{share.value:.4f}", interval, f"{share.hits} of {share.count}")
    console().print(table)


if __name__ == "__main__":
    sys.exit(command.run("evaluate", main))
