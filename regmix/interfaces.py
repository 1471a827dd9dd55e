"""What a loss, an attack, a model and a data set are: a function of these parameters.

Each file of `losses/`, `attacks/`, `models/` and `data/` holds one, under the file's own name.
Besides the parameters below it may have options: keyword-only, annotated by `regmix.ranges`,
each with a default. A protocol describes the function with its options settled.
"""

from typing import NamedTuple, Protocol

from torch import Tensor, nn

from regmix.images import Images, PartName


class LossInputs(NamedTuple):
    """Outputs that a loss uses besides the final one; what is unused is not computed."""

    initial: bool  # at the initial perturbation; without it the attack's graph is dropped
    clean: bool  # on the image itself; without it that forward pass is saved


class AttackResult(NamedTuple):
    """A final perturbation and what was seen on the way to it."""

    perturbation: Tensor  # (N, C, H, W) within the final radius and the pixel box, detached
    initial: Tensor  # (N, K) logits at the start, with graph where it was asked for
    gradient: Tensor  # (N, C, H, W) of the attack's loss at the start, detached


class PerturbationRadius(NamedTuple):
    """Radii of the L-inf balls that an attack works in, pixels in [0, 1]."""

    start: float  # in which a random start is drawn
    final: float  # which the final perturbation never leaves


class Loss(Protocol):
    """Scores the logits of a batch; lower is better.

    Its file also defines `inputs(**options) -> LossInputs`: the outputs that the loss uses at
    these options.
    """

    def __call__(
        self, final: Tensor, initial: Tensor, clean: Tensor | None, target: Tensor
    ) -> Tensor:
        """Return the loss () of a batch, its mean over the images.

        Args:
            final: (N, K) logits at the final perturbation, fp32 or wider.
            initial: (N, K) logits at the initial perturbation; they carry gradient where
                `inputs` says that they are used.
            clean: (N, K) logits on the images themselves; None where `inputs` says that they
                are unused.
            target: (N, K) class probabilities, the smoothed labels; each row sums to 1.
        """


class Attack(Protocol):
    """Moves the perturbations of a batch to where the model errs more.

    Its file also defines `radius(*, epsilon, **options) -> PerturbationRadius`. Where it has an
    option `step_ratio`, that is also the step of the perturbation memory over epsilon.
    """

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        start: Tensor,
        target: Tensor,
        *,
        epsilon: float,
        keep_graph: bool,
    ) -> AttackResult:
        """Return the final perturbations and what was seen at the initial ones.

        Args:
            model: network from pixels in [0, 1] to logits, in the mode that it is attacked in.
            images: (N, C, H, W), pixels in [0, 1].
            start: (N, C, H, W) initial perturbations, pixels in [0, 1].
            target: (N, K) class probabilities, the smoothed labels.
            epsilon: training radius of the L-inf ball, pixels in [0, 1].
            keep_graph: whether a loss trains through the initial logits, so that they must
                keep their graph.
        """


class Model(Protocol):
    """Builds a network."""

    def __call__(self, channels: int, classes: int) -> nn.Module:
        """Return a network from images (N, C, H, W), pixels in [0, 1], to logits (N, K).

        Args:
            channels: C, number of channels of an image.
            classes: K, number of logits.
        """


class Dataset(Protocol):
    """Reads images and labels."""

    def __call__(self, part: PartName) -> Images:
        """Return one part of a data set.

        Args:
            part: `train`, of which validation images are held out, or `test`.

        Raises:
            InputError: where the images can't be read.
        """
