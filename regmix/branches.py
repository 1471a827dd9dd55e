"""Which outputs of the network a loss scores, besides the final one."""

from typing import NamedTuple


class Branches(NamedTuple):
    """True where gradient must flow through that output; what is unused is not computed."""

    initial: bool  # at the starting perturbation; without it the attack's graph is dropped
    clean: bool  # at the image itself; without it that forward pass is saved
