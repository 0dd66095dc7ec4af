"""A batch of Gaussian mixtures, one a row: densities, samples, moments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, logsumexp

from fastinv._validation import RandomState, as_float64, check_integer, check_random_state
from fastinv.backends.protocol import COVARIANCES, Covariance, Float64Array, MixtureSpec
from fastinv.mixture import one_dimension
from fastinv.mixture.modes import Modes, find_modes

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

_MAX_LOG_SCALE = 300.0  # of raw outputs; beyond, a scale would leave the range of float64


class Mixture:
    """n mixtures of K Gaussians in D dimensions, ``p_i(y) = sum_k w_ik N(y; mean_ik, cov_ik)``.

    Immutable. Row i is the distribution for row i of whatever was conditioned on.

    Parameters
    ----------
    log_weights : array-like of shape (n, K)
        Normalised here; ``-inf`` is a weight of zero.
    means : array-like of shape (n, K, D)
    scales : array-like
        Standard deviations ``(n, K)`` for "spherical" and ``(n, K, D)`` for "diag"; lower
        Cholesky factors of the covariances ``(n, K, D, D)`` for "full".
    covariance_type : {"spherical", "diag", "full"}, default="diag"

    Raises
    ------
    ValueError
        Shapes that do not fit; NaN; scales that are not positive; a row without any weight.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> two = fi.Mixture(np.log([[0.3, 0.7]]), [[[-1.0], [1.0]]], [[[0.1], [0.1]]])
    >>> two.modes().x.round(3).tolist()
    [[[1.0], [-1.0]]]
    >>> two.mean().round(3).tolist()
    [[0.4]]
    """

    def __init__(
        self,
        log_weights: ArrayLike,
        means: ArrayLike,
        scales: ArrayLike,
        covariance_type: Covariance = "diag",
    ) -> None:
        logits, means = as_float64(log_weights, "log_weights"), as_float64(means, "means")
        if logits.ndim != 2 or means.ndim != 3 or means.shape[:2] != logits.shape:
            raise ValueError(
                "log_weights and means must have shapes (n, K) and (n, K, D), got "
                f"{logits.shape} and {means.shape}"
            )
        if 0 in means.shape[1:]:
            raise ValueError(
                f"means must have at least one component and dimension, got {means.shape}"
            )
        if np.isnan(logits).any() or not np.isfinite(means).all():
            raise ValueError("log_weights must not be NaN and means must be finite")
        if (logits == np.inf).any() or (logits == -np.inf).all(axis=1).any():
            raise ValueError("log_weights must be below infinity, and one of each row above -inf")
        self._log_weights = log_softmax(logits, axis=1)
        self._means = means.copy()
        self._factors = _cholesky_factors(as_float64(scales, "scales"), means, covariance_type)
        self.covariance_type = covariance_type
        # Rows keep these numbers when the batch is sliced, and are sampled with them.
        self._row_numbers = np.arange(len(means))

    @classmethod
    def from_raw(
        cls,
        raw: ArrayLike,
        mixture: MixtureSpec,
        *,
        mean: ArrayLike = 0.0,
        scale: ArrayLike = 1.0,
    ) -> Mixture:
        """The mixtures that a network's raw outputs stand for.

        Parameters
        ----------
        raw : array-like of shape (n, mixture.n_raw)
            As :class:`MixtureSpec` describes them.
        mixture : MixtureSpec
        mean, scale : float or array-like of shape (D,), default=0.0, 1.0
            The mixture is of ``mean + scale * t`` where `raw` describes t: of unscaled targets
            where a network was trained on scaled ones.
        """
        raw = as_float64(raw, "raw")
        k, d = mixture.n_components, mixture.n_dims
        if raw.ndim != 2 or raw.shape[1] != mixture.n_raw:
            raise ValueError(f"raw must have shape (n, {mixture.n_raw}), got {raw.shape}")
        n = len(raw)
        shift = np.broadcast_to(as_float64(mean, "mean"), (d,))
        stretch = np.broadcast_to(as_float64(scale, "scale"), (d,))
        if not (np.isfinite(stretch) & (stretch > 0)).all():
            raise ValueError("scale must be positive and finite")
        log_weights = log_softmax(raw[:, :k], axis=1)
        if mixture.min_weight > 0:
            rest = 1.0 - k * mixture.min_weight
            log_weights = np.log(rest * np.exp(log_weights) + mixture.min_weight)
        means = shift + stretch * raw[:, k : k + k * d].reshape(n, k, d)
        entries = raw[:, k + k * d :].reshape(n, k, mixture.n_scales)

        def positive(logs: Float64Array) -> Float64Array:
            clipped = np.clip(logs, -_MAX_LOG_SCALE, _MAX_LOG_SCALE)
            return np.asarray(mixture.min_scale + np.exp(clipped))

        if mixture.covariance_type != "full":
            return cls(log_weights, means, positive(entries) * stretch, "diag")
        factors = np.zeros((n, k, d, d))
        factors[..., *np.tril_indices(d)] = entries
        diagonal = np.arange(d)
        factors[..., diagonal, diagonal] = positive(factors[..., diagonal, diagonal])
        return cls(log_weights, means, stretch[:, None] * factors, "full")

    @property
    def n_components(self) -> int:
        """K"""
        return int(self._means.shape[1])

    @property
    def n_dims(self) -> int:
        """D"""
        return int(self._means.shape[2])

    @property
    def weights(self) -> Float64Array:
        """Weights of the components, ``(n, K)``."""
        return np.asarray(np.exp(self._log_weights))

    @property
    def means(self) -> Float64Array:
        """Means of the components, ``(n, K, D)``."""
        return self._means.copy()

    @property
    def covariances(self) -> Float64Array:
        """Covariances of the components, ``(n, K, D, D)``."""
        return np.asarray(self._factors @ np.swapaxes(self._factors, -1, -2))

    def __len__(self) -> int:
        return len(self._means)

    def __getitem__(self, rows: int | slice | NDArray[np.intp] | NDArray[np.bool_]) -> Mixture:
        """Some of the rows; an integer keeps the leading dimension."""
        if isinstance(rows, int | np.integer):
            n = len(self)
            if not -n <= rows < n:
                raise IndexError(f"row {rows} is out of range for {n} rows")
            rows = slice(int(rows) % n, int(rows) % n + 1)
        part = object.__new__(Mixture)
        part.covariance_type = self.covariance_type
        for name in ("_log_weights", "_means", "_factors", "_row_numbers"):
            setattr(part, name, getattr(self, name)[rows])
        return part

    def __iter__(self) -> Iterator[Mixture]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        n, k, d = self._means.shape
        return f"Mixture: {n} row{'s' * (n != 1)}, {k} {self.covariance_type} components in R^{d}"

    def log_prob(self, y: ArrayLike) -> Float64Array:
        """Log density in nats.

        It is positive wherever the density is above 1, as that of narrow distributions is.

        Parameters
        ----------
        y : array-like of shape (n, D), (n, m, D), or (n,) where D is 1

        Returns
        -------
        ndarray of shape (n,), or (n, m) for m points a row
        """
        points = self._points(y)
        log_density = logsumexp(self._joint(points), axis=2)
        return np.asarray(log_density if np.ndim(y) == 3 else log_density[:, 0])

    def sample(self, n_samples: int = 1, random_state: RandomState = None) -> Float64Array:
        """Samples of each row, ``(n, n_samples, D)``.

        Each row has a random stream of its own, made of `random_state` and of the row's number in
        the batch that it was first in: ``mixture[i].sample(m, seed)`` are row i of
        ``mixture.sample(m, seed)``.
        """
        check_integer(n_samples, "n_samples")
        seed = int(check_random_state(random_state).integers(2**63))
        samples = np.empty((len(self), n_samples, self.n_dims))
        for i, number in enumerate(self._row_numbers.tolist()):
            rng = np.random.default_rng([seed, number])
            chosen = rng.choice(self.n_components, size=n_samples, p=self._probabilities(i))
            noise = rng.standard_normal((n_samples, self.n_dims, 1))
            steps = (self._factors[i, chosen] @ noise)[..., 0]
            samples[i] = self._means[i, chosen] + steps
        return samples

    def mean(self) -> Float64Array:
        """Mean of each row, ``(n, D)``."""
        return np.asarray(np.einsum("nk,nkd->nd", self.weights, self._means))

    def covariance(self) -> Float64Array:
        """Covariance of each row, ``(n, D, D)``, by the law of total variance."""
        apart = self._means - self.mean()[:, None]
        between = apart[..., :, None] * apart[..., None, :]
        return np.asarray(np.einsum("nk,nkde->nde", self.weights, self.covariances + between))

    def std(self) -> Float64Array:
        """Standard deviation of each coordinate, ``(n, D)``."""
        return np.sqrt(np.diagonal(self.covariance(), axis1=1, axis2=2))

    def modes(self) -> Modes:
        """All local maxima of each row's density, the highest first.

        Components are not modes: several can make one, and the mean of none need be one. See
        :func:`fastinv.mixture.modes.find_modes`.
        """
        return find_modes(self._log_weights, self._means, self._factors)

    def cdf(self, y: ArrayLike) -> Float64Array:
        """Distribution function of one-dimensional rows at `y` ``(n,)`` or ``(n, m)``."""
        return one_dimension.cdf(*self._one_dimensional(), as_float64(y, "y"))

    def quantile(self, level: ArrayLike) -> Float64Array:
        """Inverse of :meth:`cdf` at `level` in (0, 1): a number, giving ``(n,)``, or ``(m,)``
        levels for all rows, giving ``(n, m)``."""
        return one_dimension.quantile(*self._one_dimensional(), as_float64(level, "level"))

    def highest_density_region(self, level: float = 0.95) -> list[Float64Array]:
        """The smallest set with probability `level`, for one-dimensional rows.

        Returns
        -------
        list of n ndarrays of shape (m_i, 2)
            Intervals ``(low, high)``, ascending (Hyndman 1996).
        """
        return one_dimension.highest_density_region(*self._one_dimensional(), level)

    def to_sklearn(self, row: int = 0) -> GaussianMixture:
        """One row as a fitted scikit-learn GaussianMixture."""
        from sklearn.mixture import GaussianMixture

        one = self[row]
        model = GaussianMixture(self.n_components, covariance_type="full")
        model.weights_, model.means_ = one.weights[0], one.means[0]
        model.covariances_ = one.covariances[0]
        inverse = np.linalg.inv(one._factors[0])
        model.precisions_cholesky_ = np.swapaxes(inverse, -1, -2)
        model.precisions_ = np.swapaxes(inverse, -1, -2) @ inverse
        model.converged_, model.n_iter_, model.n_features_in_ = True, 0, self.n_dims
        return model

    def _points(self, y: ArrayLike) -> Float64Array:
        """`y` as ``(n, m, D)``."""
        points = as_float64(y, "y")
        n, d = len(self), self.n_dims
        if points.ndim == 1 and d == 1:
            points = points[:, None]
        if points.ndim == 2:
            points = points[:, None]
        if points.ndim != 3 or points.shape[0] != n or points.shape[2] != d:
            raise ValueError(f"y must have shape ({n}, {d}) or ({n}, m, {d}), got {np.shape(y)}")
        return points

    def _joint(self, points: Float64Array) -> Float64Array:
        """Log of weight times density of each component, ``(n, m, K)``."""
        apart = points[:, :, None] - self._means[:, None]
        whitened = np.linalg.solve(self._factors[:, None], apart[..., None])[..., 0]
        log_det = np.log(np.diagonal(self._factors, axis1=2, axis2=3)).sum(axis=2)
        constant = 0.5 * self.n_dims * np.log(2 * np.pi)
        squares = 0.5 * (whitened**2).sum(axis=3)
        return np.asarray((self._log_weights - log_det - constant)[:, None] - squares)

    def _probabilities(self, row: int) -> Float64Array:
        weights = np.exp(self._log_weights[row])
        return np.asarray(weights / weights.sum())

    def _one_dimensional(self) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Weights, means and standard deviations, ``(n, K)`` each."""
        if self.n_dims != 1:
            raise ValueError(f"this needs one dimension, the mixture has {self.n_dims}")
        return self.weights, self._means[:, :, 0], self._factors[:, :, 0, 0]


