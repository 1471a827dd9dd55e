"""What a study is about: a recipe (the task), a space, and the user's overrides."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.paths import ROOT
from pipeline.problem import yaml_file
from pipeline.problem.space import SearchSpace
from regmix.config import TrainConfig
from regmix.errors import InputError, unknown
from regmix.fit import check_fit
from regmix.ranges import Value, check
from regmix.registry import KINDS, names

if TYPE_CHECKING:  # numpy is loaded with the images, not before
    from regmix.images import Images

SPACES = ROOT / "search_spaces"
RECIPES = SPACES / "recipes"


@dataclass(frozen=True)
class Recipe:
    """A task: data, model, length and evaluation, and good starting values for each loss."""

    name: str
    trials: int  # of a study, unless the command line says otherwise
    values: Mapping[str, object]
    losses: Mapping[str, Mapping[str, object]]  # loss -> starting values of its options
    source: str  # the file it was read from

    @classmethod
    def from_yaml(cls, path: Path) -> "Recipe":
        """Read `trials`, `losses` and flat configuration values.

        Raises:
            InputError: for what `yaml_file.read` refuses, or a malformed key.
        """
        values = yaml_file.read(path)
        losses, trials = values.pop("losses", {}), values.pop("trials", 24)
        if not isinstance(losses, dict) or not all(isinstance(v, dict) for v in losses.values()):
            raise InputError(
                f"{path}: losses must map each loss to its options; write losses: {{plain: {{}}}}"
            )
        for loss in losses:
            if loss not in names("loss"):
                raise unknown(str(path), "loss", str(loss), names("loss"))
        count = check(str(path), "trials", trials, int)
        return cls(path.stem, count, values, losses, str(path))


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
        problem = cls(
            Recipe.from_yaml(_find("recipe", recipe, RECIPES)),
            SearchSpace.from_yaml(_find("space", space, SPACES)),
            overrides,
        )
        problem._check()
        return problem

    def _check(self) -> None:
        decided = {"loss", *self.space.ranges, *self.space.fixed}
        for name in sorted(self.overrides.keys() & decided):
            raise InputError(
                f"--set: {name} is decided by the space {self.space.name!r}; choose another space, "
                f"or copy {self.space.source} and change it there"
            )
        flat, sources = self._flat()
        for name, value in self.space.fixed.items():
            flat[name], sources[name] = value, f"{self.space.source}: fixed"
        for _ in self._ends(flat, sources):
            pass

    def _ends(
        self, flat: Mapping[str, object], sources: Mapping[str, str]
    ) -> Iterator[tuple[TrainConfig, Mapping[str, str]]]:
        for name, range_ in self.space.ranges.items():
            places = {**sources, name: f"{self.space.source}: search"}
            for end in range_.ends():
                yield TrainConfig.from_flat({**flat, name: end}, places), places

    def check_fit(self, images: "Images") -> None:
        """Prove that the images can be split, and that every end of a range fits them.

        Args:
            images: training part of the data set.

        Raises:
            InputError: naming the value and where it was written.
        """
        flat, sources = self._flat()
        self.config({}).split(images)
        check_fit(self.config({}), images, sources)
        for config, places in self._ends(flat, sources):
            check_fit(config, images, places)

    def _flat(self) -> tuple[dict[str, object], dict[str, str]]:
        """Return the values that all trials share, and where each was written."""
        written: list[tuple[str, Mapping[str, object]]] = [
            (self.recipe.source, self.recipe.values),
            (f"{self.recipe.source}: losses", self.recipe.losses.get(self.space.loss, {})),
            (f"{self.space.source}: loss", {"loss": self.space.loss}),
            ("--set", self.overrides),
            (f"{self.space.source}: fixed", self.space.fixed),
        ]
        flat: dict[str, object] = {}
        sources: dict[str, str] = {}
        for source, values in written:
            flat |= values
            sources |= dict.fromkeys(values, source)
        return flat, sources

    def config(self, params: Mapping[str, Value]) -> TrainConfig:
        """Return the run that these sampled parameters mean."""
        flat, sources = self._flat()
        return TrainConfig.from_flat({**flat, **params}, sources)

    def default(self) -> dict[str, Value]:
        """Return the recipe's own values of what is searched, inside the ranges: trial 0."""
        flat = self.config({}).flat()
        return {name: range_.clip(flat[name]) for name, range_ in self.space.ranges.items()}

    def components(self) -> list[tuple[str, str]]:
        """Return kind and name of every component that some trial may use."""
        flat = self.config({}).flat()
        found = [(kind, str(flat[kind])) for kind in KINDS]
        for kind in self.space.ranges.keys() & set(KINDS):
            found += [(kind, str(name)) for name in self.space.ranges[kind].ends()]
        return found

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


def _find(kind: str, name: str, folder: Path) -> Path:
    if name.endswith((".yaml", ".yml")):
        return Path(name).resolve()
    known = [path.stem for path in folder.glob("*.yaml")]
    if name not in known:
        raise unknown("command line", kind, name, known)
    return folder / f"{name}.yaml"
