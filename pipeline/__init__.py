"""The search: Ray Tune executes, one Optuna study remembers and decides, MLflow shows.

    open_study   a study that runs or is over, for notebooks and scripts

It is imported when it is asked for.
"""

import importlib
import warnings

__all__ = ["open_study"]


def __getattr__(name: str) -> object:
    """Import what is asked for; a worker imports this package, and does without Optuna."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    # Optuna says so in a notebook without widgets, which nothing here would draw
    warnings.filterwarnings("ignore", message="IProgress not found")
    return importlib.import_module("pipeline.driver.opened").open_study


def __dir__() -> list[str]:
    """Return the module's names, the one that is not imported yet too."""
    return sorted({*globals(), *__all__})
