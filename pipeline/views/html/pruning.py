"""What pruning saved, and what it may have cost by the control trials that it would have ended."""

from collections.abc import Sequence

from pipeline.study.records import TrialRecord
from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import Material
from pipeline.views.html.parts import figure, section, table
from pipeline.views.html.svg import drawing, words

_WIDTH, _HEIGHT = 560, 62
_MOST = 8  # control trials in the table


def pruning(material: Material) -> Markup:
    """Return the section; '' where nothing was left out and no trial was a control trial."""
    left, full = material.summary.pruned
    control = [trial for trial in material.trials.values() if trial.would_prune]
    if not left and not control:
        return Markup()
    rows = {one.trial: one for one in material.summary.trials}
    cells = []
    for trial in sorted(control, key=lambda trial: rows[trial.number].rank or len(rows))[:_MOST]:
        row = rows[trial.number]
        value = "-" if row.final_robust is None else f"{row.final_robust:.3f}"
        rank = "-" if row.rank is None else f"{row.rank}"
        cells.append((f"trial {trial.number}", value, rank, trial.would_prune))
    heads = ("control trial", "robust", "rank", "it would have been stopped since")
    parts = [
        figure(
            _picture(left, full),
            f"All n = {full:,} epochs that the ended trials had if none were stopped.",
        )
    ]
    if cells:
        caption = "Control trials run on, whatever the pruner says, to show what it costs"
        if len(control) > _MOST:
            caption += f"; the best {_MOST} of {len(control)}"
        parts.append(table(heads, cells, caption, numbers=(1, 2)))
    return section(
        "pruning", "What pruning saved, and cost", *parts, lead=_words(material, control)
    )


def _words(material: Material, control: Sequence[TrialRecord]) -> str:
    left, full = material.summary.pruned
    said = (
        f"Pruning left out {left:,} of {full:,} epochs ({left / full:.0%})."
        if left
        else ("Pruning left out nothing.")
    )
    ranks = {one.trial: one.rank for one in material.summary.trials}
    ended = sorted((r, t.number) for t in control if (r := ranks[t.number]) is not None)
    if not control:
        return f"{said} No control trial shows what that cost: it would have stopped none."
    if not ended:
        return f"{said} No control trial that it would have stopped is a candidate."
    rank, number = ended[0]
    count = sum(one.rank is not None for one in material.summary.trials)
    cost = (
        "it would have cost the best" if rank == 1 else "the best of all would not have been lost"
    )
    return (
        f"{said} Of {len(control)} control trial{'s' * (len(control) > 1)} that it would have "
        f"stopped, the best, trial {number}, is number {rank} of {count} candidates: {cost}."
    )


def _picture(left: int, full: int) -> Markup:
    share = left / full if full else 0.0
    wide = _WIDTH - 2
    cut = round(1 + wide * (1 - share), 1)
    return drawing(
        _WIDTH,
        _HEIGHT,
        "Epochs that were trained, and left out",
        element("rect", x=1, y=4, width=cut - 1, height=22, class_="bar complete"),
        element("rect", x=cut, y=4, width=round(wide + 1 - cut, 1), height=22, class_="bar saved"),
        words(1, 44, f"trained: {full - left:,}", "number"),
        words(_WIDTH - 1, 44, f"left out: {left:,} ({share:.0%})", "number end"),
    )
