"""The file that an evaluation on test data is kept in, beside the configuration's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regmix import schema, yaml_file
from regmix.errors import InputError
from regmix.evaluation.results import Masking, Proportion
from regmix.exported.file import MACHINE
from regmix.ranges import Count, Natural, PositiveUnitInterval, Seed
from regmix.schema import Each, Rule

SCHEMA: dict[str, Rule] = {
    "data": str,
    "part": str,
    "weights": str,  # SHA-256 of what was evaluated
    "fingerprint": str,
    "epsilon": PositiveUnitInterval,
    "seed": Seed,
    "eval_steps": Count,
    "machine": MACHINE,
    "autoattack": bool,
    "rows": Each({"hits": Natural, "count": Count}),
    "masking": schema.of_dataclass(Masking),
}
"""Every key of the file, and what it must hold."""

_REMEDY = "restore it, or evaluate anew by --again"


def read(path: Path) -> dict[str, Any]:
    """Read and check what an evaluation was kept in.

    Raises:
        InputError: where it is damaged.
    """
    content: dict[str, Any] = schema.read(str(path), yaml_file.read(path), SCHEMA, _REMEDY)
    if not content["rows"]:
        raise InputError(f"{path}: rows must name at least one attack; {_REMEDY}")
    for name, row in content["rows"].items():
        if row["hits"] > row["count"]:
            raise InputError(f"{path}: rows: {name}: hits must be at most count; {_REMEDY}")
    return content


def shares(kept: Mapping[str, Any]) -> dict[str, Proportion]:
    """Return attack -> share of the images that are correct under it, of what `read` returned."""
    return {name: Proportion(row["hits"], row["count"]) for name, row in kept["rows"].items()}


def unlike(kept: Mapping[str, Any], count: int | None, *, with_autoattack: bool) -> str:
    """Return in words where a kept evaluation is another one than was asked for, '' for nowhere.

    Args:
        kept: what `read` returned.
        count: number of test images that was asked for; None for any.
        with_autoattack: whether AutoAttack was asked for.
    """
    known = max(row["count"] for row in kept["rows"].values())
    found = [f"on {known} images instead of {count}"] if count not in (None, known) else []
    if with_autoattack and not kept["autoattack"]:
        found.append("without AutoAttack")
    return f", but {' and '.join(found)}" if found else ""
