"""Train a study's best configurations again with fresh seeds, and say which is best, how surely."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from pipeline.base import cli, paths
from pipeline.base.signals import INTERRUPTED
from pipeline.driver import session
from pipeline.driver.publish import searched, tracker
from pipeline.export import write
from pipeline.problem.exported import load_part, versions
from pipeline.report.leaderboard import candidates
from pipeline.report.live import console
from pipeline.report.race_table import table, verdict
from pipeline.study.budget import TimeBudget
from pipeline.study.storage import exclusive, find_study, open_storage, study_folder
from pipeline.tracking.uri import check_uri
from pipeline.trial_files.disk import Files, files_of
from regmix.config import TrainConfig
from regmix.errors import InputError
from regmix.images import Images
from regmix.ranges import Count, Positive, check

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from pipeline.race.controller import RaceController


def parser() -> cli.Parser:
    """Return the command line's options."""
    options = {
        "--top": "how many of the best are finalists, beside the default (default: 5)",
        "--seeds": "how many fresh seeds each is trained with (default: 3)",
        "--runs": "folder of studies (default: mlruns)",
        "--storage": "the study's database URL or journal, if not in --runs",
        "--tracking-uri": "MLflow's database or server (default: a SQLite file in --runs)",
        "--address": "an existing Ray cluster, or auto (default: start Ray on this machine)",
        "--concurrency": "trainings at once (default: what cores or GPU shares allow)",
        "--gpus-per-trial": "share of a GPU, such as 0.25 (default: 1 with a GPU, else 0)",
        "--data-dir": "where the images are, if not where the search found them",
        "--out": "folder for the confirmed configuration (default: exported)",
    }
    result = cli.Parser("confirm.py", __doc__)
    result.add_argument("--study", required=True, help="name of the study, such as wamr-digits")
    for option, meaning in options.items():
        result.add_argument(option, help=meaning)
    result.set_defaults(top=5, seeds=3, runs=paths.RUNS, out="exported")
    return result


@dataclass(frozen=True)
class Asked:
    """What was typed, checked."""

    study: str
    top: int
    seeds: int
    runs: Path
    out: Path
    storage: str | None
    uri: str
    how: session.Machine


def read(args: argparse.Namespace) -> Asked:
    """Check what was typed.

    Raises:
        InputError: for the first thing that is wrong.
    """
    number = {
        name: None if value is None else check("command line", f"--{name}", value, rule)
        for name, value, rule in (
            ("top", args.top, Count),
            ("seeds", args.seeds, Count),
            ("concurrency", args.concurrency, Count),
            ("gpus-per-trial", args.gpus_per_trial, Positive),
        )
    }
    runs = Path(args.runs).resolve()
    uri = args.tracking_uri or f"sqlite:///{runs / 'mlflow.db'}"
    find_study(args.study, args.storage, runs / "studies" / args.study)
    check_uri(uri)
    how = session.Machine(args.address, number["concurrency"], number["gpus-per-trial"])  # type: ignore[arg-type]
    out = paths.writable_folder(Path(args.out), "--out")
    top, seeds = int(number["top"] or 0), int(number["seeds"] or 0)
    return Asked(args.study, top, seeds, runs, out, args.storage, uri, how)


def main(argv: Sequence[str]) -> int:
    """Return 0 when the race is over, 1 when its first trials all fail, 130 when interrupted."""
    args = parser().parse_args(argv)
    asked = read(args)
    source = find_study(asked.study, asked.storage, asked.runs / "studies" / asked.study)
    finalists = _finalists(source, asked)
    configs = {t.number: _config(t, args.data_dir) for t in finalists}
    images = _images(next(iter(configs.values())), source)
    place = study_folder(asked.runs, f"{asked.study}-confirm")
    with exclusive(place, asked.storage):
        bridge = _bridge(asked, source, finalists, configs, place)
        bridge.recover()
        bridge.next_round()
        files = files_of(bridge.study, place)
        status = "FINISHED"
        if bridge.remaining():
            facts = bridge.question.facts()  # type: ignore[attr-defined]
            view = tracker(asked.uri, asked.runs, bridge.study.study_name, facts)
            status = session.execute(bridge, images, files, view, asked.how).status
        return _tell(asked, source, bridge, files, status)


