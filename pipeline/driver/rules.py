"""What a study is to find, and how it may be run again: held for as long as the study lives."""

from dataclasses import asdict, dataclass
from typing import Any

OBJECTIVES = ("robust", "robust,clean")


@dataclass(frozen=True)
class Rules:
    """What may not change under a study's name, beside its question.

    objective: 'robust', or 'robust,clean' for the front of both accuracies.
    min_clean: clean accuracy below which a complete trial is no candidate; None for no limit.
    deterministic: workers of the imagined machine in whose order results count; None takes them
        as they arrive.
    """

    objective: str = "robust"
    min_clean: float | None = None
    deterministic: int | None = None

    @property
    def front(self) -> bool:
        """Whether clean accuracy is an objective too."""
        return self.objective != "robust"

    def facts(self) -> dict[str, Any]:
        """Return them in flat names, to compare them with those of an older study."""
        return asdict(self)
