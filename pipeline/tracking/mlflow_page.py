"""What a person sees of a study in MLflow's page: columns and their order, charts, and words.

MLflow keeps a saved view in an experiment tag `mlflow.sharedViewState.KEY`. An address that ends in
`viewStateShareKey=KEY` opens it, and the page's menu "Views" lists it. This tag is not documented;
its format here is that of MLflow 3.17. Should another version no longer read it, the page says so
and shows its plain table: no number is lost, but columns, order and charts are chosen by hand.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pipeline.study.records import TrialRecord, searched_names
from pipeline.study.remarks import remarks, warnings

OBJECTIVE = "final_robust"  # only complete trials have it, so it ranks like with like
METRICS = (
    "valid_robust",
    "valid_clean",
    "train_loss",
    "valid_fgsm",
    "valid_pgd",
    "raw_fgsm",
    "raw_pgd",
    "co_ratio",
    "co_drop",
    "co_detected",
    "best_epoch",
    "best_robust",
    "train_initial",
    "train_final",
    "lr",
    "seconds",
)
_CURVES = 3  # so many of them are drawn in sight, the others in a folded section
_VIEW = "trials"
VIEW_TAG = f"mlflow.sharedViewState.{_VIEW}"
NOTE_TAG = "mlflow.note.content"  # what MLflow calls description
_WIDTHS = {
    "attributes.`Run Name`": 130,
    "runDateAndNestInfo": 140,  # the column "Created"
    "tags.`state`": 100,
    "tags.`epochs`": 75,
    f"metrics.`{OBJECTIVE}`": 115,
    "attributes.`Description`": 420,
}


def address(experiment: str, *, charts: bool = False) -> str:
    """Return what follows a server's address, for the table or the charts of a study's trials."""
    mode = "&compareRunsMode=CHART" if charts else ""
    view = f"workflowType=machine_learning&viewStateShareKey={_VIEW}"
    return f"#/experiments/{experiment}/runs?{view}{mode}"


def study_note(space: str, recipe: str, experiment: str, summary: str) -> str:
    """Return the description of a study's experiment; its first line is always in sight.

    Args:
        space, recipe: names of the problem's files.
        experiment, summary: MLflow's ids of the experiment and of its summary run.
    """
    files = f"#/experiments/{experiment}/runs/{summary}/artifacts"
    return (
        f"Space {space} on recipe {recipe}: [trials, the best first]({address(experiment)}), "
        f"[charts]({address(experiment, charts=True)}), [leaderboard and report]({files})\n\n"
        f"`{OBJECTIVE}` is the share of the validation images that survive, after the last epoch, "
        "every attack of `valid_robust` and then APGD. Pruned trials have none; MLflow calls them "
        "killed. `masking_*` are signs of gradient masking, `co_detected` means catastrophic "
        "overfitting."
    )


def trial_tags(trial: TrialRecord) -> dict[str, str]:
    """Return the tags that change while a trial runs; the last is shown as its description."""
    state, reason, note = trial.state, trial.reason, remarks(trial)
    if state == "WAITING":
        note = "interrupted; the same search command continues it"
    elif reason:
        note = f"{'failed' if state == 'FAIL' else state.lower()}: {note}"
    epochs = f"{trial.last_epoch}/{trial.total_epochs}"
    tags = {"state": state, "epochs": epochs, "reason": reason}
    return {**tags, "warnings": "; ".join(warnings(trial)), NOTE_TAG: note}


def trial_metrics(trial: TrialRecord, epochs: Iterable[int]) -> list[tuple[str, float, int]]:
    """Return name, value and step of all that is to be logged of these epochs."""
    result = [
        (name, float(value), epoch)
        for epoch in epochs
        for name in METRICS
        if (value := getattr(trial.epochs[epoch], name)) is not None
    ]
    if trial.state == "COMPLETE":
        once = {OBJECTIVE: trial.final.robust}
        for name, value in asdict(trial.final.masking).items():
            if value is not None:  # Square runs for finalists alone
                once[f"masking_{name}"] = float(value)
        # at a later step the page would draw a curve
        result += [(name, value, 0) for name, value in once.items()]
    return result


def study_tags(problem: Mapping[str, Any]) -> dict[str, str]:
    """Return the experiment tags that make the page show a study well.

    Args:
        problem: identity of the problem in flat names.
    """
    searched = searched_names(problem)
    view = {"name": "Trials, the best first", "createdAt": 0, "state": json.dumps(_state(searched))}
    return {VIEW_TAG: json.dumps(view)}


def _state(searched: tuple[str, ...]) -> dict[str, Any]:
    """Return all that the page would otherwise keep in the browser; it needs every field."""
    columns = [
        *("tags.`state`", "tags.`epochs`"),
        *(f"metrics.`{name}`" for name in (OBJECTIVE, "valid_robust", "valid_clean")),
        *(f"params.`{name}`" for name in searched),
        "attributes.`Description`",
    ]
    return {
        "searchFilter": "tags.trial != ''",  # all but the summary run
        "orderByKey": f"metrics.`{OBJECTIVE}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": columns,
        "columnOrder": ["attributes.`Run Name`", *columns],
        "columnWidths": _WIDTHS,
        "runsHiddenMode": "SHOW_ALL",
        **{name: {} for name in ("runsExpanded", "runsVisibilityMap", "groupsExpanded")},
        **{name: [] for name in ("runsPinned", "runsHidden")},
        **{name: False for name in ("viewMaximized", "runListHidden")},
        "groupBy": None,
        "useGroupedValuesInCharts": True,
        "autoRefreshEnabled": True,
        **_charts(searched),
    }


def _charts(searched: tuple[str, ...]) -> dict[str, Any]:
    parallel = {
        "selectedParams": list(searched),
        "selectedMetrics": [OBJECTIVE],
        "showAllRuns": True,
    }
    cards = [
        _card("parallel", "PARALLEL", "search", parallel),
        *(_curve(name, "search") for name in METRICS[:_CURVES]),
        _card("ranking", "BAR", "search", {"metricKey": OBJECTIVE}),
        *(_curve(name, "details") for name in METRICS[_CURVES:]),
    ]
    sections = [("search", "Search", True), ("details", "Model metrics", False)]
    return {
        "compareRunCharts": cards,
        "compareRunSections": [
            {"uuid": uuid, "name": name, "display": unfolded, "isReordered": True}
            for uuid, name, unfolded in sections
        ],
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
        "chartsSearchFilter": "",
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }


def _curve(metric: str, section: str) -> dict[str, Any]:
    axes = {"xAxisKey": "step", "xAxisScaleType": "linear", "yAxisKey": "metric", "range": {}}
    line = {"metricKey": metric, "selectedMetricKeys": [metric], "scaleType": "linear"}
    rest = {"lineSmoothness": 0, "selectedXAxisMetricKey": "", "yAxisExpressions": []}
    return _card(metric, "LINE", section, {**line, **axes, **rest})


def _card(uuid: str, kind: str, section: str, content: dict[str, Any]) -> dict[str, Any]:
    card = {"uuid": uuid, "type": kind, "metricSectionId": section, "runsCountToCompare": 100}
    return {**card, "deleted": False, "isGenerated": False, **content}
