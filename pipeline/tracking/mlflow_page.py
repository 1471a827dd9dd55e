"""What a person sees of a study in MLflow's page: columns and their order, charts, and words.

Each question has its place: the first line of the description says whether the search is done,
which trial is best and whether that is more than chance; the table who was stopped and why; the
charts what matters and what it costs in clean accuracy; the description how the best is got.

MLflow keeps a saved view in an experiment tag `mlflow.sharedViewState.KEY`. An address that ends in
`viewStateShareKey=KEY` opens it, and the page's menu "Views" lists it. This tag is not documented;
its format here is that of MLflow 3.17. Should another version no longer read it, the page says so
and shows its plain table: no number is lost, but columns, order and charts are chosen by hand.
"""

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.study.records import TrialRecord, searched_names
from pipeline.study.remarks import remarks, warnings
from pipeline.tracking.told import DIFFERENCES, RANK, Standing, Told

OBJECTIVE = "final_robust"  # only complete trials have it, so it ranks like with like
ROBUST, CLEAN = "valid_robust", "valid_clean"  # of the last epoch: all that a running trial has
INTERVAL = ("final_robust_low", "final_robust_high")  # at 95 %, of the images alone
LOG = "log10_"  # before the name of a parameter that is searched on a logarithmic scale
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
_LOGARITHMIC = re.compile(r"\blog=True\b")  # in the text of a range
_SCATTERED = 12  # parameters with a chart each: MLflow keeps 20,000 characters of a view
_CURVES = 3  # so many of them are drawn in sight, the others in a folded section
_VIEW = "trials"
VIEW_TAG = f"mlflow.sharedViewState.{_VIEW}"
NOTE_TAG = "mlflow.note.content"  # what MLflow calls description
REPORT, BOARD = "report.html", "leaderboard.txt"
_FILES = {REPORT: "report", BOARD: "leaderboard"}  # of the summary, and what their links are called
_LEGEND = (
    f"`{OBJECTIVE}` is the share of the validation images that survive, after the last epoch, "
    "every attack of `valid_robust` and then APGD; `_low` and `_high` are the ends of its interval "
    "at 95 %. Trials that were stopped have none; MLflow calls them killed, and the column "
    "Description says why. `over_default` is the difference to the default's, on the same images. "
    f"`{LOG}NAME` is the logarithm of a parameter that is searched on a logarithmic scale. "
    "`masking_*` are signs of gradient masking, `co_detected` means catastrophic overfitting."
)
_WIDTHS = {
    "attributes.`Run Name`": 110,
    "runDateAndNestInfo": 130,  # the column "Created"
    f"tags.`{RANK}`": 60,
    "tags.`state`": 100,
    "tags.`epochs`": 75,
    **{f"metrics.`{name}`": 115 for name in (OBJECTIVE, DIFFERENCES[0], CLEAN)},
    **{f"metrics.`{name}`": 140 for name in (*INTERVAL, DIFFERENCES[1])},
    "attributes.`Description`": 420,
}


LIST = "#/experiments"
"""What follows a server's address, for the list of studies."""


def address(experiment: str, *, charts: bool = False) -> str:
    """Return what follows a server's address, for the table or the charts of a study's trials."""
    mode = "&compareRunsMode=CHART" if charts else ""
    view = f"workflowType=machine_learning&viewStateShareKey={_VIEW}"
    return f"{LIST}/{experiment}/runs?{view}{mode}"


def artifact(experiment: str, run: str, file: str = "") -> str:
    """Return what follows a server's address, for a file of a run, or for all of them."""
    return f"{LIST}/{experiment}/runs/{run}/artifacts{'/' if file else ''}{file}"


def study_note(told: Told, experiment: str, summary: str, files: Collection[str]) -> str:
    """Return the description of a study's experiment.

    Its first line is always in sight, and in the list of experiments as plain text.

    Args:
        told: what the study says of itself.
        experiment, summary: MLflow's ids of the experiment and of its summary run.
        files: names of the files that the summary has.
    """
    links = {
        "trials, the best first": address(experiment),
        "charts": address(experiment, charts=True),
        **{
            words: artifact(experiment, summary, name)
            for name, words in _FILES.items()
            if name in files
        },
    }
    listed = " · ".join(f"[{words}]({link})" for words, link in links.items())
    return "\n\n".join(filter(None, (told.headline, listed, told.more, _LEGEND)))


def trial_tags(trial: TrialRecord, standing: Standing | None = None) -> dict[str, str]:
    """Return the tags that change; the last is shown as the trial's description.

    Args:
        trial: the trial.
        standing: how it stands among the others, where that is known.
    """
    state, reason, note = trial.state, trial.reason, remarks(trial)
    if state == "WAITING":
        note = "interrupted; the same search command continues it"
    elif reason:
        note = f"{'failed' if state == 'FAIL' else state.lower()}: {note}"
    elif standing is not None:
        note = "; ".join(filter(None, (note, standing.words)))
    epochs = f"{trial.last_epoch}/{trial.total_epochs}"
    tags = {"state": state, "epochs": epochs, "reason": reason}
    tags |= {} if standing is None else standing.tags
    return {**tags, "warnings": "; ".join(warnings(trial)), NOTE_TAG: note}


