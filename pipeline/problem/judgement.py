"""The file that an evaluation on test data is kept in, beside the configuration's own."""

from pathlib import Path
from typing import Any

from pipeline.problem import schema, yaml_file
from pipeline.problem.exported import MACHINE
from pipeline.problem.schema import Each, Rule
from regmix.errors import InputError
from regmix.evaluation.results import Masking
from regmix.ranges import Count, Natural, PositiveUnitInterval, Seed

SCHEMA: dict[str, Rule] = {
    "data": str,
    "part": str,
    "fingerprint": str,
    "epsilon": PositiveUnitInterval,
    "seed": Seed,
    "eval_steps": Count,
    "machine": MACHINE,
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
