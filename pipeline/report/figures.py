"""The plots of a study as one page."""

from pipeline.study.records import StudyRecord


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
