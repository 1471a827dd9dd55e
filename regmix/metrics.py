"""What an epoch of training was like."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochMetrics:
    """Shares lie in [0, 1]; `valid_*` judge the averaged weights on the validation images."""

    epoch: int  # from 1
    train_loss: float  # mean over the epoch's images
    train_initial: float  # share right at the initial perturbations, in train mode
    train_final: float  # share right at the final perturbations, in train mode
    valid_clean: float
    valid_fgsm: float
    valid_pgd: float  # PGD on cross-entropy alone
    valid_robust: float  # the objective: survives every attack of the ensemble
    lr: float  # at the epoch's last step
    seconds: float  # of training and validation
