"""Looks at the trials of earlier studies, beside those of the study itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.forecast.coordinates import Coordinates
from pipeline.forecast.curves import LOWEST, MOST, Curve, Curves, Scale, counted, kept, thinned
from pipeline.forecast.gaussian_process import Looks
from pipeline.study.copied_study import CopiedStudy, CopiedTrial
from pipeline.study.followed_storage import index_of
from pipeline.study.records import StudyRecord

_SHARE = 60
"""Looks at the sources, all together: they are of less use than a study's own, and cost as much."""

USEFUL = 0.4
"""r of a source (`pipeline.forecast.gaussian_process`) above which the model proposes trials before
the study's own would be enough. Below it the source is left out for good, once `ENOUGH` own trials
have a value: it would cost looks, and misshape the other hyperparameters."""

ENOUGH = 8


@dataclass
class Sources:
    """What a study was begun from, read once.

    copies: of the earlier studies.
    """

    copies: tuple[CopiedStudy, ...]
    _looks: dict[int, Looks] = field(default_factory=dict)  # with a scale: two trials, at least

    def put(self, trial: FrozenTrial) -> None:
        """Take a trial of the study, which changes nothing of its sources."""

    def most(self, used: Sequence[int]) -> int:
        """Return the number of looks that are left for the study's own trials."""
        return MOST - len(used) * self._each

    def beside(self, own: Looks, known: Curves, used: Sequence[int]) -> Looks:
        """Return looks at a study's own trials, and after them those at its sources'.

        Args:
            own: looks at the study's own trials.
            known: the study's curves, of which there are some.
            used: places of the sources that are not left out.
        """
        if not used:
            return own
        if not self._looks:
            assert known.coordinates is not None, "a trial has begun"
            useful = [place for place, copy in enumerate(self.copies) if len(copy.trials) > 1]
            self._looks = {p: self._of(p, known.coordinates, known.epochs) for p in useful}
        own = replace(own, study=np.zeros(len(own.points), np.int64))
        return _joined([own, *(self._looks[place] for place in used if place in self._looks)])

    @property
    def _each(self) -> int:
        return _SHARE // max(len(self.copies), 1)

    def _of(self, place: int, coordinates: Coordinates, epochs: int) -> Looks:
        """Return looks at one source, standardised by its own scale.

        Its epochs count as shares of a full training: what a schedule does, it does there.
        """
        copy, most = self.copies[place], self._each
        curves = kept([_curve(copy, trial, coordinates) for trial in copy.trials], None, most)
        columns = counted(curves)
        latest = np.array([values[-1] for values in columns])
        chosen = thinned(curves, latest, copy.epochs, most)
        values = np.array([columns[curve][at] for curve, at in chosen])
        shares = np.array([curves[curve].epochs[at] / copy.epochs for curve, at in chosen])
        return Looks(
            coordinates.points(np.stack([curve.shares for curve in curves])),
            coordinates.owners,
            np.array([curve for curve, _ in chosen]),
            np.log(epochs * shares),
            np.maximum(Scale.of(values, latest).at(values), LOWEST),
            np.full(len(curves), place + 1),
        )


def sources_of(study: Study) -> Sources:
    """Return what a study was begun from, which is stored before its first trial."""
    return index_of(study).view("sources", Sources(StudyRecord(study).sources))


def _curve(copy: CopiedStudy, trial: CopiedTrial, coordinates: Coordinates) -> Curve:
    shares = coordinates.shares(dict(zip(copy.names, trial.params, strict=True)))
    epochs, values = tuple(trial.epochs), tuple(trial.values)
    return Curve(trial.number, shares, epochs, values, trial.final, trial.worst)


def _joined(several: Sequence[Looks]) -> Looks:
    """Return looks one after another, at trials that are numbered on."""
    before = np.cumsum([0, *(len(looks.points) for looks in several)])
    return Looks(
        np.concatenate([looks.points for looks in several]),
        several[0].owners,
        np.concatenate([looks.trial + n for looks, n in zip(several, before, strict=False)]),
        np.concatenate([looks.epoch for looks in several]),
        np.concatenate([looks.values for looks in several]),
        np.concatenate([looks.study for looks in several if looks.study is not None]),
    )
