"""What a race has found so far, from its study alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pipeline.race.rounds import survivors
from pipeline.race.statistics import Standing, ranked, standings
from pipeline.study.records import StudyRecord


@dataclass(frozen=True)
class RaceResult:
    """What a race has found.

    standings: what is known of each finalist, by its number.
    order: numbers of the finalists, the best first.
    reference: number of the finalist that gains are counted from.
    gone: reason of each finalist that dropped out.
    """

    standings: Mapping[int, Standing]
    order: Sequence[int]
    reference: int
    gone: Mapping[int, str]

    @property
    def winner(self) -> int:
        """Number of the best finalist."""
        return self.order[0]

    @property
    def seeds(self) -> int:
        """Most seeds that a finalist was trained with."""
        return max(one.seeds for one in self.standings.values())


def race_result(
    source: StudyRecord, race: StudyRecord, finalists: Collection[int] | None = None
) -> RaceResult | None:
    """Return what a race has found; None where no training ended well yet.

    Gains are counted from the recipe's default where it races, else from the first finalist.

    Args:
        source: the study that found the finalists.
        race: the study of the race.
        finalists: numbers of those that count, the reference first; None for all.
    """
    known = survivors(race)
    if finalists is not None:
        known = {number: known[number] for number in finalists if number in known}
    if not known:
        return None
    first = [number for number in known if source.trial(number).is_default]
    reference = first[0] if first else next(iter(known))
    found, gone = standings(known, reference), race.eliminated
    return RaceResult(found, ranked(found, gone), reference, gone)
