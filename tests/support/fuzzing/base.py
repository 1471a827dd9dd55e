"""What is good and real, built once: an exported file, its evaluation, and a complete study."""

import importlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline import evaluate
from pipeline.base import cli
from pipeline.problem.problem import SearchProblem
from pipeline.trial_files import WEIGHTS
from pipeline.trial_files.disk import DiskFiles
from tests.support.controllers import controller_of, finish, study_at
from tests.support.fuzzing.files import RECIPE, text
from tests.support.trained import trained

LOADED = ("sqlalchemy.dialects.sqlite", "optuna.storages", "optuna.samplers", "cmaes", "PIL.Image")
"""What a case would load anew in its own process."""

STUDY = "s"  # the name that `study_at` gives


@dataclass(frozen=True)
class Base:
    """A folder with all of it.

    file: exported configuration, beside its weights and its evaluation on test data.
    runs: folder of a study of three complete trials.
    """

    file: Path
    runs: Path

    def copy(self, folder):
        """Copy the exported file and what lies beside it, and return where it is."""
        for path in self.file.parent.glob(f"{self.file.stem}.*"):
            shutil.copy(path, folder / path.name)
        return folder / self.file.name


def build(folder):
    """Train a network of a second, evaluate it, and run a study in which nothing is computed."""
    from pipeline.problem.exported import load_part

    for name in LOADED:
        importlib.import_module(name)

    (folder / "export").mkdir()
    file = folder / "export" / "mine.yaml"
    few = {"train_images": 200, "eval_epsilon": 0.25, "loss": "regmix", "data": "digits"}
    exported = trained(file, **few)
    status = cli.run("evaluate", lambda _: evaluate.main([str(file), "--images", "10"]))
    assert status == 0, "the good file is evaluated"
    recipe = folder / "task.yaml"
    recipe.write_text(text(RECIPE))
    problem = SearchProblem.load("wamr", str(recipe), {"epochs": 4})
    place = folder / "runs" / "studies" / STUDY
    place.mkdir(parents=True)
    record = study_at(place, problem)
    record.hold("data", load_part(problem.config({}), "train").identity())
    controller = controller_of(record, problem, 3)
    for robust in (0.4, 0.5, 0.6):
        finish(controller, controller.ask(), robust)
    content = exported.weights.read_bytes()
    for number in range(3):
        DiskFiles(place / "trials").write(number, WEIGHTS, lambda stream: stream.write(content))
    return Base(file, folder / "runs")
