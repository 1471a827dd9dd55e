"""What a study is about: a recipe (the task), a space, and the user's overrides."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.paths import ROOT
from pipeline.problem.space import Choice, Float, Range, SearchSpace
from regmix import yaml_file
from regmix.config import TASK, TrainConfig, components_of, options_of, own_options
from regmix.errors import InputError, shown, unknown
from regmix.fit import check_fit
from regmix.ranges import Count, Value, check
from regmix.registry import KINDS, names, options, unknown_variant

if TYPE_CHECKING:  # numpy is loaded with the images, not before
    from regmix.images import Images

SPACES = ROOT / "search_spaces"
RECIPES = SPACES / "recipes"


@dataclass(frozen=True)
class Recipe:
    """A task: data, model, length and evaluation, and starting values for each loss."""

    name: str
    trainings: int  # effort of a study, unless the command line says otherwise
    values: Mapping[str, object]
    losses: Mapping[str, Mapping[str, object]]  # loss -> its starting values, see `_check_loss`
    source: str  # the file it was read from

    @classmethod
    def from_yaml(cls, path: Path) -> "Recipe":
        """Read `trainings`, `losses` and flat configuration values.

        Raises:
            InputError: for what `yaml_file.read` refuses, or a malformed key.
        """
        values = yaml_file.read(path)
        losses, trainings = values.pop("losses", {}), values.pop("trainings", 24)
        if "trials" in values:
            raise InputError(
                f"{path}: trials is no key of a recipe any more, but is {shown(values['trials'])} "
                "here; write trainings, the effort of a study in full trainings"
            )
        if "loss" in values:
            raise InputError(
                f"{path}: loss is decided by the space, but is {shown(values['loss'])} here; leave "
                "it out, and write its options below losses"
            )
        if not isinstance(losses, dict) or not all(isinstance(v, dict) for v in losses.values()):
            raise InputError(
                f"{path}: losses must map each loss to its options; write losses: {{plain: {{}}}}"
            )
        for loss, own in losses.items():
            _check_loss(path, loss, own)
        count = check(str(path), "trainings", trainings, Count)
        return cls(path.stem, count, values, losses, str(path))


def _check_loss(path: Path, loss: str, own: Mapping[str, object]) -> None:
    """Prove a recipe's values for a loss, also for one that this search does not use.

    Beside the loss's own options these may be settings of the trainer that come with the loss,
    such as whether labels are smoothed; the task stays the same for all losses.
    """
    if loss not in names("loss"):
        raise unknown_variant(str(path), "loss", loss)
    settings = {name: option for name, option in own_options().items() if name not in TASK}
    known = {**settings, **options("loss", loss)}
    for name, value in own.items():
        if name not in known:
            raise unknown(f"{path}: losses: {loss}", "option", name, known)
        check(f"{path}: losses: {loss}", name, value, known[name].annotation)


@dataclass(frozen=True)
class SearchProblem:
    """Recipe and space together: from sampled parameters to the run that they mean."""

    recipe: Recipe
    space: SearchSpace
    overrides: Mapping[str, object]  # from --set and --data-dir; stronger than the recipe

    @classmethod
    def load(cls, space: str, recipe: str, overrides: Mapping[str, object]) -> "SearchProblem":
        """Read both files and prove that every value in the space's ranges would be accepted.

        Args:
            space, recipe: a name of `search_spaces/` or `search_spaces/recipes/`, or a path of a
                YAML file.
            overrides: flat configuration values that replace the recipe's.

        Raises:
            InputError: where any of it is wrong.
        """
        return cls(
            Recipe.from_yaml(_find("recipe", recipe, RECIPES)),
            SearchSpace.from_yaml(find_space(space)),
            overrides,
        )._proved()

    def _proved(self) -> "SearchProblem":
        """Return the same with each range in the type of its option, for every variant."""
        decided = {"loss", *self.space.ranges, *self.space.fixed}
        for name in sorted(self.overrides.keys() & decided):
            raise InputError(
                f"--set: {name} is decided by the space {shown(self.space.name)}; choose another "
                f"space, or copy {self.space.source} and change it there"
            )
        place, ranges = f"{self.space.source}: search", dict(self.space.ranges)
        searched = self._variants()
        flat, places = self._flat()
        places |= dict.fromkeys(ranges, place)
        for variants in searched:
            known = options_of(components_of({**flat, **variants}, places))
            for name in ranges.keys() - set(KINDS):
                if name not in known:
                    raise unknown(place, "parameter", name, known)
                ranges[name] = ranges[name].of(place, name, known[name].annotation)
        checked = replace(self, space=replace(self.space, ranges=ranges))
        for _ in checked._ends():
            pass
        return checked

    def _ends(self) -> Iterator[tuple[TrainConfig, Mapping[str, str]]]:
        """Return runs in which every end, choice and variant comes, and where each was written."""
        ranges = {name: range_.ends() for name, range_ in self.space.ranges.items()}
        flat, places = self._flat()
        places |= dict.fromkeys(ranges, f"{self.space.source}: search")
        for variants in self._variants():
            for place in range(max(map(len, ranges.values()))):
                some = {name: ends[min(place, len(ends) - 1)] for name, ends in ranges.items()}
                yield TrainConfig.from_flat({**flat, **some, **variants}, places), places

    def may_be(self, name: str, value: Value) -> bool:
        """Return whether a trial may have this value of a configuration's own field."""
        return any(getattr(config, name) == value for config, _ in self._ends())

    def check_fit(self, images: "Images") -> None:
        """Prove that the images can be split, and that every end of a range fits them.

        Args:
            images: training part of the data set.

        Raises:
            InputError: naming the value and where it was written.
        """
        self.config({}).split(images)
        check_fit(self.config({}), images, self._flat()[1])
        for config, places in self._ends():
            check_fit(config, images, places)

    def _variants(self) -> list[dict[str, Value]]:
        """Return every combination of the searched variants, such as two models."""
        searched: dict[str, Range] = {
            kind: self.space.ranges[kind] for kind in KINDS if kind in self.space.ranges
        }
        for kind, range_ in searched.items():
            if not isinstance(range_, Choice):
                raise InputError(
                    f"{self.space.source}: search: {kind} must be a choice, but its range is of "
                    "numbers; write {choice: [one, another]}"
                )
        values = (range_.ends() for range_ in searched.values())
        return [dict(zip(searched, one, strict=True)) for one in product(*values)]

    def _written(self) -> tuple[dict[str, object], dict[str, str]]:
        """Return the values that all trials share, and where each was written."""
        written: list[tuple[str, Mapping[str, object]]] = [
            (self.recipe.source, self.recipe.values),
            (f"{self.recipe.source}: losses", self.recipe.losses.get(self.space.loss, {})),
            (f"{self.space.source}: loss", {"loss": self.space.loss}),
            ("--set", self.overrides),
            (f"{self.space.source}: fixed", self.space.fixed),
        ]
        flat: dict[str, object] = {}
        places = dict.fromkeys(KINDS, self.recipe.source)
        for place, values in written:
            flat |= values
            places |= dict.fromkeys(values, place)
        return flat, places

    def _flat(self) -> tuple[dict[str, object], dict[str, str]]:
        """Return the same with variants of the space: it may search others than the recipe's."""
        flat, places = self._written()
        for kind in self.space.ranges.keys() & set(KINDS):
            flat[kind] = self.space.ranges[kind].nearest(_text(flat.get(kind)))
        return flat, places

    def config(self, params: Mapping[str, Value]) -> TrainConfig:
        """Return the run that these sampled parameters mean."""
        flat, places = self._flat()
        return TrainConfig.from_flat({**flat, **params}, places)

    def default(self) -> dict[str, Value]:
        """Return the recipe's own values of what is searched, or the nearest in the ranges."""
        own = self._own()
        return {name: range_.nearest(own[name]) for name, range_ in self.space.ranges.items()}

    def moved(self) -> dict[str, tuple[Value, Value]]:
        """Return the recipe's own value and the nearest, of each parameter where they differ."""
        own, nearest = self._own(), self.default()
        return {name: (own[name], nearest[name]) for name in own if own[name] != nearest[name]}

    def _own(self) -> dict[str, Value]:
        """Return the recipe's own values of what is searched."""
        typed, written = self.config({}).flat(), self._written()[0]
        return {
            name: _text(written.get(name)) if name in KINDS else typed[name]
            for name in self.space.ranges
        }

    def components(self) -> list[tuple[str, str]]:
        """Return kind and name of every component that some trial may use."""
        flat = self.config({}).flat()
        found = [(kind, str(flat[kind])) for kind in KINDS]
        for kind in self.space.ranges.keys() & set(KINDS):
            found += [(kind, str(name)) for name in self.space.ranges[kind].ends()]
        return found

    def builds(self) -> list[TrainConfig]:
        """Return configurations that show everything which runs of the study are built of.

        Each combination of searched components, then one after the other each further choice and
        both ends of each whole number, such as a batch size. Real numbers change no shape.
        """
        default, found = self.default(), list[dict[str, Value]]()
        for variants in self._variants():
            found.append({**default, **variants})
        for name, range_ in self.space.ranges.items():
            if not isinstance(range_, Float) and name not in KINDS:
                found += [{**default, name: end} for end in range_.ends()]
        return [self.config(params) for params in found]

    def identity(self) -> dict[str, Any]:
        """Return what may not change under a study's name, in flat names.

        Where the data lies may change; that it is the same data is held by its fingerprint.
        """
        shared = self.config({}).flat()
        kept = {k: v for k, v in shared.items() if k not in self.space.ranges and k != "data_dir"}
        return {"space": self.space.name, "recipe": self.recipe.name} | kept | self.space.identity()

    def with_seed(self, seed: int) -> "SearchProblem":
        """Return the problem with this seed for the trials, unless --set gave one."""
        return replace(self, overrides={"seed": seed, **self.overrides})


def find_space(name: str) -> Path:
    """Return the file of a space: a name of `search_spaces/`, or the path of a YAML file.

    Raises:
        InputError: where there is none of this name.
    """
    return _find("space", name, SPACES)


def _find(kind: str, name: str, folder: Path) -> Path:
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    known = [path.stem for path in folder.glob("*.yaml")]
    if name not in known:
        raise unknown("command line", kind, name, known)
    return folder / f"{name}.yaml"


def _text(name: object) -> str | None:
    """Return the name of a variant; None where none was written."""
    return name if isinstance(name, str) else None
