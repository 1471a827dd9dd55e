"""The plots of a study as one page."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from pipeline.study.records import StudyRecord, TrialRecord

_PLOTS = "optuna.visualization"


@dataclass
class Ahead:
    """Loads what draws the page while the last trials train: a core is idle then.

    over: tells whether no trial is left to begin.
    """

    over: Callable[[], bool]
    _thread: threading.Thread | None = None

    def trial_changed(self, trial: TrialRecord) -> None:
        """Begin to load, once, when a trial has ended and none takes its place."""
        if self._thread is None and trial.ended and self.over():
            self._thread = threading.Thread(target=import_module, args=(_PLOTS,), name="plots")
            self._thread.start()


def page(study: StudyRecord) -> str:
    """Return a page with history, parallel coordinates and slices; '' before 2 trials are complete.

    The page holds its script, so it opens without a network.
    """
    if sum(trial.state == "COMPLETE" for trial in study.trials()) < 2:
        return ""
    from optuna import visualization

    names, target = list(study.searched), "final_robust"
    figures = [visualization.plot_optimization_history(study.study, target_name=target)]
    figures.append(visualization.plot_intermediate_values(study.study))
    figures.append(visualization.plot_slice(study.study, names, target_name=target))
    if len(names) > 1:
        figures.append(
            visualization.plot_parallel_coordinate(study.study, names, target_name=target)
        )
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=place == 0)
        for place, figure in enumerate(figures)
    ]
    title = f"<title>{study.name}</title>"
    return f"<!doctype html><meta charset=utf-8>{title}{''.join(parts)}"
