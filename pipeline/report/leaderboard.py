"""The end of a search in words and one table."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pipeline.report.live import cells, duration, short
from pipeline.study.remarks import broken, latest, notes
from regmix.evaluation.results import Proportion

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_ORDER = {"COMPLETE": 0, "RUNNING": 1, "WAITING": 1, "PRUNED": 2, "FAIL": 3}
_SHOWN = 40


def ranked(study: "Study") -> list["FrozenTrial"]:
    """Return all trials: complete ones by their value, then the others by epoch and value."""

    def key(trial: "FrozenTrial") -> tuple[float, ...]:
        last = trial.last_step or 0
        value = trial.intermediate_values[last] if last else -1.0
        if trial.state.name == "COMPLETE":
            value = trial.value or 0.0
        return (_ORDER[trial.state.name], bool(broken(trial)), -last, -value, trial.number)

    return sorted(study.get_trials(deepcopy=False), key=key)


def candidates(study: "Study") -> list["FrozenTrial"]:
    """Return the complete trials that hold every constraint, the best first."""
    return [t for t in ranked(study) if t.state.name == "COMPLETE" and not broken(t)]


def table(study: "Study", names: tuple[str, ...]) -> Table:
    """Return a row for every trial, the best first; after 40 the rest is left out."""
    board = Table(box=None, pad_edge=False, caption=_caption(study), caption_justify="left")
    board.add_column("rank", justify="right")
    for name in ("trial", "epoch", "final", "robust", "clean", *names):
        board.add_column(name, justify="right", no_wrap=True)
    board.add_column("state", no_wrap=True)
    board.add_column("why", overflow="fold")
    count = len(candidates(study))
    begun = [trial for trial in ranked(study) if "config" in trial.user_attrs]
    for rank, trial in enumerate(begun[:_SHOWN], start=1):
        place = str(rank) if rank <= count else "-"
        judged = f"{trial.value:.3f}" if trial.state.name == "COMPLETE" else "-"
        number, epoch, *rest = cells(trial, names)
        board.add_row(place, number, epoch, judged, *rest, trial.state.name, notes(trial))
    return board


def _caption(study: "Study") -> str | None:
    """Say of how many images the shares are, and how far chance alone may move them."""
    configs = [t.user_attrs["config"] for t in study.get_trials(deepcopy=False) if t.last_step]
    if not configs:
        return None
    count = int(configs[0]["valid_images"])
    low, high = Proportion(count // 2, count).interval  # the widest
    return f"shares of {count} validation images; 95 % intervals reach up to {(high - low) / 2:.3f}"


def tally(study: "Study") -> dict[str, int]:
    """Return how many trials are in each state, zeros too."""
    states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
    return {state: states.count(state) for state in _ORDER}


def counts(study: "Study") -> dict[str, int]:
    """Return how many trials are in those states that occur."""
    return {state: count for state, count in tally(study).items() if count}


def saved(study: "Study") -> tuple[int, int]:
    """Return how many epochs pruning left out, and how many all ended trials would have had."""
    left = full = 0
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name in ("COMPLETE", "PRUNED"):
            epochs = trial.user_attrs["config"]["epochs"]
            full += epochs
            left += epochs - (trial.last_step or 0)
    return left, full


def best_in_words(study: "Study", names: tuple[str, ...]) -> str:
    """Return the best configuration with its interval, beside the recipe's default."""
    complete = candidates(study)
    if not complete:
        if "COMPLETE" in counts(study):
            return "every trial that ran to its end breaks a constraint, see `why` above"
        return "no trial ran to its end, so there is no best configuration"
    best = complete[0]
    assert best.value is not None
    judged = latest(best).final
    assert judged is not None, "a complete trial is judged"
    low, high = judged.share.interval
    text = (
        f"best: trial {best.number} with {_in_words(best, names)}\n"
        f"  robust accuracy {best.value:.3f} under APGD on {judged.count} validation images "
        f"(95 % interval {low:.3f} to {high:.3f})\n"
        "  it was chosen on these images: expect less on test data"
    )
    default = next((t for t in complete if t.user_attrs.get("origin") == "default"), None)
    if default is None or default.value is None:
        return text
    if default.number == best.number:
        return f"{text}\n  this is the recipe's default: the search found nothing better"
    gain = best.value - default.value
    return (
        f"{text}\n  the recipe's default (trial 0) has {default.value:.3f}: a gain of {gain:+.3f}"
    )


def pruning_in_words(study: "Study") -> str:
    """Return what pruning saved and, by its probes, what it may have cost; '' where it did not."""
    left, full = saved(study)
    if not left:
        return ""
    text = f"pruning left out {left} of {full} epochs ({left / full:.0%})"
    complete = candidates(study)
    probes = [trial for trial in complete if "spared" in trial.user_attrs]
    if not probes:
        return f"{text}; no probe that it would have stopped ran to its end, so its cost is unknown"
    best = probes[0]
    rank = complete.index(best) + 1
    missed = "would have been lost" if rank == 1 else f"ended as number {rank} of {len(complete)}"
    return (
        f"{text}; of {len(probes)} that it would have stopped but for a probe, the best, trial "
        f"{best.number}, {missed} with {best.value:.3f}"
    )


def front_in_words(study: "Study", names: tuple[str, ...]) -> str:
    """Return the front of robust and clean accuracy, '' where the study seeks one value."""
    if study.user_attrs.get("rules", {}).get("objective", "robust") == "robust":
        return ""
    from pipeline.study.pareto import both, front

    rows = [
        f"  trial {trial.number}: robust {robust:.3f}, clean {clean:.3f} "
        f"with {_in_words(trial, names)}"
        for trial in front(candidates(study))
        for robust, clean in (both(trial),)
    ]
    return "\n".join(["front of robust and clean accuracy:", *rows])


def _in_words(trial: "FrozenTrial", names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {short(trial.params[name])}" for name in names)


def show(console: Console, study: "Study", names: tuple[str, ...], commands: list[str]) -> None:
    """Print the leaderboard, what was pruned and why, the best, and the next commands."""
    tally = ", ".join(f"{count} {state}" for state, count in counts(study).items())
    spent = duration(float(study.user_attrs.get("seconds", 0.0)))
    console.print(f"\n[bold]{study.study_name}[/]: {tally}; {spent} in all\n")
    console.print(table(study, names))
    total = len(study.get_trials(deepcopy=False))
    if total > _SHOWN:
        console.print(f"(and {total - _SHOWN} more: see MLflow)")
    for text in (
        pruning_in_words(study),
        best_in_words(study, names),
        front_in_words(study, names),
    ):
        if text:
            console.print(f"\n{text}")
    console.print()
    console.print("next:")
    for command in commands:
        console.print(f"  {command}", soft_wrap=True)
