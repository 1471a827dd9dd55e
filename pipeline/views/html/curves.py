"""Learning curves: the best, the median and those with catastrophic overfitting, others faint."""

from collections.abc import Mapping, Sequence

from pipeline.study.records import TrialRecord
from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import Material
from pipeline.views.html.parts import figure, section
from pipeline.views.html.svg import Frame, apart, around, drawing, line, words

_SIZE = 960, 380
_FAINT = 150  # other curves
_OVERFITTED = 3  # curves with catastrophic overfitting that are told apart
_POINTS = 60  # of a curve

Curve = Mapping[int, float]


def curves(material: Material) -> Markup:
    """Return robust accuracy by epoch; a section in words where there is no curve."""
    known = {number: _curve(trial) for number, trial in material.trials.items()}
    known = {number: curve for number, curve in known.items() if curve}
    title = "Learning curves"
    if not known:
        return section("curves", title, lead="No epoch has been validated yet.")
    if max(map(len, known.values())) < 2:
        return section("curves", title, lead="Each trial was validated once: there is no curve.")
    told = _told(material, known)
    others = [number for number in known if number not in told]
    apart = max(1.0, len(others) / _FAINT)
    faint = [others[int(place * apart)] for place in range(min(len(others), _FAINT))]
    hidden = f"; {len(faint)} of {len(others)} others are shown" if apart > 1 else ""
    return section(
        "curves",
        title,
        figure(
            _picture(material, known, told, faint),
            f"Robust accuracy of n = {len(known)} trials on the validation images after each "
            f"validated epoch{hidden}. It is judged by a weaker attack than the final value. A "
            "cross marks catastrophic overfitting, a ring where a trial was stopped.",
        ),
    )


def _curve(trial: TrialRecord) -> Curve:
    """Return epoch -> robust accuracy, also of an epoch in which the trial overfitted."""
    found = {e: m.valid_robust for e, m in trial.epochs.items() if m.valid_robust is not None}
    if len(found) <= _POINTS:
        return found
    epochs = sorted(found)
    apart = len(epochs) / _POINTS
    kept = {epochs[int(place * apart)] for place in range(_POINTS)} | {epochs[-1]}
    return {epoch: found[epoch] for epoch in sorted(kept)}


def _overfitted(trial: TrialRecord) -> int | None:
    """Return the first epoch with catastrophic overfitting; None for most trials."""
    return next((epoch for epoch, one in trial.epochs.items() if one.co_detected), None)


def _told(material: Material, known: Mapping[int, Curve]) -> dict[int, tuple[str, str]]:
    """Return number -> class and name of the curves that are told apart."""
    found = material.summary
    told: dict[int, tuple[str, str]] = {}
    hit = [number for number in known if _overfitted(material.trials[number])]
    for number in hit[:_OVERFITTED]:
        told[number] = ("overfitted", f"overfitted: {number}")
    ranked = [one.trial for one in found.trials if one.rank is not None and one.trial in known]
    if ranked:
        middle = ranked[len(ranked) // 2]
        told[middle] = ("median", f"median: {middle}")
    if found.default is not None and found.default.trial in known:
        told[found.default.trial] = ("default", f"start: {found.default.trial}")
    best = material.chosen
    if best is not None and best.trial in known:
        same = found.default is not None and found.default.trial == best.trial
        told[best.trial] = ("best", f"best{', the start' * same}: {best.trial}")
    return told


def _picture(
    material: Material,
    known: Mapping[int, Curve],
    told: Mapping[int, tuple[str, str]],
    faint: Sequence[int],
) -> Markup:
    shown = [*faint, *told]
    last = max(trial.total_epochs for trial in material.trials.values())
    first = min(min(known[number]) for number in shown)
    values = [value for number in shown for value in known[number].values()]
    ends = (float(first), float(max(last, first + 1)))
    frame = Frame.of(*_SIZE, ends, around(values), right=110, top=22)
    parts = [
        frame.left_axis("robust accuracy"),
        frame.bottom_axis("epoch", count=min(8, last - first or 1)),
    ]
    for number in shown:
        kind = told[number][0] if number in told else "faint"
        title = f"trial {number}"
        if number in told:
            title = told[number][1]
        points = [(frame.x.at(e), frame.y.at(v)) for e, v in known[number].items()]
        parts.append(line(points, f"curve {kind}-line", title, data_trial=number))
        parts += _marks(material.trials[number], known[number], frame, kind)
    parts += _names(known, told, frame)
    return drawing(*_SIZE, "Robust accuracy by epoch", *parts, wide=True)


def _marks(trial: TrialRecord, curve: Curve, frame: Frame, kind: str) -> list[Markup]:
    """Return a cross where it overfitted, or a ring where it was stopped."""
    parts, hit = [], _overfitted(trial)
    if hit is not None and hit in curve:
        x, y = frame.x.at(hit), frame.y.at(curve[hit])
        cross = f"M{x - 4} {y - 4}l8 8M{x - 4} {y + 4}l8 -8"
        parts.append(element("path", d=cross, class_="cross"))
    elif trial.state == "PRUNED":
        end = max(curve)
        x, y = frame.x.at(end), frame.y.at(curve[end])
        parts.append(element("circle", cx=x, cy=y, r=2.5, class_=f"ring {kind}-line"))
    return parts


def _names(
    known: Mapping[int, Curve], told: Mapping[int, tuple[str, str]], frame: Frame
) -> list[Markup]:
    """Return each told curve's name beside its end; names that would overlap are moved apart."""
    places = []
    for number, (kind, name) in told.items():
        end = max(known[number])
        places.append((frame.y.at(known[number][end]), frame.x.at(end), kind, name))
    heights = apart([y + 4 for y, *_ in sorted(places)], 14, frame.y.start)
    return [
        words(x + 8, height, name, f"name halo {kind}-text")
        for height, (_, x, kind, name) in zip(heights, sorted(places), strict=True)
    ]
