"""Whether studies were measured alike, so that their methods can be compared."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.study.records import StudyRecord
from regmix.errors import InputError, shown
from regmix.registry import names, options

METHOD = frozenset(
    {"epsilon_ratio", "true_class_mass", "initialization", "start_box", "momentum_decay"}
) | frozenset({"momentum_rule", "reset_interval", "align_history", "attack_mode"})
AVERAGING = frozenset({"averaging_decay", "averaging_rule", "averaging_threshold"})
"""Settings of the trainer in which methods may differ; all others must be alike."""

_RANGE = "range of "
_LIMIT = "effort in "


def of_the_method() -> frozenset[str]:
    """Return the names in which methods may differ: a loss's options, and what comes with it."""
    return frozenset({"loss", *of_losses()}) | METHOD | AVERAGING


def of_losses() -> frozenset[str]:
    """Return the names of all options of all losses."""
    return frozenset(name for loss in names("loss") for name in options("loss", loss))


def prove_alike(studies: Mapping[str, StudyRecord]) -> None:
    """Prove that nothing was measured, trained or searched otherwise but for the method itself.

    Args:
        studies: name of the method -> the study that searched it.

    Raises:
        InputError: naming the first field in which two differ, and both values.
    """
    (first, known), *others = ((name, dict(_facts(study))) for name, study in studies.items())
    searched = {name for study in studies.values() for name in study.searched}
    left_out = of_the_method() | searched
    for name, facts in others:
        for field in sorted(known.keys() | facts.keys()):
            if field in left_out or known.get(field) == facts.get(field):
                continue
            if not field.startswith(_RANGE) or field in known.keys() & facts.keys():
                raise unlike(field, (first, known.get(field)), (name, facts.get(field)))


def prove_judged_alike(judged: Mapping[str, Mapping[str, Any]]) -> None:
    """Prove that the winners were judged on the same test images, by the same attacks.

    Args:
        judged: name of the method -> what its evaluation was kept in.

    Raises:
        InputError: naming the first field in which two differ, and both values.
    """
    facts = {
        name: {
            "fingerprint of the test images": kept["fingerprint"],
            "number of test images": max(row["count"] for row in kept["rows"].values()),
            "attacks on test images": ", ".join(kept["rows"]),
            "epsilon on test images": kept["epsilon"],
        }
        for name, kept in judged.items()
    }
    (first, known), *others = facts.items()
    for name, one in others:
        for field, value in known.items():
            if one[field] != value:
                remedy = "judge both alike by evaluate.py --again"
                raise unlike(field, (first, value), (name, one[field]), remedy)


def unlike(
    field: str,
    one: tuple[str, object],
    other: tuple[str, object],
    remedy: str = "search both alike",
) -> InputError:
    """Return the error for methods that differ in a field.

    Args:
        field: name of the field.
        one, other: method and its value.
        remedy: what mends it.
    """
    found, instead = _in_words(field, one[1]), _in_words(field, other[1])
    return InputError(
        f"{one[0]} and {other[0]} can't be compared: {field} is {found} in {one[0]}, "
        f"but {instead} in {other[0]}; {remedy}"
    )


def _in_words(field: str, value: object) -> str:
    """Return a value as it is told: a limit as it would be typed, anything else as it is."""
    if not field.startswith(_LIMIT):
        return shown(value, 60)
    if value is None:
        return "none" if field == f"{_LIMIT}race" else "no limit"
    return f"{value:g}s" if field == f"{_LIMIT}budget" else f"{value:g}"


def searched_by_some(studies: Mapping[str, StudyRecord]) -> dict[str, list[str]]:
    """Return each parameter that some search and others don't, with the methods that do.

    Options of losses are left out: another loss has none of them.
    """
    own = of_losses()
    found: dict[str, list[str]] = {}
    for method, study in studies.items():
        for name in study.searched:
            if name not in own:
                found.setdefault(name, []).append(method)
    return {name: methods for name, methods in found.items() if len(methods) < len(studies)}


def _facts(study: StudyRecord) -> Iterator[tuple[str, Any]]:
    """Yield what was measured and how, in flat names."""
    for name, value in study.problem.items():
        if not name.startswith(("search.", "fixed.")) and name not in ("space", "recipe"):
            yield name, value
    for name in set(study.searched) - of_losses():
        yield f"{_RANGE}{name}", study.problem[f"search.{name}"]
    yield "fingerprint of the images", study.data.get("fingerprint")
    yield "--objective", study.objective
    yield "--min-clean", study.min_clean
    for name, value in study.extent.items():
        yield f"{_LIMIT}{name}", value
    for name, value in (study.methods[-1] if study.methods else {}).items():
        yield f"--{name}", value
