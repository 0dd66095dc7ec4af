"""The measured errors of an experiment, and their mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

N_ANCHORS_TRIED = 5


@dataclass(frozen=True)
class Errors:
    """RMSE in y, :func:`fastinv.comparison.rmse_in_y`, of each method; None if not measured.

    Attributes
    ----------
    nearest_by_anchor, twin_by_anchor : tuple of 5 floats
        Errors of the solutions from each anchor tried, the nearest in y first.
    twin_best : float
        Error of the solution from those anchors with the smallest residual by the exact f.
    twin_best_learned : float or None
        The same by the learned f; noisy data only.
    direct : float or None
        Error of the network trained on the inverse, which has no anchors.
    nearest_polished, twin_polished : float or None
        Error of the best of the five after polishing, on the exact f or on the learned one.
    twin_polished_many : float or None
        The same for candidates from :attr:`Recipe.n_ranked` anchors; noisy data only.
    least : float or None
        Error of the best solutions with the exact f: noise has moved some targets to where no x
        leads. Noisy data only.
    nearest_recall, twin_recall : float or None
        Not an error: the share of all exact solutions that those polished five include, to 1 % of
        the width of the domain. None if solutions form curves; the paper has neither number.
    """

    nearest_by_anchor: tuple[float, ...]
    twin_by_anchor: tuple[float, ...]
    twin_best: float
    twin_best_learned: float | None = None
    direct: float | None = None
    nearest_polished: float | None = None
    twin_polished: float | None = None
    twin_polished_many: float | None = None
    least: float | None = None
    nearest_recall: float | None = None
    twin_recall: float | None = None


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation (of the population, as NumPy's) over seeds, of each error."""

    mean: Errors
    std: Errors

    @classmethod
    def of(cls, errors: Sequence[Errors]) -> Moments:
        """The moments of the errors of one or more seeds."""
        return cls(_reduced(errors, np.mean), _reduced(errors, np.std))

    def summary(self) -> dict[str, Any]:
        """All numbers, in types of JSON."""
        return asdict(self)


def _reduced(errors: Sequence[Errors], statistic: Any) -> Errors:
    reduced: dict[str, Any] = {}
    for field in fields(Errors):
        values = [getattr(seed, field.name) for seed in errors]
        if values[0] is None:
            reduced[field.name] = None
            continue
        over_seeds = statistic(np.array(values), axis=0)
        reduced[field.name] = tuple(over_seeds.tolist()) if over_seeds.ndim else float(over_seeds)
    return Errors(**reduced)