def _finalists(source: "Study", asked: Asked) -> list["FrozenTrial"]:
    """Return the default, then the best; those that race already stay in."""
    complete = candidates(source)
    if not complete:
        raise InputError(f"--study {asked.study}: no candidate is complete yet; go on searching")
    default = [t for t in complete if t.user_attrs.get("origin") == "default"]
    return default + [t for t in complete[: asked.top] if t not in default]


def _config(trial: "FrozenTrial", data_dir: str | None) -> TrainConfig:
    flat = dict(trial.user_attrs["config"])
    if data_dir is not None and "data_dir" in flat:
        flat["data_dir"] = str(Path(data_dir).resolve())
    return TrainConfig.from_flat(flat)


def _images(config: TrainConfig, source: "Study") -> Images:
    images = load_part(config, "train")
    if images.fingerprint() != source.user_attrs["data"]["fingerprint"]:
        raise InputError(
            f"--study {source.study_name}: was searched on other images; give them by --data-dir"
        )
    return images


def _bridge(
    asked: Asked,
    source: "Study",
    finalists: list["FrozenTrial"],
    configs: dict[int, TrainConfig],
    place: Path,
) -> "RaceController":
    """Open or begin the race's own study."""
    import optuna

    from pipeline import pruners
    from pipeline.race.controller import RaceController, RaceProblem

    name, storage = place.name, open_storage(asked.storage, place)
    study = optuna.create_study(
        study_name=name, storage=storage, direction="maximize", load_if_exists=True
    )
    kept: dict[str, Any] = {"versions": versions()}
    kept |= {k: source.user_attrs[k] for k in ("data", "store") if k in source.user_attrs}
    for key, known in kept.items():
        if key not in study.user_attrs:
            study.set_user_attr(key, known)
    facts = source.user_attrs["question"]
    question = RaceProblem(name, str(facts["recipe"]), configs, searched(facts))
    if "question" not in study.user_attrs:
        study.set_user_attr("question", question.facts())
    base = configs[finalists[0].number].seed
    return RaceController(
        study,
        question,
        pruners.build("none", 1),
        "random",
        0,
        trials=len(configs) * asked.seeds,
        clock=TimeBudget(before=float(study.user_attrs.get("seconds", 0.0)), begun=session.BEGUN),
        kept=10**6,
        seeds=tuple(range(base + 1, base + 1 + asked.seeds)),
        reference=finalists[0].number,
        finalists=tuple(configs),
    )


def _tell(
    asked: Asked, source: "Study", bridge: "RaceController", files: Files, status: str
) -> int:
    """Print the table and the verdict, and write the winner."""
    from pipeline.race.controller import dropped, median_run, outcomes
    from pipeline.race.statistics import standings

    known = {k: v for k, v in outcomes(bridge.study).items() if k in bridge.finalists}
    gone, screen = dropped(bridge.study), console()
    if known:
        reference = bridge.reference if bridge.reference in known else next(iter(known))
        found = standings(known, reference)
        order = sorted(found, key=lambda k: (k in gone, -found[k].mean))
        screen.print(table(source, found, order, gone, reference))
    if status == "KILLED":
        print(f"interrupted; nothing is lost: the same command continues {bridge.study.study_name}")
        return INTERRUPTED
    if status == "FAILED" or not known:
        print("confirm: the first trials all failed, see MLflow", file=sys.stderr)
        return 1
    path = asked.out / f"{asked.study}-confirmed.yaml"
    run = median_run(bridge.study, order[0])
    write(bridge.study, run, {"finalist": order[0]}, files, path)
    print(f"\n{verdict(found, order[0], reference, asked.seeds)}")
    print(f"wrote {path}: seed {run.params['seed']}, the median of its seeds")
    print(f"next, once, on test data:\n  python pipeline/evaluate.py {path}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run("confirm", main))
