"""Train an exported configuration again: with its own seed to the same metrics, or with others."""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from pipeline.base import cli, paths
from pipeline.problem.exported import Exported, load_split, versions, with_data_dir
from regmix.images import Split
from regmix.ranges import Seed, check
from regmix.training.metrics import EpochMetrics


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("train.py", __doc__)
    result.add_argument("file", metavar="FILE", help="a YAML file that export.py wrote")
    result.add_argument("--seeds", nargs="+", metavar="SEED", help="(default: the file's own seed)")
    result.add_argument("--data-dir", help="where the images are, if not where the file says")
    result.add_argument("--out", help="folder for weights and files (default: beside FILE)")
    return result


def main(argv: Sequence[str]) -> int:
    """Return 0, or 1 where the file's own numbers should have come out and did not."""
    args = parser().parse_args(argv)
    path = Path(args.file).resolve()
    exported = with_data_dir(Exported.read(path), args.data_dir)
    seeds = [check("command line", "--seeds", seed, Seed) for seed in args.seeds or ()]
    out = paths.writable_folder(Path(args.out) if args.out else path.parent, "--out")
    data = load_split(exported, path)
    results, same = [], True
    for seed in seeds or [exported.config.seed]:
        config = replace(exported.config, seed=int(seed or 0))
        again = _train(replace(exported, config=config), data, out / f"{path.stem}-seed{seed}.yaml")
        results.append(again)
        if config.seed == exported.config.seed:
            same = _compare(exported, again)
    if len(results) > 1:
        values = [r.metrics.final.robust for r in results if r.metrics.final]
        spread = statistics.stdev(values)
        mean = statistics.mean(values)
        print(
            f"validation robust accuracy under APGD over {len(values)} seeds: mean {mean:.4f}, "
            f"sd {spread:.4f}"
        )
    return 0 if same else 1


def _train(exported: Exported, data: Split, path: Path) -> Exported:
    """Train, print a line per epoch, write file and weights, and return what came out."""
    import torch

    from regmix.device import device, machine
    from regmix.training import checkpoint
    from regmix.training.trainer import RegMixTrainer

    torch.set_num_threads(int(exported.machine.get("threads", 1)))
    trainer: RegMixTrainer = RegMixTrainer(exported.config, data, device())
    print(f"seed {exported.config.seed} on {machine()['device']}")
    metrics = exported.metrics
    for metrics in trainer.epochs():
        print(
            f"epoch {metrics.epoch:3d}/{exported.config.epochs}  loss {metrics.train_loss:.4f}  "
            f"clean {metrics.valid_clean:.4f}  robust {metrics.valid_robust:.4f}"
            f"{'  COLLAPSED' if metrics.co_detected else ''}",
            flush=True,
        )
    weights, best = path.with_suffix(".safetensors"), None
    checkpoint.save_weights(trainer.average.model.state_dict(), weights)
    earlier = trainer.monitor.earlier_best(trainer.epoch)
    if earlier is not None:
        best = path.with_suffix(".best.safetensors")
        checkpoint.save_weights(earlier, best)
    _say(metrics)
    again = Exported(
        origin={"trained_again": exported.origin},
        config=exported.config,
        data_fingerprint=exported.data_fingerprint,
        metrics=metrics,
        machine=machine(),
        versions=versions(),
        weights=weights,
        best_weights=best,
    )
    again.write(path)
    print(f"wrote {path}")
    return again


def _say(metrics: EpochMetrics) -> None:
    """Print the judgement of the end, and what makes it doubtful."""
    assert metrics.final is not None, "the last epoch is judged"
    low, high = metrics.final.share.interval
    print(
        f"under APGD: {metrics.final.robust:.4f} of {metrics.final.count} validation images "
        f"(95 % interval {low:.4f} to {high:.4f})"
    )
    for flag in metrics.final.masking.flags():
        print(f"gradient masking? {flag}")


def _compare(recorded: Exported, again: Exported) -> bool:
    """Print every metric that differs; return False where none may differ."""
    old, new = asdict(recorded.metrics), asdict(again.metrics)
    differ = [name for name in old if name != "seconds" and old[name] != new[name]]
    if not differ:
        print("every metric of the last epoch is exactly the recorded one")
        return True
    for name in differ:
        print(f"{name} was {old[name]!r} and is {new[name]!r}")
    reasons = [
        f"{name} was {recorded.versions.get(name)} and is {value}"
        for name, value in again.versions.items()
        if name in ("python", "torch", "numpy") and recorded.versions.get(name) != value
    ]
    if recorded.machine != again.machine:
        reasons.append(f"the machine was {recorded.machine} and is {again.machine}")
    elif again.machine["device"] != "cpu":
        reasons.append("a GPU sums in another order each time")
    if reasons:
        print(f"the numbers may differ, since {'; '.join(reasons)}")
        return True
    print("train: the same machine and versions gave other numbers", file=sys.stderr)
    return False


if __name__ == "__main__":
    sys.exit(cli.run("train", main))
