"""Train an exported configuration again: with its own seed to the same metrics, or with others."""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from pipeline.base import cli, paths
from pipeline.problem.environment import versions
from pipeline.problem.exported import Exported, load_split, with_data_dir
from pipeline.problem.plugin_folder import load_plugins
from regmix.images import Split
from regmix.ranges import Seed
from regmix.training.metrics import EpochMetrics


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("train.py", __doc__)
    result.add_argument("file", metavar="FILE", help="a YAML file that export.py wrote")
    result.add_argument("--seeds", nargs="+", metavar="SEED", help="(default: the file's own seed)")
    result.add_argument("--data-dir", help="where the images are, if not where the file says")
    result.add_argument("--out", help="folder for weights and files (default: beside FILE)")
    result.add_argument("--plugins", help="folder of the plug-ins that the search used")
    return result


def main(argv: Sequence[str]) -> int:
    """Return 0, or 1 where the file's own numbers should have come out and did not."""
    args = parser().parse_args(argv)
    path = Path(args.file).resolve()
    exported = Exported.read(path, load_plugins(args.plugins))
    exported = with_data_dir(exported, args.data_dir)
    seeds = [cli.number("--seeds", seed, Seed) for seed in args.seeds or ()]
    out = paths.writable_folder(Path(args.out) if args.out else path.parent, "--out")
    data = load_split(exported, path)
    results, same = [], True
    for seed in seeds or [exported.config.seed]:
        config = replace(exported.config, seed=seed)
        again = _train(replace(exported, config=config), data, out / f"{path.stem}-seed{seed}.yaml")
        results.append(again)
        if config.seed == exported.config.seed:
            same = _compare(exported, again)
    if len(results) > 1:
        values = [r.metrics.final.robust for r in results if r.metrics.final]
        spread = statistics.stdev(values)
        mean = statistics.mean(values)
        print(f"final_robust over {len(values)} seeds: mean {mean:.4f}, sd {spread:.4f}")
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
            f"{'  CATASTROPHIC OVERFITTING' if metrics.co_detected else ''}",
            flush=True,
        )
    weights, best = path.with_suffix(".safetensors"), None
    checkpoint.save_weights(trainer.average.model.state_dict(), weights)
    earlier = trainer.monitor.earlier_best(trainer.epoch)
    if earlier is not None:
        best = path.with_suffix(".best.safetensors")
        checkpoint.save_weights(earlier, best)
    _print_final(metrics)
    again = Exported(
        origin={"trained_again": exported.origin},
        config=exported.config,
        data_fingerprint=exported.data_fingerprint,
        metrics=metrics,
        machine=machine(),
        versions=versions(),
        plugins=exported.plugins,
        weights=weights,
        best_weights=best,
    )
    again.write(path)
    print(f"wrote {path}")
    return again


def _print_final(metrics: EpochMetrics) -> None:
    """Print the evaluation after the last epoch, and what makes it doubtful."""
    assert metrics.final is not None, "the last epoch is evaluated"
    low, high = metrics.final.share.interval
    print(
        f"final_robust: {metrics.final.robust:.4f} of {metrics.final.count} validation images "
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


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("train", main)


if __name__ == "__main__":
    sys.exit(run())
