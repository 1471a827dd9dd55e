"""The end of a search: the verdict, the best trials as a table, and what became of the others."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from pipeline.study.judge_noise import SEED_ALONE
from pipeline.views.formatting import at_the_edge, duration, named
from pipeline.views.layout import Column, Table, lines, page_width, plus_minus
from pipeline.views.summary import OWN_DEFAULT, Summary, TrialSummary
from regmix.evaluation.results import Proportion
from regmix.ranges import Value

_SHOWN = 10  # rows of the table: more are a list, which MLflow and --json have
_NAMED = 8  # trials that are named of those that may be as good as the best
_REASONS = 5  # reasons that are told of failed trials
_FILE = 160  # columns of the whole leaderboard as a file
_ALL = "the report, MLflow's leaderboard.txt and --json have all of them"


def show(summary: Summary, commands: Sequence[str]) -> None:
    """Print the end of a search at the width of the page, then the commands that come next."""
    width = page_width()
    print("\n".join(("", *page(summary, width, plus_minus()))))
    if commands:
        print("\nnext:")
    for command in commands:
        print(f"  {command}")


def page(summary: Summary, width: int, sign: str = "±") -> list[str]:
    """Return the verdict, the best trials, and what became of the others.

    Args:
        summary: what the study says.
        width: columns that a line may have.
        sign: what stands before how far an interval reaches.
    """
    took = f" ({duration(summary.seconds)} in all)" if summary.seconds else ""
    found = lines(f"{summary.study}: {summary.headline}{took}", width)
    if summary.searched:
        found += lines(summary.question, width)
    found += ["", *lines(best_in_words(summary), width)]
    shown, whole = _chosen(summary), summary.counts["COMPLETE"]
    if shown:
        found += ["", *table(summary, shown, sign, states=not whole).lines(width)]
        found += _caption(summary, width, sign)
    told = (others_in_words, front_in_words, pruning_in_words, changes_in_words)
    for text in (tell(summary) for tell in told):
        if text:
            found += ["", *lines(text, width)]
    return found


def everything(summary: Summary) -> str:
    """Return the leaderboard as a file holds it: every trial that was begun, and the best."""
    board = table(summary, summary.trials, "±", states=True).lines(_FILE)
    words = lines(best_in_words(summary), _FILE)
    return "\n".join((*board, *_caption(summary, _FILE, "±"), "", *words, ""))


def _chosen(summary: Summary) -> list[TrialSummary]:
    """Return the rows of the table: the best, and the default wherever it stands.

    Where no trial is complete, those that came farthest stand for them.
    """
    known = [trial for trial in summary.trials if trial.state == "COMPLETE"]
    known = known or [trial for trial in summary.trials if trial.robust is not None]
    return known[:_SHOWN] + [trial for trial in known[_SHOWN:] if trial.is_default]


def table(
    summary: Summary, trials: Sequence[TrialSummary], sign: str, *, states: bool = False
) -> Table:
    """Return a row for each of some trials.

    Args:
        summary: what the study says.
        trials: the trials.
        sign: as of `page`.
        states: whether state and epoch are shown, which are the same for complete ones.
    """
    over = any(trial.over_default for trial in trials)
    columns = [
        _column("trial", trials, lambda one: str(one.trial)),
        *((_column("state", trials, lambda one: one.state, right=False),) if states else ()),
        *((_column("epoch", trials, _epoch),) if states else ()),
        _column("final_robust", trials, lambda one: _share(one.final_robust), short="final"),
        *((_column(_over(summary), trials, partial(_gain, sign)),) if over else ()),
        _column("robust", trials, lambda one: _share(one.robust), spare=1),
        _column("clean", trials, lambda one: _share(one.clean)),
    ]
    return Table(
        columns,
        {name: _values(trials, name) for name in summary.searched},
        [trial.remarks for trial in trials],
        elsewhere="the report or --json",
    )


def _column(
    name: str,
    trials: Sequence[TrialSummary],
    cell: Callable[[TrialSummary], str],
    *,
    short: str = "",
    spare: int = 0,
    right: bool = True,
) -> Column:
    return Column(name, [cell(trial) for trial in trials], short, spare, right)


def _values(trials: Sequence[TrialSummary], name: str) -> list[Value]:
    return [trial.params.get(name, "-") for trial in trials]


def _epoch(trial: TrialSummary) -> str:
    return f"{trial.epoch}/{trial.epochs}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _over(summary: Summary) -> str:
    """Return the name of the column of differences."""
    default = summary.default
    if default is None or summary.default_called == OWN_DEFAULT:
        return "over default"
    return f"over trial {default.trial}"


def _gain(sign: str, trial: TrialSummary) -> str:
    """Return a complete trial's difference to the default, and how far its interval reaches."""
    gain = trial.over_default
    if gain is None:
        return "-"
    return f"{gain.value:+.3f} {sign}{(gain.high - gain.low) / 2:.3f}"