def _cholesky_factors(
    scales: Float64Array, means: Float64Array, covariance_type: str
) -> Float64Array:
    """Any of the three forms of `scales` as ``(n, K, D, D)``."""
    n, k, d = means.shape
    shapes = {"spherical": (n, k), "diag": (n, k, d), "full": (n, k, d, d)}
    if covariance_type not in COVARIANCES:
        raise ValueError(f"covariance_type must be one of {COVARIANCES}, got {covariance_type!r}")
    if covariance_type == "diag" and scales.shape == (n, k, 1):
        scales = np.broadcast_to(scales, (n, k, d))
    if scales.shape != shapes[covariance_type]:
        raise ValueError(
            f"scales must have shape {shapes[covariance_type]} for {covariance_type!r}, "
            f"got {scales.shape}"
        )
    if covariance_type == "full":
        factors = np.tril(scales)
        if (factors != scales).any():
            raise ValueError("scales must be lower triangular for 'full'")
    else:
        factors = np.zeros((n, k, d, d))
        diagonal = np.arange(d)
        factors[..., diagonal, diagonal] = scales[..., None] if scales.ndim == 2 else scales
    if not ((np.diagonal(factors, axis1=2, axis2=3) > 0).all() and np.isfinite(factors).all()):
        raise ValueError("scales must be positive and finite")
    return factors
