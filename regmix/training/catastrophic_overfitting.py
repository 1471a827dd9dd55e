"""Catastrophic overfitting: a model learns its own single-step attack and nothing else.

Names that begin with `co_` are about it.
"""

WARM_UP = 0.1
"""Share of the epochs after which the rule speaks; before, a healthy run may have a low ratio."""
RATIO = 0.25
"""Ratio of accuracy under PGD to accuracy under FGSM below which a model is overfitted."""
LEARNT, SOUND = 0.2, 0.05
"""Accuracy under FGSM, and earlier under PGD, from which on a low ratio means anything: a model
that has learnt next to nothing is right on a few images by chance."""


def co_ratio(fgsm: float, pgd: float) -> float:
    """Return accuracy under PGD over accuracy under FGSM; 1 where both are 0."""
    return pgd / fgsm if fgsm else 1.0


def co_detected(epoch: int, epochs: int, fgsm: float, pgd: float, best: float = 0.0) -> bool:
    """Return whether a model shows catastrophic overfitting in an epoch.

    The two accuracies are those of the present weights, not of their average, which follows
    only later. Limits from the public logs of FastAT_Benchmark (runs of 100 epochs at 8/255):
    overfitted runs have a ratio of 0.05 or less, nearly always in the very epoch, healthy ones
    0.45 or more after the first tenth; `benchmarks/collapse.py` counts on such logs. A model
    that has learnt its own attack alone is often right under FGSM, one that has forgotten all
    was once right under PGD; one of the two must hold.

    Args:
        epoch: number of the epoch, from 1.
        epochs: number of epochs of the whole run.
        fgsm, pgd: accuracies on held-out images after one full step, and after 10 small ones,
            in [0, 1].
        best: highest `pgd` of the epochs before.
    """
    meant = fgsm >= LEARNT or best >= SOUND
    return epoch > WARM_UP * epochs and meant and co_ratio(fgsm, pgd) < RATIO