def _caption(summary: Summary, width: int, sign: str) -> list[str]:
    """Say of how many images the shares are, and how far chance alone may move them."""
    count = summary.images
    if count is None:
        return []
    low, high = Proportion(count // 2, count).interval  # the widest
    text = (
        f"Shares of {count} validation images; 95 % intervals reach at most "
        f"{(high - low) / 2:.3f} to either side."
    )
    if any(trial.over_default for trial in summary.trials):
        seeds = f"{sign}{1.96 * math.sqrt(2) * SEED_ALONE:.3f}"
        text += (
            f" '{_over(summary)}': difference and 95 % interval on the same images, one seed "
            f"each; seeds add about {seeds}, as found on digits; a race tells."
        )
    return lines(text, width, 0)


def best_in_words(summary: Summary) -> str:
    """Return the best configuration with its interval, beside the recipe's default."""
    best = summary.best
    if best is None:
        if summary.counts["COMPLETE"]:
            return "Every complete trial violates a constraint, see the remarks below."
        return "No trial is complete, so there is no best configuration."
    assert best.interval is not None, "it is complete"
    low, high = best.interval
    found = [
        f"Best: trial {best.trial} with {named(best.params, summary.searched)}",
        f"  final_robust {best.final_robust:.3f} under APGD on {best.judged} validation images "
        f"(95 % interval {low:.3f} to {high:.3f})",
        *([_gain_in_words(summary, best)] if summary.default else []),
        *_selection_in_words(summary),
        *(f"  {edge}" for edge in (at_the_edge(best.params, best.at_bounds),) if edge),
        *(f"  Doubtful: {doubt}." for doubt in best.doubts),
    ]
    return "\n".join(found)


def _selection_in_words(summary: Summary) -> list[str]:
    """Return what the best is expected to be worth, and which others may be as good."""
    luck = summary.luck
    if luck is None or summary.alike is None:
        return ["  These images chose it: expect less on test data."]
    share = f"about {luck:.3f} of it is luck" if luck >= 0.0005 else "it stands apart"
    found = [f"  expected after selection {summary.expected:.3f} ({share})"]
    if summary.alike:
        shown = ", ".join(map(str, summary.alike[:_NAMED]))
        more = len(summary.alike) - _NAMED
        found.append(
            f"  indistinguishable from trial{'s' * (len(summary.alike) > 1)} {shown}"
            f"{f' and {more} more' * (more > 0)}: on the same images, with what seeds add, at 5 % "
            "over all comparisons"
        )
    return found


def _gain_in_words(summary: Summary, best: TrialSummary) -> str:
    """Return how far the best lies above the default, on the same images where they are known."""
    default, called = summary.default, summary.default_called
    assert default is not None and default.final_robust is not None
    assert best.final_robust is not None, "both are complete"
    if default.trial == best.trial:
        return f"  It is {called}: the search found nothing better."
    gain, reach = best.final_robust - default.final_robust, ""
    paired = best.over_default
    if paired is not None:
        gain = paired.value
        reach = (
            f" on the same images (95 % interval {paired.low:+.3f} to {paired.high:+.3f}, seeds "
            "not counted)"
        )
    return (
        f"  T{called[1:]}, trial {default.trial}, has {default.final_robust:.3f}: a gain of "
        f"{gain:+.3f}{reach}."
    )


def others_in_words(summary: Summary) -> str:
    """Return what became of the trials that are in no row; '' where all are."""
    found = [*_running(summary), *_failed(summary), *_stopped(summary)]
    left = summary.counts["COMPLETE"] - len(_chosen(summary))
    if left > 0:
        found.append(f"Complete, but ranked below: {left}")
    if left > 0 or summary.stopped:
        found.append(f"({len(summary.trials)} trials were begun; {_ALL})")
    return "\n".join(found)


def _running(summary: Summary) -> list[str]:
    going = [trial for trial in summary.trials if trial.state in ("RUNNING", "WAITING")]
    if not going:
        return []
    shown = [f"trial {trial.trial} (epoch {_epoch(trial)})" for trial in going[:_NAMED]]
    more = [f"{len(going) - _NAMED} more"] if len(going) > _NAMED else []
    verb = "Running" if summary.state == "running" else "Left to go on"
    return [f"{verb}: {', '.join(shown + more)}"]


def _failed(summary: Summary) -> list[str]:
    found = [
        f"Failed: {_numbers(numbers)}: {reason}"
        for reason, numbers in list(summary.failed.items())[:_REASONS]
    ]
    more = sum(map(len, list(summary.failed.values())[_REASONS:]))
    return found + ([f"Failed for other reasons: {more}"] if more else [])


def _stopped(summary: Summary) -> list[str]:
    return [
        f"Stopped {group.why}: {len(group.trials)} ({_from_to(*group.epochs)})"
        for group in summary.stopped
    ]


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_NAMED]))
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    return f"trial{'s' * (len(numbers) > 1)} {shown}{more}"


