"""One training run, described completely: frozen, typed, flat names in and flat names out."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from regmix import registry
from regmix.errors import InputError, shown, unknown
from regmix.ranges import (
    Count,
    Decay,
    NonNegative,
    Positive,
    PositiveUnitInterval,
    Seed,
    Value,
    check,
)
from regmix.signature import Option

if TYPE_CHECKING:
    from regmix.images import Images, Split


@dataclass(frozen=True)
class Component:
    """A variant by its name, with all of its options."""

    name: str
    options: Mapping[str, Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One run. Frozen, so what was logged is what ran.

    Build it with `from_flat`, which checks every value; a `Component`'s options are named by its
    file in `regmix/`.
    """

    data: Component
    model: Component
    attack: Component
    loss: Component

    # The task: what is measured. A search space may not touch these.
    train_images: Count | None = None  # a stratified subset of the training images; None: all
    valid_images: Count = 1000  # held out of the training images; every trial is judged by them
    finalist_images: Count | None = None  # held out in all, for finalists; None: valid_images
    split_seed: Seed = 0
    eval_epsilon: PositiveUnitInterval = 8 / 255  # L-inf radius of evaluation, pixels in [0, 1]
    eval_steps: Count = 10  # of each PGD in the validation ensemble
    eval_step_schedule: Literal["falling", "constant"] = "falling"  # of their lengths
    eval_every: Count = 1  # epochs from one validation to the next; the last has one too
    eval_seed: Seed = 0  # of the attacks' random starts: the same for all trials
    judgement: Literal["trial", "finalist"] = "trial"  # level at the end, see `apgd_levels`
    judged_images: Count | None = None  # of those held out, at the end; None: those of the level
    epochs: Count = 30
    seed: Seed = 0  # weights, order, augmentation and starting perturbations

    # The method.
    epsilon_ratio: NonNegative = 1.0  # training epsilon / evaluation epsilon
    true_class_mass: PositiveUnitInterval = 1.0  # tau: the label's probability after smoothing
    initialization: Literal["history", "corner", "random", "zero"] = "history"
    start_box: Literal["free", "clipped"] = "free"  # of that start: may it leave [0, 1]?
    momentum_decay: Decay = 0.3  # mu, of the gradient memory
    momentum_rule: Literal["norm", "sign", "success"] = "norm"  # how it takes a new gradient
    reset_interval: Count = 10  # epochs between two resets of the memory
    align_history: bool = False  # the memory follows each image's crop and flip
    attack_mode: Literal["train", "eval"] = "train"  # of BN in the attack; eval costs a forward
    averaging_decay: Decay = 0.999  # of the weights that are evaluated; 0: the raw ones
    averaging_rule: Literal["growing", "constant", "pgk"] = "growing"  # of the decay over time
    averaging_threshold: PositiveUnitInterval = 0.82  # of pgk: correct(final) / correct(initial)

    # The optimiser.
    batch_size: Count = 128
    lr: Positive = 0.1
    momentum: Decay = 0.9
    weight_decay: NonNegative = 5e-4
    clip_norm: Positive | None = None  # of the gradient over all weights; None: not clipped
    schedule: Literal["multistep", "cosine", "linear", "trapezoid", "constant"] = "multistep"
    augment: Literal["none", "crop_flip"] = "none"
    normalization: Literal["none", "data"] = "none"  # inside the model; data: of its channels
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"  # of training's forward and backward passes

    @classmethod
    def from_flat(
        cls, flat: Mapping[str, object], places: Mapping[str, str] | None = None
    ) -> "TrainConfig":
        """Check a flat mapping of names to values and build the run that it describes.

        Args:
            flat: names of the variants (`data`, `model`, `attack`, `loss`), their options, and
                fields of this class; what is missing takes its default.
            places: place that each key was written in, for messages.

        Raises:
            InputError: for an unknown key, a wrong type or a value out of range.
        """
        places = places or {}
        at = {key: places.get(key, "configuration") for key in flat}
        components = components_of(flat, places)
        known = options_of(components)
        values = {}
        for key, value in flat.items():
            if key in registry.KINDS:
                continue
            if key not in known:
                raise unknown(at[key], "parameter", key, known)
            values[key] = check(at[key], key, value, known[key].annotation)
        arguments: dict[str, Any] = {k: values[k] for k in own_options() if k in values}
        for kind, name in components.items():
            options = registry.options(kind, name)
            taken = {key: values.get(key, option.default) for key, option in options.items()}
            arguments[kind] = Component(name, MappingProxyType(taken))
        config = cls(**arguments)
        config._check_images(at)
        return config

    def _check_images(self, places: Mapping[str, str]) -> None:
        """Prove that each number of held-out images contains the smaller ones.

        Args:
            places: key -> place that it was written in.
        """
        few, many = self.valid_images, self.held_out_images
        if many < few:
            raise InputError(
                f"{places['finalist_images']}: finalist_images must be at least valid_images = "
                f"{few}, which are among them, but is {many}; raise it, or lower valid_images"
            )
        if not few <= self.final_images <= many:
            raise InputError(
                f"{places['judged_images']}: judged_images must lie between valid_images = {few} "
                f"and finalist_images = {many}, but is {self.judged_images}; leave it out"
            )

    def flat(self) -> dict[str, Value]:
        """Return every name and value of the run; `from_flat` takes it back unchanged."""
        result: dict[str, Value] = {}
        for kind in registry.KINDS:
            component: Component = getattr(self, kind)
            result |= {kind: component.name, **component.options}
        return result | {key: getattr(self, key) for key in own_options()}

    def split(self, images: "Images") -> "Split":
        """Divide a data set's training part for training and validation, see `images.split`.

        Args:
            images: training part of the data set.

        Raises:
            InputError: where there are too few images.
        """
        from regmix.images import split  # a configuration is checked without loading numpy

        return split(
            images,
            valid=self.valid_images,
            train=self.train_images,
            seed=self.split_seed,
            held_out=self.held_out_images,
        )

    @property
    def held_out_images(self) -> int:
        """Number of images that no run of the task trains on."""
        return self.valid_images if self.finalist_images is None else self.finalist_images

    @property
    def final_images(self) -> int:
        """Number of images of the final evaluation, from `valid_images` to all held out."""
        if self.judged_images is not None:
            return self.judged_images
        return self.held_out_images if self.judgement == "finalist" else self.valid_images

    @property
    def train_epsilon(self) -> float:
        """L-inf radius of the training perturbations, pixels in [0, 1]."""
        return self.epsilon_ratio * self.eval_epsilon


