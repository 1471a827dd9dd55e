"""Adversarial training with mutual and generalization regularisation, and its evaluation.

Knows torch and nothing of searches. Source of the method: Liu and Ojha, arXiv 2510.05317.

    config       `TrainConfig`: one run, checked once
    training/    `RegMixTrainer` yields the metrics of each epoch; what it remembers in between
    evaluation/  how robust a model is, from an epoch's ensemble to AutoAttack
    losses/ attacks/ models/ data/   the variants, one a file; `interfaces` describes each kind
    registry     finds variants, here and in a user's `plugins`; `signature` checks their options
    ranges, errors                   what a value may be, and how a mistake is reported
    images, normalization, projection, device, atomic, torchvision_cpu
"""
