"""Write the best configurations of a study as files that train again to the same numbers."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from pipeline.base import cli, paths
from pipeline.problem.exported import Exported
from pipeline.report.leaderboard import candidates
from pipeline.study.remarks import latest
from pipeline.study.storage import find_study
from pipeline.trial_files.disk import BEST_WEIGHTS, WEIGHTS, Files, files_of
from regmix import atomic
from regmix.config import TrainConfig
from regmix.errors import InputError
from regmix.ranges import Count, check

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("export.py", __doc__)
    result.add_argument("--study", required=True, help="name of the study, such as wamr-digits")
    result.add_argument("--top", default=3, help="how many configurations (default: 3)")
    result.add_argument("--out", default="exported", help="folder to write to (default: exported)")
    result.add_argument("--runs", default=paths.RUNS, help="folder of studies (default: mlruns)")
    result.add_argument("--storage", help="the study's database URL or journal, if not in --runs")
    return result


def main(argv: Sequence[str]) -> int:
    """Return 0 when the files are written."""
    args = parser().parse_args(argv)
    top = int(check("command line", "--top", args.top, Count) or 0)
    place = Path(args.runs).resolve() / "studies" / args.study
    study = find_study(args.study, args.storage, place)
    complete = candidates(study)
    if not complete:
        raise InputError(f"--study {args.study}: no candidate is complete yet; continue the search")
    out = paths.writable_folder(Path(args.out), "--out")
    if len(complete) < top:
        print(f"only {len(complete)} trials of {args.study} are complete")
    for rank, trial in enumerate(complete[:top], start=1):
        path = out / f"{args.study}-{rank}.yaml"
        write(study, trial, {"rank": rank}, files_of(study, place), path)
        print(
            f"{path}: trial {trial.number}, robust accuracy {trial.value:.3f} on validation images"
        )
    print(f"next: python pipeline/train.py {out / f'{args.study}-1.yaml'}")
    return 0


def write(
    study: "Study", trial: "FrozenTrial", origin: dict[str, int], files: Files, path: Path
) -> None:
    """Write a complete trial's configuration to `path`, and its weights beside it.

    Args:
        study: of the trial.
        trial: to write.
        origin: what else to say of where it came from.
        files: of its trials.
        path: of the file.

    Raises:
        InputError: where the weights are gone.
    """
    weights = _copy(files, trial.number, WEIGHTS, path.with_suffix(".safetensors"))
    if weights is None:
        raise InputError(
            f"{files.place}: the weights of trial {trial.number} are gone, since only the best "
            "keep theirs; ask for fewer by --top"
        )
    best = _copy(files, trial.number, BEST_WEIGHTS, path.with_suffix(".best.safetensors"))
    facts = trial.user_attrs
    Exported(
        origin={"study": study.study_name, "trial": trial.number, **origin},
        config=TrainConfig.from_flat(facts["config"]),
        data_fingerprint=study.user_attrs["data"]["fingerprint"],
        metrics=latest(trial),
        machine=facts["machine"],
        versions=study.user_attrs["versions"],
        weights=weights,
        best_weights=best,
    ).write(path)


def _copy(files: Files, number: int, name: str, target: Path) -> Path | None:
    """Copy a file that may not exist; an old copy of what no longer exists goes."""
    content = files.read(number, name)
    if content is None:
        target.unlink(missing_ok=True)
        return None
    atomic.write(target, lambda file: file.write_bytes(content))
    return target


if __name__ == "__main__":
    sys.exit(cli.run("export", main))
