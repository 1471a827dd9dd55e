"""The last lines of a search: which configuration, how good it is, and how certain that is."""

from pipeline.race.statistics import Standing
from pipeline.report import race_table
from pipeline.report.formatting import parameters
from pipeline.study.records import StudyRecord


def answer(source: StudyRecord, found: dict[int, Standing], winner: int, reference: int) -> str:
    """Return the winner of a race in words.

    Args:
        source: the study that found the finalists.
        found: standing of each finalist, by its number there.
        winner: number of the best one.
        reference: number of the finalist that `found` compares with.
    """
    one, trial = found[winner], source.trial(winner)
    low, high = one.interval
    seeds = f"{one.seeds} fresh seed{'s' * (one.seeds > 1)}"
    verdict = race_table.verdict(source, found, winner, reference, one.seeds)
    return (
        f"Answer: trial {winner} with {parameters(trial, source.searched)}\n"
        f"  robust accuracy {one.mean:.3f} over {seeds} (95 % interval {low:.3f} to {high:.3f}); "
        f"the best of {len(found)} with a probability of {one.best:.0%}\n"
        f"  {verdict[0].upper()}{verdict[1:]}."
    )
