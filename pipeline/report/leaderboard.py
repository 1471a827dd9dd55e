"""The end of a search in words and one table."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.race.selection import Selection, selection
from pipeline.report.formatting import duration, parameters, trial_cells
from pipeline.study.judge_noise import SEED_ALONE, difference
from pipeline.study.ranking import (
    accuracies,
    candidates,
    count_states,
    front,
    pruned_epochs,
    ranked,
)
from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.study.remarks import remarks
from regmix.evaluation.results import Proportion

_SHOWN = 40
_NAMED = 8  # trials that are named of those that may be as good as the best
_MATTERS = ("device", "threads", "python", "torch", "numpy", "code")


def show(console: Console, study: StudyRecord, commands: Sequence[str]) -> None:
    """Print the leaderboard, what was pruned and why, the best, and the next commands."""
    states = ", ".join(f"{count} {state}" for state, count in count_states(study).items() if count)
    ended = f": {states}; {duration(study.seconds)} in all\n"
    console.print(Text.assemble("\n", (study.name, "bold"), ended))
    console.print(table(study))
    more = sum(trial.begun for trial in study.trials()) - _SHOWN
    if more > 0:
        console.print(f"(and {more} more: see MLflow)")
    words = (pruning_in_words, best_in_words, front_in_words, changes_in_words)
    for text in (say(study) for say in words):
        if text:
            console.print(f"\n{text}")
    if commands:
        console.print("\nnext:")
    for command in commands:
        console.print(f"  {command}", soft_wrap=True)


def table(study: StudyRecord) -> Table:
    """Return a row for every trial, the best first; after 40 the rest is left out."""
    board = Table(box=None, pad_edge=False, caption=_caption(study), caption_justify="left")
    board.add_column("rank", justify="right")
    default = _default(study)
    over = (_column(default),) if default else ()
    for name in ("trial", "epoch", "final_robust", *over, "robust", "clean", *study.searched):
        board.add_column(name, justify="right", no_wrap=True)
    board.add_column("state", no_wrap=True)
    board.add_column("why", overflow="fold")
    count = len(candidates(study))
    begun = [trial for trial in ranked(study) if trial.begun]
    for rank, trial in enumerate(begun[:_SHOWN], start=1):
        place = str(rank) if rank <= count else "-"
        final = "-" if trial.final_robust is None else f"{trial.final_robust:.3f}"
        number, epoch, *rest = trial_cells(trial, study.searched)
        gain = (_over(trial, default),) if default else ()
        board.add_row(place, number, epoch, final, *gain, *rest, trial.state, remarks(trial))
    return board


def _default(study: StudyRecord) -> TrialRecord | None:
    """Return the default, if it is complete and it is known which images survive."""
    known = (trial for trial in study.trials() if trial.is_default and trial.state == "COMPLETE")
    return next((trial for trial in known if trial.final.survivors), None)


def _column(default: TrialRecord) -> str:
    """Return the name of the column of differences."""
    return f"over trial {default.number}" if default.moved else "over default"


def _over(trial: TrialRecord, default: TrialRecord) -> str:
    """Return a complete trial's difference to the default, and how far its interval reaches."""
    if trial.state != "COMPLETE" or trial.number == default.number:
        return "-"
    found = difference(trial, default)
    if found is None:
        return "-"
    low, high = found.interval
    return f"{found.value:+.3f} ±{(high - low) / 2:.3f}"