def components_of(
    flat: Mapping[str, object], places: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return kind -> name of the variants that a flat mapping names.

    Args:
        flat: as `TrainConfig.from_flat` takes it.
        places: place that each key was written in, for messages.

    Raises:
        InputError: where one is not named, or unknown.
    """
    found = {}
    for kind in registry.KINDS:
        name, place = flat.get(kind), (places or {}).get(kind, "configuration")
        if not isinstance(name, str):
            raise InputError(
                f"{place}: {kind} must be named, but is {'not' if name is None else shown(name)}; "
                f"write {kind}: and one of {', '.join(registry.names(kind))}"
            )
        if name not in registry.names(kind):
            raise registry.unknown_variant(place, kind, name)
        found[kind] = name
    return found


def options_of(components: Mapping[str, str]) -> dict[str, Option]:
    """Return every option of a run with these variants, the trainer's own first.

    Args:
        components: kind -> name of each variant.

    Raises:
        InputError: where two of them have the same name.
    """
    known = own_options()
    for kind, name in components.items():
        options = registry.options(kind, name)
        for key in options.keys() & known.keys():
            raise InputError(
                f"{kind} {name}: its option {key} must have a name of its own, but the run "
                "has another of that name; rename it"
            )
        known |= options
    return known


def own_options() -> dict[str, Option]:
    """Return the options of the trainer itself, apart from those of its components."""
    return dict(_own_options())


@cache
def _own_options() -> Mapping[str, Option]:
    hints = get_type_hints(TrainConfig, include_extras=True)
    return {
        field.name: Option(hints[field.name], field.default)  # type: ignore[arg-type]
        for field in fields(TrainConfig)
        if field.name not in registry.KINDS
    }


TASK = frozenset(
    {"train_images", "valid_images", "finalist_images", "split_seed", "eval_epsilon", "eval_steps"}
) | frozenset(
    {"eval_seed", "eval_step_schedule", "eval_every", "epochs", "seed", "data", "judgement"}
    | {"judged_images"}
)
