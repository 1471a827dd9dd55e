"""How a run is computed, where that leaves its meaning alone: the switches of the benchmark."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Engine:
    """Ways of computing that a user never has to choose; `benchmarks/engine.py` turns each off.

    bucket: number of images whose multiples an attack's survivors are padded to; 1 for none.
    folded: whether batch norm is folded into the convolutions of a network that is judged.
    channels_last: whether weights and images lie in memory with their channels last.
    flat: whether weights, gradients, velocity and average lie in one buffer each.
    look_every: number of training steps between two looks at whether they were finite; None is
        each step on a CPU, where that costs no wait, and 50 elsewhere.
    graphs: whether the training step is captured as a CUDA graph, where there is a card; off until
        it has been measured on one.
    """

    bucket: int = 32
    folded: bool = True
    channels_last: bool = True
    flat: bool = True
    look_every: int | None = None
    graphs: bool = False


ENGINE = Engine()
"""What every run computes with."""
