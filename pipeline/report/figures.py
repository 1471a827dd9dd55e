"""The plots of a study as one page."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.study import Study


def page(study: "Study", names: tuple[str, ...]) -> str:
    """Return a page with history, parallel coordinates and slices; '' before 2 trials are complete.

    The page holds its script, so it opens without a network.
    """
    complete = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    if len(complete) < 2:
        return ""
    from optuna import visualization

    figures = [visualization.plot_optimization_history(study, target_name="robust accuracy")]
    figures.append(visualization.plot_intermediate_values(study))
    figures.append(visualization.plot_slice(study, list(names), target_name="robust accuracy"))
    if len(names) > 1:
        figures.append(
            visualization.plot_parallel_coordinate(
                study, list(names), target_name="robust accuracy"
            )
        )
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=place == 0)
        for place, figure in enumerate(figures)
    ]
    title = f"<title>{study.study_name}</title>"
    return f"<!doctype html><meta charset=utf-8>{title}{''.join(parts)}"