def trial_params(trial: TrialRecord) -> dict[str, str]:
    """Return the parameters, and the logarithms of those that are searched on such a scale."""
    found = {name: str(value) for name, value in trial.params.items()}
    for name, value in trial.params.items():
        if getattr(trial.frozen.distributions[name], "log", False):
            found[LOG + name] = f"{math.log10(value):.4f}"
    return found


def trial_metrics(trial: TrialRecord, epochs: Iterable[int]) -> list[tuple[str, float, int]]:
    """Return name, value and step of all that is to be logged of these epochs."""
    result = [
        (name, float(value), epoch)
        for epoch in epochs
        for name in METRICS
        if (value := getattr(trial.epochs[epoch], name)) is not None
    ]
    if trial.state == "COMPLETE":
        ends = (round(end, 4) for end in trial.final.share.interval)
        once = {OBJECTIVE: trial.final.robust, **dict(zip(INTERVAL, ends, strict=True))}
        for name, value in asdict(trial.final.masking).items():
            if value is not None:  # Square runs for finalists alone
                once[f"masking_{name}"] = float(value)
        # first, as the page lists them in this order; at a later step it would draw a curve
        result = [(name, value, 0) for name, value in once.items()] + result
    return result


def study_tags(problem: Mapping[str, Any]) -> dict[str, str]:
    """Return the experiment tags that make the page show a study well.

    Args:
        problem: identity of the problem in flat names.
    """
    state = json.dumps(_state(searched_names(problem), _axes(problem)))
    return {
        VIEW_TAG: json.dumps({"name": "Trials, the best first", "createdAt": 0, "state": state})
    }


def _axes(problem: Mapping[str, Any]) -> list[str]:
    """Return the names under which charts show the searched parameters."""
    return [
        LOG + name if _LOGARITHMIC.search(str(problem[f"search.{name}"])) else name
        for name in searched_names(problem)
    ]


def _state(searched: Sequence[str], axes: Sequence[str]) -> dict[str, Any]:
    """Return all that the page would otherwise keep in the browser; it needs every field."""
    columns = [
        *(f"metrics.`{name}`" for name in (OBJECTIVE, *DIFFERENCES[:2], ROBUST, CLEAN)),
        *(f"tags.`{name}`" for name in (RANK, "state")),
        "attributes.`Description`",
        "tags.`epochs`",
        *(f"metrics.`{name}`" for name in INTERVAL),
        *(f"params.`{name}`" for name in searched),
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
        **_charts(axes),
    }


def _charts(axes: Sequence[str]) -> dict[str, Any]:
    parallel = {"selectedParams": list(axes), "selectedMetrics": [OBJECTIVE], "showAllRuns": True}
    cards = [
        _card("ranking", "BAR", "answer", {"metricKey": OBJECTIVE}),
        _scatter("METRIC", CLEAN, "answer"),
        *(_scatter("PARAM", name, "matters") for name in axes[:_SCATTERED]),
        _card("parallel", "PARALLEL", "together", parallel),
        *(_curve(name, "curves") for name in METRICS[:_CURVES]),
        *(_curve(name, "details") for name in METRICS[_CURVES:]),
    ]
    sections = [  # key, name, whether it is unfolded, charts beside each other
        ("answer", "Which is best, and what it costs in clean accuracy", True, 2),
        ("matters", "What matters", True, 3),
        ("together", "All parameters together", True, 1),
        ("curves", "Learning curves", True, 3),
        ("details", "Model metrics", False, 3),
    ]
    return {
        "compareRunCharts": cards,
        "compareRunSections": [
            {
                "uuid": uuid,
                "name": name,
                "display": unfolded,
                "isReordered": True,
                "columns": columns,
            }
            for uuid, name, unfolded, columns in sections
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


def _scatter(kind: str, key: str, section: str) -> dict[str, Any]:
    axes = {"xaxis": {"type": kind, "key": key}, "yaxis": {"type": "METRIC", "key": OBJECTIVE}}
    return _card(f"over {key}", "SCATTER", section, axes)


def _curve(metric: str, section: str) -> dict[str, Any]:
    axes = {"xAxisKey": "step", "xAxisScaleType": "linear", "yAxisKey": "metric", "range": {}}
    line = {"metricKey": metric, "selectedMetricKeys": [metric], "scaleType": "linear"}
    rest = {"lineSmoothness": 0, "selectedXAxisMetricKey": "", "yAxisExpressions": []}
    return _card(metric, "LINE", section, {**line, **axes, **rest})


def _card(uuid: str, kind: str, section: str, content: dict[str, Any]) -> dict[str, Any]:
    card = {"uuid": uuid, "type": kind, "metricSectionId": section, "runsCountToCompare": 100}
    return {**card, "deleted": False, "isGenerated": False, **content}
