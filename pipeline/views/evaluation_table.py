"""An evaluation as a table, with what makes it doubtful."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.problem.judgement import shares
from pipeline.views.layout import Column, Table, lines, page_width
from regmix.evaluation.results import FEW, Masking

_FIGURES = 44  # columns of the figures beside the name of an attack


def show(path: Path, evaluation: Mapping[str, Any]) -> None:
    """Print a row for each attack, and the signs of gradient masking, at the width of the page.

    Args:
        path: file of the configuration, for the title.
        evaluation: what `pipeline.driver.evaluation` returned, or what was kept of it.
    """
    print("\n".join(page(path, evaluation, page_width())))


def page(path: Path, evaluation: Mapping[str, Any], width: int) -> list[str]:
    """Return the lines of `show`.

    Args:
        path, evaluation: as of `show`.
        width: columns that a line may have.
    """
    return [*lines(verdict(path, evaluation), width), "", *_table(evaluation, width).lines(width)]


def verdict(path: Path, evaluation: Mapping[str, Any]) -> str:
    """Say what survives all attacks, of how many images, and what makes that doubtful.

    Args:
        path, evaluation: as of `show`.
    """
    rows, signs, count = shares(evaluation), doubts(evaluation), _count(evaluation)
    strongest = rows[next(reversed(rows))]  # what survives all before it too
    low, high = strongest.interval
    few = f", for which {count} images are few" if count < FEW else ""
    masked = [f"  gradient masking? {sign}" for sign in signs]
    data = f"{evaluation['data']}, {evaluation['part']}"
    said = [
        f"{path.stem} on {data}, epsilon {float(evaluation['epsilon']):.4g}: robust accuracy "
        f"{strongest.value:.4f} (95 % interval {low:.4f} to {high:.4f}), clean "
        f"{rows['clean'].value:.4f}",
        *(masked or [f"  no sign of gradient masking{few}"]),
    ]
    return "\n".join(said)


def content(
    path: Path, evaluation: Mapping[str, Any], kept: Path | None = None, *, before: bool = False
) -> dict[str, Any]:
    """Return an evaluation as JSON holds it.

    Args:
        path, evaluation: as of `show`.
        kept: the file that it is kept in; None where it is not.
        before: whether it was kept by an earlier command.
    """
    rows = [
        {
            "attack": name,
            "accuracy": share.value,
            "interval": share.interval,
            "hits": share.hits,
            "count": share.count,
        }
        for name, share in shares(evaluation).items()
    ]
    facts = ("data", "part", "epsilon", "seed", "autoattack", "weights", "fingerprint", "machine")
    return {
        "file": str(path),
        "kept": None if kept is None else str(kept),
        "evaluated_before": before,
        **{name: evaluation[name] for name in facts},
        "rows": rows,
        "doubts": doubts(evaluation),
    }


def doubts(evaluation: Mapping[str, Any]) -> list[str]:
    """Return the signs of gradient masking in words."""
    masking = Masking(**evaluation["masking"])
    return list(masking.flags(_count(evaluation), evaluation["eval_steps"]))


def _count(evaluation: Mapping[str, Any]) -> int:
    return max(share.count for share in shares(evaluation).values())


def _table(evaluation: Mapping[str, Any], width: int) -> Table:
    """Return a row for each attack; a long name takes several."""
    cells = list[tuple[str, str, str, str]]()
    for name, share in shares(evaluation).items():
        low, high = share.interval
        first, *rest = lines(name, max(20, width - _FIGURES))
        figures = f"{share.value:.4f}", f"{low:.4f} to {high:.4f}"
        cells.append((first, *figures, f"{share.hits} of {share.count}"))
        cells += [(more, "", "", "") for more in rest]
    names = ("attack", "accuracy", "95 % interval", "images")
    columns = zip(names, zip(*cells, strict=True), strict=True)
    return Table([Column(name, column, right=name != "attack") for name, column in columns])
