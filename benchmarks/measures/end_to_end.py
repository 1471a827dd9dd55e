"""Part `end to end`: RegMix trials of ResNet-18 in 30 epochs, bf16 against TF32 (fp32 on a CPU)."""

import time
from collections.abc import Iterator

from benchmarks.measures.images import NEEDED, Task, first, task
from benchmarks.measures.setting import Budget, Row, Setting, skipped
from regmix.evaluation.results import Proportion
from regmix.images import Split
from regmix.training.trainer import RegMixTrainer

SEEDS = (0, 1, 2)
CARD_PRECISIONS, CPU_PRECISIONS = ("bf16", "tf32"), ("bf16", "fp32")
_CARD_EPOCHS, _CPU_EPOCHS = 30, 3
_CPU_IMAGES = 200  # for validation


def measure(setting: Setting, budget: Budget) -> Iterator[Row]:
    """Yield a row for each seed and precision, and then one for each precision."""
    found = task(setting)
    if found is None:
        yield skipped("trials end to end", NEEDED)
        return
    epochs = _CARD_EPOCHS if setting.card else _CPU_EPOCHS
    precisions = CARD_PRECISIONS if setting.card else CPU_PRECISIONS
    rows: list[Row] = []
    longest = 0.0
    for seed in SEEDS:
        for precision in precisions:
            if budget.left < longest:
                yield skipped(f"seed {seed}, {precision}", "its time was up")
                continue
            begun = budget.left
            rows.append(trial(setting, found, precision, seed, epochs))
            yield rows[-1]
            longest = max(longest, begun - budget.left)
    for precision in precisions:
        yield from _together([row for row in rows if row["precision"] == precision])


def trial(setting: Setting, found: Task, precision: str, seed: int, epochs: int) -> Row:
    """Train and judge one configuration as a worker of a search does.

    Args:
        setting: device.
        found: images and recipe.
        precision: of the training.
        seed: of weights, order and noise.
        epochs: length of the run.
    """
    config = found.config("regmix", precision=precision, seed=seed, epochs=epochs)
    data = found.data
    if not setting.card:
        data = Split(data.train, first(data.valid, _CPU_IMAGES))
    begun = time.perf_counter()
    last = list(RegMixTrainer(config, data, setting.device).epochs())[-1]
    assert last.final is not None, "the last epoch is evaluated"
    low, high = last.final.share.interval
    return {
        "model": config.model.name,
        "precision": precision,
        "seed": seed,
        "epochs": epochs,
        "seconds": time.perf_counter() - begun,
        "clean": last.valid_clean,
        "robust": last.final.robust,
        "from": low,
        "to": high,
        "hits": last.final.hits,
        "images": last.final.count,
    }


def _together(rows: list[Row]) -> Iterator[Row]:
    """Yield what the seeds of one precision say together; nothing where there are none."""
    if rows:
        whole = Proportion(sum(r["hits"] for r in rows), sum(r["images"] for r in rows))
        low, high = whole.interval
        yield {
            "precision": rows[0]["precision"],
            "seeds": len(rows),
            "seconds each": sum(row["seconds"] for row in rows) / len(rows),
            "mean robust": whole.value,
            "from": low,
            "to": high,
        }
