"""Adversarial training with mutual and generalization regularisation, and its judgement.

Knows torch and nothing of searches: `TrainConfig` says what to run, `RegMixTrainer` yields the
metrics of each epoch, `evaluate` judges. Source of the method: Liu and Ojha, arXiv 2510.05317.
"""
