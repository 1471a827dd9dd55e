"""What only a study as a whole can say, as MLflow's page is given it: in words, and of its trials.

All else of a run follows from its trial alone. This is handed over when a trial has ended, and at
the end of a session.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Standing:
    """How a trial stands among those of its study.

    rank: its place among the candidates, from 1; None for a trial that is none.
    over_default: difference of its robust accuracy to the default's on the same images, and the
        ends of its interval at 95 %; None where that isn't known. Once known it stays.
    """

    rank: int | None
    over_default: tuple[float, float, float] | None = None

    @property
    def points(self) -> dict[str, float]:
        """Metrics that show it."""
        if self.over_default is None:
            return {}
        return dict(zip(DIFFERENCES, self.over_default, strict=True))

    @property
    def words(self) -> str:
        """The same in words."""
        said = [] if self.rank is None else [f"rank {self.rank}"]
        if self.over_default is not None:
            value, low, high = self.over_default
            said.append(f"{value:+.3f} over the default (95 % {low:+.3f} to {high:+.3f})")
        return ", ".join(said)

    @property
    def tags(self) -> dict[str, str]:
        """Tags that show it: a rank changes, and no metric does."""
        return {RANK: "" if self.rank is None else str(self.rank)}


RANK = "rank"
DIFFERENCES = ("over_default", "over_default_low", "over_default_high")


@dataclass(frozen=True)
class Told:
    """What a study says.

    headline: its state and its answer, in a line of plain text.
    more: what follows it, as Markdown.
    standings: number of a trial -> how it stands; a trial that is not in it keeps what it shows.
    """

    headline: str = ""
    more: str = ""
    standings: Mapping[int, Standing] = field(default_factory=dict)


NOTHING = Told()
"""What a study says before it was asked."""
