"""Does a configuration fit its images? Bounds that depend on classes and size are checked here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from regmix.config import TrainConfig
from regmix.divisors import divisors
from regmix.errors import InputError

if TYPE_CHECKING:  # numpy is loaded with the images, not before
    from regmix.images import Images

_CROPPED = 8  # pixels; `augment.crop_flip` pads by an eighth of the size


def normalized_remarks(config: TrainConfig, images: "Images") -> tuple[str, ...]:
    """Return a sentence for each channel that normalisation divides by more than its deviation.

    Args:
        config: configuration of a run.
        images: training part of its data set.
    """
    if config.normalization != "data":
        return ()
    found = images.deviations()
    return tuple(
        f"channel {number} of {len(found)} varies by {own:.4f}, less than epsilon, and is divided "
        f"by {divisor:.4f}"
        for number, (own, divisor) in enumerate(
            zip(found, divisors(found, config.eval_epsilon), strict=True), start=1
        )
        if own < divisor
    )


def check_fit(
    config: TrainConfig, images: "Images", places: Mapping[str, str] | None = None
) -> None:
    """Prove that a configuration means something with these images.

    Args:
        config: configuration of a run.
        images: training part of its data set.
        places: place that each of its values was written in, for messages.

    Raises:
        InputError: for the first value that does not fit.
    """
    places, classes = places or {}, len(images.classes)
    if config.true_class_mass <= 1 / classes:
        raise InputError(
            f"{places.get('true_class_mass', 'configuration')}: true_class_mass must be above 1/"
            f"{classes} = {1 / classes:.4g} with {classes} classes, but is "
            f"{config.true_class_mass:g}, so that no label counts more than others; raise it"
        )
    height, width = images.images.shape[2:]
    if config.augment == "crop_flip" and min(height, width) < _CROPPED:
        raise InputError(
            f"{places.get('augment', 'configuration')}: augment crop_flip must have images of at "
            f"least {_CROPPED}x{_CROPPED} pixels, which it pads by an eighth, but they are "
            f"{width}x{height}; choose none"
        )
