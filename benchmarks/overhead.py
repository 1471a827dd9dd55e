"""How much of a search's time trains: ours, and Ray's documented way on the same trainer.

make bench                            ours alone
make bench ARGS=--peer                both, one after the other
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

RECIPE = ("--space", "wamr", "--recipe", "digits")


def ours(trials: int) -> tuple[float, float]:
    """Run the command as a user does; return its seconds and the share spent in epochs."""
    runs = tempfile.mkdtemp(prefix="overhead-")
    command = [sys.executable, str(ROOT / "pipeline" / "search.py"), *RECIPE, "--runs", runs]
    command += ["--trials", str(trials), "--no-confirm"]
    begun = time.monotonic()
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    spent = time.monotonic() - begun
    shutil.rmtree(runs)
    found = re.search(r"first epoch after (\d+) s.*; (\d+)% of", result.stdout)
    assert found is not None, result.stdout
    first, share = found.groups()
    print(f"ours: first epoch after {first} s")
    return spent, int(share) / 100


def peer(trials: int) -> tuple[float, float]:
    """Run OptunaSearch, ASHAScheduler and MLflowLoggerCallback as Ray's documentation shows."""
    runs = tempfile.mkdtemp(prefix="overhead-", dir="/tmp")  # Ray's sockets have short names
    begun = time.monotonic()
    result = subprocess.run(
        [sys.executable, str(Path(__file__)), "--peer-process", runs, "--trials", str(trials)],
        capture_output=True,
        text=True,
    )
    spent = time.monotonic() - begun
    if result.returncode:
        sys.exit(result.stderr)
    trained = sum(float(f.read_text()) for f in Path(runs).glob("seconds-*"))
    shutil.rmtree(runs)
    return spent, trained / (2 * spent)


def peer_process(runs: str, trials: int) -> None:
    """Search as Ray's documentation shows, with the same trainer, epochs and rungs."""
    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    def trial(params: dict) -> None:
        import torch

        from pipeline.problem.problem import SearchProblem
        from regmix.data.digits import digits
        from regmix.training.trainer import RegMixTrainer

        torch.set_num_threads(1)
        config = SearchProblem.load("wamr", "digits", {}).config(params)
        data = config.split(digits("train"))
        trained = 0.0
        for metrics in RegMixTrainer(config, data, torch.device("cpu")).epochs():
            trained += metrics.seconds
            name = f"seconds-{tune.get_context().get_trial_id()}"
            (Path(runs) / name).write_text(str(trained))
            tune.report({"valid_robust": metrics.valid_robust, "valid_clean": metrics.valid_clean})

    ray.init(
        address="local",  # never a cluster that is there already, or was
        num_cpus=2,
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
        _temp_dir=f"{runs}/r",
    )
    tune.Tuner(
        trial,
        param_space={
            "alpha": tune.loguniform(0.1, 20),
            "beta": tune.loguniform(0.02, 10),
            "epsilon_ratio": tune.uniform(0.5, 1.5),
        },
        tune_config=tune.TuneConfig(
            metric="valid_robust",
            mode="max",
            num_samples=trials,
            search_alg=OptunaSearch(),
            scheduler=ASHAScheduler(max_t=12, grace_period=3, reduction_factor=2),
        ),
        run_config=tune.RunConfig(
            storage_path=f"{runs}/ray",
            callbacks=[MLflowLoggerCallback(f"sqlite:///{runs}/mlflow.db", experiment_name="peer")],
        ),
    ).fit()


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--peer", action="store_true", help="also measure Ray's documented way")
    parser.add_argument("--peer-process", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer_process:
        peer_process(args.peer_process, args.trials)
        return
    print(f"{args.trials} trials of 12 epochs on digits, 2 at once")
    for name, way in {"ours": ours, **({"Ray's way": peer} if args.peer else {})}.items():
        spent, share = way(args.trials)
        print(f"{name}: {spent:.0f} s, {share:.0%} of the time of 2 trials at once in epochs")


if __name__ == "__main__":
    main()
