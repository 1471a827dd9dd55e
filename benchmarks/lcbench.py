"""LCBench's learning curves from YAHPO Gym's surrogate: 7 hyperparameters, 52 epochs, 34 tasks.

Zimmer et al., TPAMI 2021 (the curves); Pfisterer et al., AutoML 2022 (the surrogate).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulated import Trained
from pipeline.problem.space import Float, Int, SearchSpace
from regmix.errors import InputError, unknown
from regmix.ranges import Value

EPOCHS = 52
RANDOM = 100_000  # configurations, of which a task's median and the first best are taken
INPUTS = (  # in the surrogate's order, after the epoch
    "batch_size",
    "learning_rate",
    "momentum",
    "weight_decay",
    "num_layers",
    "max_units",
    "max_dropout",
)
FILES = ("model.onnx", "config_space.json", "encoding.json")
LAST_FOR_TUNING = "167190"  # the tasks up to this one, as listed, may be looked at while tuning


@dataclass(frozen=True)
class Reference:
    """What a task's final accuracies are held against; shares in [0, 1]."""

    task: str
    best: float  # reachable: of RANDOM configurations, and by local search from the best of them
    median: float  # of RANDOM configurations


@dataclass(frozen=True)
class Surrogate:
    """The model for all tasks, and the space that they share."""

    session: Any  # onnxruntime.InferenceSession
    codes: Mapping[str, int]
    tasks: tuple[str, ...]
    space: SearchSpace

    @classmethod
    def load(cls, folder: Path | None) -> "Surrogate":
        """Read model, space and encoding.

        Raises:
            InputError: where the folder has not all of them, or onnxruntime is missing.
        """
        missing = [name for name in FILES if folder is None or not (folder / name).is_file()]
        if folder is None or missing:
            raise InputError(
                f"{folder or 'command line'}: must be the folder of LCBench's surrogate, but there "
                f"is no {missing[0]}; take lcbench/ of YAHPO Gym's data (Apache-2.0) from GitHub, "
                "slds-lmu/yahpo_data, and name it: make bench-search LCBENCH=FOLDER"
            )
        try:
            import onnxruntime
        except ImportError:
            raise InputError(
                "onnxruntime: is not installed, but the surrogate needs it; make bench-search "
                "installs it"
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            str(folder / FILES[0]), options, providers=["CPUExecutionProvider"]
        )
        content = json.loads((folder / FILES[1]).read_text())["hyperparameters"]
        rules = {rule["name"]: rule for rule in content}
        ranges = {name: _range(rules[name]) for name in INPUTS}
        space = SearchSpace("lcbench", "", {}, ranges, str(folder / FILES[1]))
        codes = json.loads((folder / FILES[2]).read_text())["OpenML_task_id"]
        return cls(session, codes, tuple(rules["OpenML_task_id"]["choices"]), space)

    def accuracy(self, task: str, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return validation accuracies in [0, 1] for (n, 8) rows: the epoch, then INPUTS."""
        code = np.full((len(inputs), 1), self.codes[task], np.int32)
        (outputs,) = self.session.run(None, {"x_cat": code, "x_cont": inputs})
        return np.asarray(outputs[:, 1] / 100)

    def reference(self, task: str) -> Reference:
        """Search a task far beyond any budget; a second and a half of local search of 60,000."""
        random = np.random.default_rng(0)
        cube = random.random((RANDOM, len(INPUTS)))
        found = self.final(task, cube)
        median, kept = float(np.median(found)), np.argsort(-found)[:20]
        elite, values = cube[kept], found[kept]
        for round_ in range(30):
            step = 0.2 * 0.85**round_
            near = np.repeat(elite, 100, axis=0)
            moved = random.random(near.shape) < 0.5  # half of the coordinates, on average
            near = np.clip(near + moved * random.normal(0, step, near.shape), 0, 1)
            elite = np.concatenate([elite, near])
            values = np.concatenate([values, self.final(task, near)])
            kept = np.argsort(-values)[:20]
            elite, values = elite[kept], values[kept]
        return Reference(task, float(values[0]), median)

    def final(self, task: str, cube: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return final accuracies for points of the unit cube."""
        columns = [np.full(len(cube), EPOCHS, float)]
        for share, range_ in zip(cube.T, self.space.ranges.values(), strict=True):
            assert isinstance(range_, Float | Int)
            half = 0.5 if isinstance(range_, Int) else 0.0
            low, high = range_.low - half, range_.high + half
            value = low * (high / low) ** share if range_.log else low + (high - low) * share
            whole = np.clip(np.round(value), range_.low, range_.high)
            columns.append(whole if isinstance(range_, Int) else value)
        return self.accuracy(task, np.stack(columns, axis=1).astype(np.float32))


@dataclass(frozen=True)
class LCBenchTask:
    """One task as the simulation sees it."""

    surrogate: Surrogate
    name: str
    noise: float = 0.0  # standard deviation of a look
    epochs: int = EPOCHS
    eval_every: int = 1
    trainings: int = 20

    @property
    def space(self) -> SearchSpace:
        """Return the space of all tasks."""
        return self.surrogate.space

    def trained(self, params: Mapping[str, Value]) -> Trained:
        """Return the training of a configuration, which has the same noise each time."""
        true = self._curve(params)
        seed = int.from_bytes(repr(sorted(params.items())).encode()[-64:], "big")
        noise = np.random.default_rng(seed).normal(0, self.noise, len(true))
        seen = np.clip(np.array(true) + noise, 0, 1).tolist()
        return Trained(seen, seen[-1], true[-1])

    def _curve(self, params: Mapping[str, Value]) -> list[float]:
        """Return the accuracy after each epoch, in one call of the surrogate."""
        inputs = np.empty((self.epochs, 1 + len(INPUTS)), np.float32)
        inputs[:, 0] = np.arange(1, self.epochs + 1)
        inputs[:, 1:] = [params[name] for name in INPUTS]
        return [float(value) for value in self.surrogate.accuracy(self.name, inputs)]


def choose(words: Sequence[str], tasks: Sequence[str]) -> list[str]:
    """Return the tasks named: `tuning`, `untouched`, or ids.

    Args:
        words: as typed.
        tasks: all that there are, as the surrogate lists them.

    Raises:
        InputError: for another word.
    """
    end = tasks.index(LAST_FOR_TUNING) + 1 if LAST_FOR_TUNING in tasks else len(tasks)
    groups = {"tuning": tasks[:end], "untouched": tasks[end:]}
    for word in words:
        if word not in groups and word not in tasks:
            raise unknown("--tasks", "task", word, [*groups, *tasks])
    return [task for word in words for task in groups.get(word, (word,))]


def references(surrogate: Surrogate, tasks: Sequence[str], place: Path) -> None:
    """Write the references that the file has not yet."""
    known = read_references(place)
    with place.open("a") as file:
        for task in tasks:
            if task not in known:
                file.write(json.dumps(asdict(surrogate.reference(task))) + "\n")
                file.flush()


def read_references(place: Path) -> dict[str, Reference]:
    """Return what a file has: task -> reference."""
    if not place.exists():
        return {}
    found = [Reference(**json.loads(line)) for line in place.read_text().splitlines()]
    return {reference.task: reference for reference in found}


def _range(rule: Mapping[str, Any]) -> Float | Int:
    kind = Int if rule["type"] == "uniform_int" else Float
    return kind(rule["lower"], rule["upper"], rule["log"])
