"""An evaluation as a table, with what makes it doubtful."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from pipeline.problem.judgement import shares
from pipeline.report.formatting import console
from regmix.evaluation.results import FEW, Masking


def show(path: Path, evaluation: Mapping[str, Any]) -> None:
    """Print a row for each attack, and the signs of gradient masking.

    Args:
        path: file of the configuration, for the title.
        evaluation: what `pipeline.driver.evaluation` returned, or what was kept of it.
    """
    rows = shares(evaluation)
    count = max(share.count for share in rows.values())
    epsilon = float(evaluation["epsilon"])
    signs = Masking(**evaluation["masking"]).flags(count, evaluation["eval_steps"])
    data = f"{evaluation['data']}'s {evaluation['part']}"
    table = Table(title=f"{path.stem} on {data}, epsilon {epsilon:.4g}", box=None)
    for column in ("attack", "accuracy", "95 % interval", "images"):
        table.add_column(column, justify="left" if column == "attack" else "right")
    for name, share in rows.items():
        low, high = share.interval
        interval = f"{low:.4f} to {high:.4f}"
        table.add_row(name, f"{share.value:.4f}", interval, f"{share.hits} of {share.count}")
    console().print(table)
    for flag in signs:
        print(f"gradient masking? {flag}")
    if not signs:
        few = f", for which {count} images are few" if count < FEW else ""
        print(f"no sign of gradient masking{few}")
