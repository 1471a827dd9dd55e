"""An exported configuration trained again, and held against what was recorded."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.base.commands import near
from pipeline.base.narration import Waiting
from pipeline.driver.request import warn_of_bf16
from pipeline.problem.environment import CODE, versions
from pipeline.study.budget import Pace
from pipeline.views.formatting import duration
from pipeline.views.layout import say
from regmix.cores import compute_on
from regmix.exported.file import Exported
from regmix.images import Split
from regmix.training.metrics import EpochMetrics


def prove(exported: Exported, data: Split) -> None:
    """Train for one step on random images: a file that was edited may not fit together.

    Raises:
        InputError: where network, attack, loss, images and batches don't fit.
    """
    compute_on(exported.machine["threads"])
    from regmix.training.rehearsal import rehearse

    channels, height, width = data.train.images.shape[1:]
    shape, classes = (channels, height, width), len(data.train.classes)
    rehearse(exported.config, shape, classes, len(data.train))


def replay(exported: Exported, data: Split, path: Path) -> Exported:
    """Train, print a line per epoch, write file and weights, and return what came out.

    Args:
        exported: the configuration, with the seed to train with.
        data: its images.
        path: the file to write.
    """
    warn_of_bf16(exported.config.precision == "bf16")
    compute_on(exported.machine["threads"])
    from regmix.device import device, machine
    from regmix.training import checkpoint
    from regmix.training.trainer import RegMixTrainer

    trainer: RegMixTrainer = RegMixTrainer(exported.config, data, device())
    print(f"seed {exported.config.seed} on {machine()['device']}")
    metrics = exported.metrics
    spent = Pace()
    with Waiting(f"seed {exported.config.seed}") as progress:
        for metrics in trainer.epochs(progress=progress):
            spent.count(metrics)
            alarm = "  CATASTROPHIC OVERFITTING" if metrics.co_detected else ""
            left = exported.config.epochs - metrics.epoch
            progress.say(
                f"epoch {metrics.epoch:3d}/{exported.config.epochs}  loss {metrics.train_loss:.4f}"
                f"{_validation(metrics)}{alarm}{_left(spent, left, exported.metrics.seconds)}"
            )
    weights, best = path.with_suffix(".safetensors"), None
    checkpoint.save_weights(trainer.average.model.state_dict(), weights)
    earlier = trainer.monitor.earlier_best(trainer.epoch)
    if earlier is not None:
        best = path.with_suffix(".best.safetensors")
        checkpoint.save_weights(earlier, best)
    _print_final(metrics, exported.config.eval_steps)
    again = Exported(
        origin={"trained_again": exported.origin},
        config=exported.config,
        images=exported.images,
        metrics=metrics,
        machine=machine(),
        versions=versions(),
        plugins=exported.plugins,
        weights=weights,
        best_weights=best,
    )
    again.write(path)
    print(f"wrote {near(path)}")
    return again


def _left(spent: Pace, epochs: int, last: float) -> str:
    """Return how long the epochs take that are left.

    Args:
        spent: pace of those that were trained.
        epochs: number of those that are left.
        last: seconds of the last epoch with its judgement, as it was recorded.
    """
    if not epochs:
        return ""
    return f"  about {duration((epochs - 1) * spent.seconds / spent.epochs + last)} left"


def _validation(metrics: EpochMetrics) -> str:
    clean, robust = metrics.valid_clean, metrics.valid_robust
    if clean is None or robust is None:
        return ""
    return f"  clean {clean:.4f}  robust {robust:.4f}"


def _print_final(metrics: EpochMetrics, steps: int) -> None:
    """Print the evaluation after the last epoch, and what makes it doubtful.

    Args:
        metrics: metrics of the last epoch.
        steps: number of steps of the epochs' PGD.
    """
    assert metrics.final is not None, "the last epoch is evaluated"
    low, high = metrics.final.share.interval
    say(
        f"final_robust: {metrics.final.robust:.4f} of {metrics.final.count} validation images "
        f"(95 % interval {low:.4f} to {high:.4f})"
    )
    for flag in metrics.final.flags(steps):
        say(f"gradient masking? {flag}")


def told(again: Exported) -> dict[str, Any]:
    """Return what a training came to, as JSON holds it."""
    metrics, final = again.metrics, again.metrics.final
    assert final is not None, "the last epoch is evaluated"
    return {
        "final_robust": final.robust,
        "interval": final.share.interval,
        "judged": final.count,
        "robust": metrics.valid_robust,
        "clean": metrics.valid_clean,
        "doubts": list(final.flags(again.config.eval_steps)),
    }


def compare(recorded: Exported, again: Exported) -> bool:
    """Print every metric that differs; return False where none may differ.

    Args:
        recorded: the configuration as it was exported.
        again: the same, trained again with the same seed.
    """
    old, new = asdict(recorded.metrics), asdict(again.metrics)
    differ = [name for name in old if name != "seconds" and old[name] != new[name]]
    if not differ:
        say("every metric of the last epoch is exactly the recorded one")
        return True
    for name in differ:
        print(f"{name} was {old[name]!r} and is {new[name]!r}")
    reasons = [
        f"{name} was {recorded.versions.get(name)} and is {value}"
        for name, value in again.versions.items()
        if name in ("python", "torch", "numpy", CODE) and recorded.versions.get(name) != value
    ]
    reasons += [f"machine or versions changed at epoch {epoch}" for epoch in recorded.changed_at]
    if recorded.machine != again.machine:
        reasons.append(f"the machine was {recorded.machine} and is {again.machine}")
    elif again.machine["device"] != "cpu":
        reasons.append("a GPU sums in another order each time")
    if reasons:
        say(f"the numbers may differ, since {'; '.join(reasons)}")
        return True
    print("train: the same machine and versions gave other numbers", file=sys.stderr)
    return False
