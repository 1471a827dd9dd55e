"""Numbers, durations and parameters as text."""

from collections.abc import Mapping, Sequence

from pipeline.study.records import TrialRecord
from regmix.ranges import Value


def duration(seconds: float) -> str:
    """Return '0:41', '12:05' or '3:02:10'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def radius(epsilon: float) -> str:
    """Return a radius as the field writes it: '0.1' where that is short, else '8/255'."""
    levels = round(epsilon * 255)
    if float(f"{epsilon:.2g}") != epsilon and levels and abs(epsilon - levels / 255) < 1e-9:
        return f"{levels}/255"
    return f"{epsilon:.6g}"


def short(value: object) -> str:
    """Return a number in three significant digits, anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def named(params: Mapping[str, Value], names: Sequence[str]) -> str:
    """Return 'alpha 1.65, beta 0.173'."""
    return ", ".join(f"{name} {short(params[name])}" for name in names)


def at_the_edge(params: Mapping[str, Value], names: Sequence[str]) -> str:
    """Say which numbers lie at a bound of their range; '' for none.

    Args:
        params: the configuration.
        names: names of these numbers.
    """
    if not names:
        return ""
    return f"At the edge of the space: {named(params, names)}; better ones may lie beyond it."


def trial_cells(trial: TrialRecord, names: Sequence[str]) -> list[str]:
    """Return number, epoch, robust and clean accuracy, and the parameters `names` as text."""
    total = str(trial.total_epochs) if trial.begun else "?"
    found = ("-" if one is None else f"{one:.3f}" for one in (trial.value, trial.clean))
    params = [short(trial.params.get(name, "-")) for name in names]
    return [str(trial.number), f"{trial.last_epoch}/{total}", *found, *params]