def _caption(study: StudyRecord) -> str | None:
    """Say of how many images the shares are, and how far chance alone may move them."""
    count = next((t.config["valid_images"] for t in study.trials() if t.last_epoch), None)
    if not isinstance(count, int):
        return None
    low, high = Proportion(count // 2, count).interval  # the widest
    half = f"{(high - low) / 2:.3f}"
    text = (
        f"shares of {count} validation images; 95 % intervals reach at most {half} to either side"
    )
    default = _default(study)
    if default is None:
        return text
    return (
        f"{text}\n{_column(default)}: difference and 95 % interval on the same images, one seed "
        f"each; seeds add about ±{1.96 * math.sqrt(2) * SEED_ALONE:.3f}, which a race tells"
    )


def best_in_words(study: StudyRecord) -> str:
    """Return the best configuration with its interval, beside the recipe's default."""
    complete = candidates(study)
    if not complete:
        if count_states(study)["COMPLETE"]:
            return "Every complete trial violates a constraint, see `why` above."
        return "No trial is complete, so there is no best configuration."
    best = complete[0]
    low, high = best.final.share.interval
    found = selection(study)
    lines = [
        f"Best: trial {best.number} with {parameters(best, study.searched)}",
        f"  final_robust {best.final.robust:.3f} under APGD on {best.final.count} validation "
        f"images (95 % interval {low:.3f} to {high:.3f})",
        *(_selection_in_words(found) if found else [_UNKNOWN]),
    ]
    default = next((trial for trial in complete if trial.is_default), None)
    if default is not None:
        lines.append(_gain_in_words(best, default))
    return "\n".join(lines)


_UNKNOWN = "  These images chose it: expect less on test data."


def _selection_in_words(found: Selection) -> list[str]:
    """Return what the best is expected to be worth, and which others may be as good."""
    share = f"about {found.luck:.3f} of it is luck" if found.luck >= 0.0005 else "it stands apart"
    lines = [f"  expected after selection {found.expected:.3f} ({share})"]
    if found.alike:
        shown = ", ".join(map(str, found.alike[:_NAMED]))
        more = len(found.alike) - _NAMED
        lines.append(
            f"  indistinguishable from trial{'s' * (len(found.alike) > 1)} {shown}"
            f"{f' and {more} more' * (more > 0)}: on the same images, with what seeds add, at 5 % "
            "over all comparisons"
        )
    return lines


def _gain_in_words(best: TrialRecord, default: TrialRecord) -> str:
    """Return how far the best lies above the default, on the same images where they are known."""
    if default.number == best.number:
        return f"  It is {default.default_in_words}: the search found nothing better."
    gain, reach = best.final.robust - default.final.robust, ""
    paired = difference(best, default)
    if paired is not None:
        low, high = paired.interval
        gain = paired.value
        reach = f" on the same images (95 % interval {low:+.3f} to {high:+.3f}, seeds not counted)"
    return (
        f"  T{default.default_in_words[1:]}, trial {default.number}, has "
        f"{default.final.robust:.3f}: a gain of {gain:+.3f}{reach}."
    )


def pruning_in_words(study: StudyRecord) -> str:
    """Return what pruning saved, and what it may have cost by its control trials; '' for none."""
    left, full = pruned_epochs(study)
    if not left:
        return ""
    text = f"Pruning left out {left} of {full} epochs ({left / full:.0%})."
    complete = candidates(study)
    control = [trial for trial in complete if trial.would_prune]
    if not control:
        return f"{text}\nControl: the pruner would have stopped no control trial that is complete."
    best, trials = control[0], f"{len(control)} trial{'s' * (len(control) > 1)}"
    rank = complete.index(best) + 1
    return (
        f"{text}\nControl: {trials} that the pruner would have stopped ran on; the best, trial "
        f"{best.number}, ranked {_ordinal(rank)} of {len(complete)} ({best.final.robust:.3f})."
    )


def changes_in_words(study: StudyRecord) -> str:
    """Return in what machines and versions of the study's epochs differ; '' where they don't."""
    places = [place for trial in study.trials() for place in trial.computed_on]
    facts = [{**place.machine, **place.versions} for place in places]
    found = {name: sorted({str(fact.get(name)) for fact in facts}) for name in _MATTERS}
    differ = [f"{name} ({', '.join(values)})" for name, values in found.items() if len(values) > 1]
    if not differ:
        return ""
    return (
        f"The trials were not all computed alike: {'; '.join(differ)}. A small difference between "
        "two of them may come from that."
    )


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"


def front_in_words(study: StudyRecord) -> str:
    """Return the front of robust and clean accuracy, '' where the study seeks one value."""
    if study.objective == "robust":
        return ""
    rows = [
        f"  trial {trial.number}: robust {robust:.3f}, clean {clean:.3f} "
        f"with {parameters(trial, study.searched)}"
        for trial in front(candidates(study))
        for robust, clean in (accuracies(trial),)
    ]
    return "\n".join(["Front of robust and clean accuracy:", *rows])
