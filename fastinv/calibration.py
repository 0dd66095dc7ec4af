"""Checks the width of predicted distributions by coverage and ranks on held-out data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from fastinv._common.arrays import Float64Array, IntArray
from fastinv._common.validation import (
    RandomState,
    as_float64,
    check_integer,
    check_targets,
)
from fastinv.mixture import Mixture

LEVELS = tuple(np.linspace(0.05, 0.95, 19).round(2).tolist())


@dataclass(frozen=True, eq=False)
class Calibration:
    """The positions of held-out values in the distributions predicted for them.

    For correct distributions, coverages equal levels, and PIT values and ranks are uniform,
    up to the noise of n draws. A coverage curve off the diagonal shows a wrong width: below the
    levels it is too narrow, above them too wide.

    Attributes
    ----------
    levels : ndarray of shape (L,)
        Nominal probabilities of the regions.
    central_coverage : ndarray of shape (L, q)
        Share of values in the central interval, between the quantiles (1 - level) / 2 and
        (1 + level) / 2, of each output's marginal distribution.
    hdr_coverage : ndarray of shape (L,)
        Share of values in the highest-density region of the joint distribution.
    pit : ndarray of shape (n, q)
        Marginal cumulative probability of each value (probability integral transform).
    hdr_level : ndarray of shape (n,)
        Probability of the smallest highest-density region that holds the value.
    ranks : ndarray of shape (n, q), int64
        How many of `n_samples` draws lie below the value, 0 to `n_samples`.
    n_samples : int
    """

    levels: Float64Array
    central_coverage: Float64Array
    hdr_coverage: Float64Array
    pit: Float64Array
    hdr_level: Float64Array
    ranks: IntArray
    n_samples: int

    def __len__(self) -> int:
        """The number of held-out rows, n."""
        return len(self.pit)


def calibrate(
    model: Any,
    X: ArrayLike | None,
    y: ArrayLike,
    *,
    levels: ArrayLike = LEVELS,
    n_samples: int = 500,
    random_state: RandomState = None,
) -> Calibration:
    """Coverage and ranks of held-out rows under p(y | X).

    Parameters
    ----------
    model : estimator with ``predict_distribution``, or Mixture
        For a :class:`MixtureSolver` pass its ``density_`` with the held-out y as `X` and x as `y`.
    X : array-like of shape (n, p), or None
        None if `model` is a :class:`Mixture`, whose rows then belong to those of `y`.
    y : array-like of shape (n, q), or (n,) where q is 1
        Held out: rows that the model was trained on look better covered than they are.
    levels : array-like of shape (L,), default=0.05, 0.10, ..., 0.95
        Strictly between 0 and 1.
    n_samples : int, default=500
        Draws per row, for ranks and highest-density regions.
    random_state : int, RandomState, Generator or None, default=None
        Seed of these draws.

    Returns
    -------
    Calibration

    Raises
    ------
    TypeError, ValueError
        A model without ``predict_distribution``; levels outside (0, 1); no rows, or not as many as
        the mixture has, or NaN or infinity in them.

    Notes
    -----
    Marginals of a mixture of Gaussians are such mixtures too, so PIT values are exact. The
    highest-density region of a value is estimated by the share of draws that have a higher
    density (Hyndman 1996, "Computing and Graphing Highest Density Regions", section 3.2). Ranks
    are those of simulation-based calibration (Talts et al. 2018, algorithm 1).
    """
    wanted = _check_levels(levels)
    check_integer(n_samples, "n_samples")
    mixture = _distribution(model, X)
    values = check_targets(y, mixture.n_dims)
    if len(values) != len(mixture) or not len(values):
        raise ValueError(
            f"y must have as many rows as there are distributions, {len(mixture)}, and at least "
            f"one, got {len(values)}"
        )
    if not np.isfinite(values).all():
        raise ValueError("y must be finite, got NaN or infinity")
    pit = _marginal_pit(mixture, values)
    samples = mixture.sample(n_samples, random_state)
    hdr_level = _hdr_level(mixture, values, samples)
    return Calibration(
        levels=wanted,
        central_coverage=_share(2.0 * np.abs(pit - 0.5), wanted),
        hdr_coverage=_share(hdr_level[:, None], wanted)[:, 0],
        pit=pit,
        hdr_level=hdr_level,
        ranks=(samples < values[:, None]).sum(axis=1),
        n_samples=n_samples,
    )


def _check_levels(levels: ArrayLike) -> Float64Array:
    wanted = as_float64(levels, "levels")
    if wanted.ndim != 1 or not len(wanted) or not ((wanted > 0.0) & (wanted < 1.0)).all():
        raise ValueError(
            "levels must be a 1-D array of numbers strictly between 0 and 1, got "
            f"{np.array2string(wanted, threshold=8)}"
        )
    return wanted.copy()


def _distribution(model: Any, X: ArrayLike | None) -> Mixture:
    if isinstance(model, Mixture):
        if X is not None:
            raise ValueError("X must be None where model is a Mixture, whose rows it describes")
        return model
    if not hasattr(model, "predict_distribution"):
        raise TypeError(
            f"model must be a Mixture or have predict_distribution, got {type(model).__name__}"
        )
    if X is None:
        raise ValueError("X must be given where model is an estimator, got None")
    mixture: Mixture = model.predict_distribution(X)
    return mixture


def _marginal_pit(mixture: Mixture, values: Float64Array) -> Float64Array:
    """Cumulative probabilities ``(n, q)`` of `values` ``(n, q)``, output by output."""
    scales = np.sqrt(np.diagonal(mixture.covariances, axis1=2, axis2=3))
    below = ndtr((values[:, None] - mixture.means) / scales)
    return np.asarray(np.einsum("nk,nkq->nq", mixture.weights, below)).clip(0.0, 1.0)


def _hdr_level(mixture: Mixture, values: Float64Array, samples: Float64Array) -> Float64Array:
    """Share of `samples` ``(n, s, q)`` denser than their row of `values`, in (0, 1)."""
    density = mixture.log_prob(values)
    denser = (mixture.log_prob(samples) > density[:, None]).sum(axis=1)
    # The middle of the value's place among the samples: unbiased at every level.
    return np.asarray((denser + 0.5) / (samples.shape[1] + 1))


def _share(needed: Float64Array, levels: Float64Array) -> Float64Array:
    """Share ``(L, q)`` of rows of `needed` ``(n, q)`` that are at most each level."""
    return np.asarray((needed[None] <= levels[:, None, None]).mean(axis=1))
