"""The figures of a network in the form of RobustBench's `model_info`, for whoever submits it."""

from collections.abc import Mapping
from typing import Any

from pipeline.problem.judgement import shares
from pipeline.views.formatting import radius
from regmix.evaluation.results import Proportion
from regmix.exported.file import Exported


def model_info(exported: Exported, kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what was measured; what was not is None, and what only an author can say is empty.

    Args:
        exported: the configuration with its result.
        kept: its evaluation on test images; None where there was none.
    """
    rows = shares(kept) if kept is not None else {}
    count = max((share.count for share in rows.values()), default=0)
    return {
        "link": "",
        "name": "",
        "authors": "",
        "additional_data": None,
        "number_forward_passes": 1,
        "dataset": exported.config.data.name,
        "venue": "",
        "architecture": exported.config.model.name,
        "eps": radius(exported.config.eval_epsilon),
        "clean_acc": _percent(rows.get("clean")),
        "reported": "",
        "autoattack_acc": _percent(rows.get("AutoAttack")),
        "unreliable": None,
        "footnote": f"On {count:,} test images." if count else "Not evaluated on test images.",
    }


def _percent(share: Proportion | None) -> str | None:
    return None if share is None else f"{100 * share.value:.2f}"