def _from_to(first: int, last: int) -> str:
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"


def pruning_in_words(summary: Summary) -> str:
    """Return what pruning saved, and what it may have cost by its control trials; '' for none."""
    left, full = summary.pruned
    if not left:
        return ""
    text = f"Pruning left out {left} of {full} epochs ({left / full:.0%})."
    complete = [trial for trial in summary.trials if trial.rank is not None]
    control = [trial for trial in complete if trial.would_prune]
    if not control:
        return f"{text}\nControl: the pruner would have stopped no control trial that is complete."
    best, trials = control[0], f"{len(control)} trial{'s' * (len(control) > 1)}"
    assert best.rank is not None, "it is a candidate"
    return (
        f"{text}\nControl: {trials} that the pruner would have stopped ran on; the best, trial "
        f"{best.trial}, ranked {_ordinal(best.rank)} of {len(complete)} "
        f"({best.final_robust:.3f})."
    )


def changes_in_words(summary: Summary) -> str:
    """Return in what machines and versions of the study's epochs differ; '' where they don't."""
    differ = [f"{name} ({', '.join(values)})" for name, values in summary.changes.items()]
    if not differ:
        return ""
    return (
        f"The trials were not all computed alike: {'; '.join(differ)}. A small difference between "
        "two of them may come from that."
    )


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"


def front_in_words(summary: Summary) -> str:
    """Return the front of robust and clean accuracy, '' where the study seeks one value."""
    if summary.objective == "robust":
        return ""
    rows = [
        f"  trial {trial.trial}: robust {trial.final_robust:.3f}, clean {trial.clean:.3f} with "
        f"{named(trial.params, summary.searched)}"
        for trial in map(summary.trial, summary.front)
    ]
    return "\n".join(["Front of robust and clean accuracy:", *rows])
