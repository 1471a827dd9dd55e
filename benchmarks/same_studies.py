"""Run a fixed list of searches that are the same each time, and print what they found.

    python benchmarks/same_studies.py > before.json       here, or with --checkout in another one
    python benchmarks/same_studies.py --against before.json

A change that is to alter no behaviour leaves every trial as it was, to the bit on one machine:
state, parameters, each epoch's value, the value at the end, and constraints. Three spaces, two
pruners, one search whose driver is killed in the middle; about two minutes on two cores.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("epochs=5", "train_images=320", "valid_images=100", "width=8")
SEARCHES: dict[str, tuple[str, ...]] = {
    "wamr halving": ("--space", "wamr"),
    "wamr halving, driver killed": ("--space", "wamr"),
    "wamr hyperband": ("--space", "wamr", "--pruner", "collapse+hyperband"),
    "agr halving": ("--space", "agr", "--min-clean", "0.8"),
    "agr hyperband": ("--space", "agr", "--pruner", "hyperband", "--sampler", "qmc"),
    "regmix halving": ("--space", "regmix", "--sampler", "tpe"),
    "regmix front": ("--space", "regmix", "--objective", "robust,clean"),
}


def search(checkout: Path, runs: Path, options: tuple[str, ...], *, kill: bool) -> None:
    """Run one search to its end; with `kill` its driver dies once after the first ended trial."""
    python = checkout / ".venv" / "bin" / "python"
    command = [str(python), str(checkout / "pipeline" / "search.py"), "--recipe", "digits"]
    command += ["--runs", str(runs), "--study", "same", "--trials", "10", "--deterministic", "3"]
    command += ["--no-confirm"]
    command += [*options, "--set", *SMALL]
    if kill:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=checkout) as process:
            assert process.stdout is not None
            next(line for line in process.stdout if line.startswith("trial"))
            process.send_signal(signal.SIGKILL)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=checkout)


def table(journal: Path) -> list[dict[str, Any]]:
    """Return what Optuna's own journal says of each trial, in the order of their numbers."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    study = optuna.load_study(study_name="same", storage=storage)
    return [
        {
            "number": trial.number,
            "state": trial.state.name,
            "params": trial.params,
            "epochs": {str(k): v for k, v in trial.intermediate_values.items()},
            "value": trial.value,
            "constraints": sorted(trial.constraints.values()),
        }
        for trial in study.get_trials(deepcopy=False)
    ]


def main() -> int:
    """Return 0, or 1 where a search found something else than the file says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkout", type=Path, default=ROOT, help="whose search.py is run")
    parser.add_argument("--against", type=Path, help="a file that this command printed before")
    args = parser.parse_args()
    found = {}
    for name, options in SEARCHES.items():
        with tempfile.TemporaryDirectory(prefix="same-studies-") as folder:
            search(args.checkout.resolve(), Path(folder), options, kill="killed" in name)
            found[name] = table(Path(folder) / "studies" / "same" / "journal.log")
    if args.against is None:
        print(json.dumps(found))
        return 0
    known = json.loads(args.against.read_text())
    for name, rows in found.items():
        same = sum(one == other for one, other in zip(rows, known[name], strict=False))
        print(f"{name}: {same} of {len(known[name])} trials are the same to the bit")
    return 0 if found == known else 1


if __name__ == "__main__":
    sys.exit(main())
