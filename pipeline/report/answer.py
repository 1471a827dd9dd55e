"""The last lines of a search: which configuration, how good it is, and how certain that is."""

from pipeline.race.result import RaceResult
from pipeline.report import race_table
from pipeline.report.formatting import parameters
from pipeline.study.records import StudyRecord


def answer(source: StudyRecord, result: RaceResult) -> str:
    """Return the winner of a race in words.

    Args:
        source: the study that found the finalists.
        result: what the race has found.
    """
    winner = result.winner
    one, trial = result.standings[winner], source.trial(winner)
    low, high = one.interval
    seeds = f"{one.seeds} fresh seed{'s' * (one.seeds > 1)}"
    verdict = race_table.verdict(source, result)
    return (
        f"Answer: trial {winner} with {parameters(trial, source.searched)}\n"
        f"  robust accuracy {one.mean:.3f} over {seeds} (95 % interval {low:.3f} to {high:.3f}); "
        f"the best of {len(result.standings)} with a probability of {one.best:.0%}\n"
        f"  {verdict[0].upper()}{verdict[1:]}."
    )
