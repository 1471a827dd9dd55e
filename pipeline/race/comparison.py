"""Methods compared by the winners of their races, within the same seeds and on the same images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.race.comparable import unlike
from pipeline.race.rounds import survivors
from pipeline.race.statistics import Difference, Survivors, difference, ranked, standings
from pipeline.study.effort import effort_of
from pipeline.study.ranking import accuracies, candidates, front
from pipeline.study.records import StudyRecord, TrialRecord
from regmix.errors import InputError

LEVEL = 0.05
"""How often, at most, any of the pairs is told apart though all methods are equal."""


@dataclass(frozen=True)
class Confirmed:
    """What a search and its race say of a method.

    start: trial that its search began with.
    winner: trial that is best with fresh seeds.
    survivors: the images that survive, of both, by their numbers.
    front: robust and clean accuracy of the trials of its search that no other one beats.
    trainings: effort of its search, in full trainings.
    """

    start: TrialRecord
    winner: TrialRecord
    survivors: Survivors
    front: Sequence[tuple[float, float]]
    trainings: float

    @property
    def found_better(self) -> bool:
        """Whether the winner is another one than the start."""
        return self.winner.number != self.start.number

    @property
    def seeds(self) -> tuple[int, ...]:
        """Fresh seeds that the winner was trained with, in order."""
        return tuple(sorted(self.survivors[self.winner.number]))

    @property
    def images(self) -> int:
        """Number of images that the winner was judged on, most of all its seeds."""
        return max(map(len, self.survivors[self.winner.number].values()))


@dataclass(frozen=True)
class Worth:
    """What a method is worth, by the seeds of its race.

    start: mean of the start.
    mean, interval: of the winner, at 95 %.
    gain: of the winner over the start, p corrected for the number of methods (Holm).
    """

    start: float
    mean: float
    interval: tuple[float, float]
    gain: Difference


@dataclass(frozen=True)
class Pair:
    """How far the winners of two methods are apart, p corrected for the number of pairs (Holm)."""

    one: str
    other: str
    gap: Difference


@dataclass(frozen=True)
class Comparison:
    """What methods are worth beside each other.

    worth: method -> what it is worth, the best first.
    pairs: every pair of methods, the largest difference first.
    """

    worth: Mapping[str, Worth]
    pairs: Sequence[Pair]

    @property
    def best(self) -> str:
        """The best method."""
        return next(iter(self.worth))

    @property
    def alike(self) -> list[str]:
        """Methods that the best can't be told from."""
        pairs = [one for one in self.pairs if self.best in (one.one, one.other)]
        return [
            pair.other if pair.one == self.best else pair.one
            for pair in pairs
            if pair.gap.p >= LEVEL
        ]


def confirmed(source: StudyRecord, race: StudyRecord) -> Confirmed:
    """Return what a search and its race say of a method.

    Raises:
        InputError: where the start has no training that ended well: nothing is gained over it.
    """
    known = survivors(race)
    start = next((trial for trial in source.trials() if trial.is_default), source.trial(0))
    if start.number not in known:
        raise InputError(
            f"{race.name}: no training of the start, trial {start.number}, ended well; once the "
            "cause is mended, confirm.py --retry-failed tries it again"
        )
    winner = ranked(standings(known, start.number), race.eliminated)[0]
    return Confirmed(
        start,
        source.trial(winner),
        {number: known[number] for number in (start.number, winner)},
        [accuracies(trial) for trial in front(candidates(source))],
        effort_of(source.study).trained / start.total_epochs,
    )


def prove_raced_alike(found: Mapping[str, Confirmed]) -> None:
    """Prove that the winners were trained with the same seeds.

    How many of the images that are held out a round is judged by may differ: it depends on how
    many still race, and a difference counts on the images that both have.

    Raises:
        InputError: naming both methods and their seeds.
    """
    (first, known), *others = found.items()
    for name, one in others:
        if one.seeds != known.seeds:
            pair = (first, known.seeds), (name, one.seeds)
            raise unlike("seeds of the race", *pair, "race both by confirm.py --seeds")


def compared(found: Mapping[str, Confirmed]) -> Comparison:
    """Return what methods are worth beside each other.

    What seeds do is known from the winners and the starts of all methods together.
    """
    starts, winners, runs = (
        dict[str, int](),
        dict[str, int](),
        dict[int, Mapping[int, NDArray[np.bool_]]](),
    )
    for name, one in found.items():
        starts[name] = winners[name] = len(runs)
        runs[len(runs)] = one.survivors[one.start.number]
        if one.found_better:
            winners[name] = len(runs)
            runs[len(runs)] = one.survivors[one.winner.number]
    known = standings(runs, 0)
    names = sorted(found, key=lambda name: -known[winners[name]].mean)
    gains = _adjusted([difference(runs, winners[name], starts[name]) for name in names])
    pairs = list(combinations(names, 2))
    gaps = _adjusted([difference(runs, winners[one], winners[other]) for one, other in pairs])
    worth = {}
    for name, gain in zip(names, gains, strict=True):
        best = known[winners[name]]
        worth[name] = Worth(known[starts[name]].mean, best.mean, best.interval, gain)
    apart = [Pair(*pair, gap) for pair, gap in zip(pairs, gaps, strict=True)]
    return Comparison(worth, sorted(apart, key=lambda pair: -abs(pair.gap.value)))


def _adjusted(found: Sequence[Difference]) -> list[Difference]:
    """Return the same with p-values that hold for all of them together."""
    values = holm([one.p for one in found])
    return [replace(one, p=p) for one, p in zip(found, values, strict=True)]


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values that hold for all of them together (Holm, 1979), in the same order.

    The k-th smallest of m is multiplied by m - k + 1; none may be below one before it.
    """
    found, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda n: values[n])):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        found[place] = highest
    return found


def hypervolume(points: Iterable[tuple[float, float]]) -> float:
    """Return the area of all that some point is at least as good as in both, above (0, 0).

    Args:
        points: robust and clean accuracy, each in [0, 1].
    """
    area = best = 0.0
    for robust, clean in sorted(points, reverse=True):
        area += robust * max(0.0, clean - best)
        best = max(best, clean)
    return area
