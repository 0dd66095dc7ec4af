"""A batch of conditional mixtures of Gaussians, one for each row that a network was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.mixture import GaussianMixture

from fastinv._common.arrays import Float64Array, IntArray
from fastinv._common.validation import RandomState, check_integer, check_number
from fastinv.backends import Backend, get_backend
from fastinv.functions.networks import Covariance, MixtureSpec
from fastinv.mixture import checks
from fastinv.mixture.conversion import from_raw_outputs, to_gaussian_mixture
from fastinv.mixture.densities import log_densities, scale_matrix
from fastinv.mixture.modes import Modes, find_modes, joined, rows_at_once
from fastinv.mixture.one_dim import Interval, Line, highest_density_regions, quantiles
from fastinv.mixture.sampling import draw


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Mixture:
    """n mixtures of K Gaussians each in D dimensions, p(y | x) for n values of x. Immutable.

    Parameters
    ----------
    log_weights : array-like of shape (n, K)
        Logarithms of the mixing weights up to a constant for each row: they are normalised by a
        log-softmax. -inf is a weight of zero.
    means : array-like of shape (n, K, D)
    scales : array-like
        Shape (n, K), standard deviations, for "spherical"; (n, K, D), standard deviations, for
        "diag"; (n, K, D, D), lower Cholesky factors L of the covariances ``L L^T``, for "full".
        In the units of y.
    covariance_type : {"spherical", "diag", "full"}, default="diag"

    Attributes
    ----------
    log_weights, means, scales, covariance_type
        As above, log_weights normalised; read-only float64 arrays.

    Raises
    ------
    ValueError
        Shapes that do not fit together; NaN; infinities (except log_weights of -inf); scales or
        diagonals that are not between 1e-140 and 1e140; a factor with entries above its diagonal;
        a row whose weights are all zero.

    Examples
    --------
    >>> import numpy as np
    >>> from fastinv.mixture import Mixture
    >>> mixture = Mixture(np.log([[0.3, 0.7]]), [[[-1.0], [1.0]]], [[[0.1], [0.1]]])
    >>> mixture
    Mixture: 1 row, 2 components, y in R^1, diag
    >>> mixture.mean().round(3).tolist()
    [[0.4]]
    >>> mixture.modes().x.round(3).tolist()
    [[[1.0], [-1.0]]]
    """

    log_weights: Float64Array
    means: Float64Array
    scales: Float64Array
    covariance_type: Covariance
    _row_ids: IntArray  # seeds of sampling; rows keep them when the batch is sliced

    def __init__(
        self,
        log_weights: ArrayLike,
        means: ArrayLike,
        scales: ArrayLike,
        covariance_type: Covariance = "diag",
    ) -> None:
        arrays = checks.check_components(log_weights, means, scales, covariance_type)
        self._set(*arrays, covariance_type, np.arange(len(arrays[0])))

    @classmethod
    def from_raw(
        cls,
        raw: ArrayLike,
        mixture: MixtureSpec,
        *,
        mean: ArrayLike = 0.0,
        scale: ArrayLike = 1.0,
    ) -> Mixture:
        """Mixtures from raw network outputs, in the units of the user.

        Parameters
        ----------
        raw : array-like of shape (n, n_raw)
            Rows as :class:`fastinv.backends.protocol.MixtureSpec` lays them out, for targets t.
            Logits and log scales are limited as in the loss; infinite ones count as the limits.
        mixture : MixtureSpec
        mean, scale : array-like of shape () or (D,), default=0.0 and 1.0
            ``y = mean + scale t``; scales are positive. The density is that of y, so it includes
            the Jacobian of this map. "spherical" components become "diag" if scales differ.

        Returns
        -------
        Mixture
        """
        return cls(*from_raw_outputs(raw, mixture, mean, scale))

    @property
    def n_components(self) -> int:
        """K."""
        return int(self.means.shape[1])

    @property
    def n_dims(self) -> int:
        """D."""
        return int(self.means.shape[2])

    @property
    def weights(self) -> Float64Array:
        """Mixing weights, shape (n, K); rows sum to 1."""
        return np.exp(self.log_weights)

    @property
    def covariances(self) -> Float64Array:
        """Covariances of the components, shape (n, K, D, D)."""
        factors = self._factors()
        return factors @ np.swapaxes(factors, 2, 3)

    def mean(self) -> Float64Array:
        """Mean of each mixture, shape (n, D)."""
        return np.asarray((self.weights[:, :, None] * self.means).sum(axis=1))

    def std(self) -> Float64Array:
        """Standard deviation of each coordinate of each mixture, shape (n, D)."""
        variances = (self._factors() ** 2).sum(axis=3) + (self.means - self.mean()[:, None]) ** 2
        return np.asarray(np.sqrt((self.weights[:, :, None] * variances).sum(axis=1)))

    def covariance(self) -> Float64Array:
        """Covariance of each mixture: within the components and between them, (n, D, D)."""
        offsets = self.means - self.mean()[:, None]
        second = self.covariances + offsets[..., :, None] * offsets[..., None, :]
        return np.asarray((self.weights[:, :, None, None] * second).sum(axis=1))

    def log_prob(self, y: ArrayLike) -> Float64Array:
        """Log density, in nats.

        Parameters
        ----------
        y : array-like of shape (n, D), (n, m, D) or (1, m, D); (n,) where D is 1
            One value for each row, m for each row, or the same m for all rows. Infinities give
            -inf, NaN gives NaN.

        Returns
        -------
        ndarray of shape (n,) or (n, m), float64
        """
        given, single = checks.check_values(y, len(self), self.n_dims)
        log_prob = log_densities(
            given, self.log_weights, self.means, self.scales, self.covariance_type
        )
        return log_prob[:, 0] if single else log_prob

    def sample(
        self, n_samples: int = 1, random_state: RandomState | Sequence[int] = None
    ) -> Float64Array:
        """Independent draws from each mixture.

        Every row has its own random stream, so a batch gives the same as its rows one by one.

        Parameters
        ----------
        n_samples : int, default=1
        random_state : int, sequence of n int, RandomState, Generator or None, default=None
            An integer seeds row i of this batch together with i, which slices remember:
            ``mixture[i].sample(m, seed)`` is ``mixture.sample(m, seed)[i:i+1]``. A sequence gives
            each row its seed, whatever its position: rows with the same seed get the same uniform
            and normal numbers. A RandomState or Generator is drawn from once. None seeds from
            the operating system.

        Returns
        -------
        ndarray of shape (n, n_samples, D), float64
        """
        count = check_integer(n_samples, "n_samples", minimum=0)
        return draw(self.weights, self.means, self._factors(), count, random_state, self._row_ids)

    def modes(self, *, backend: str | Backend = "auto", n_threads: int | None = None) -> Modes:
        """Local maxima of each density, the highest first. Components are not modes.

        Two components that overlap can have one mode; components that cross can have more modes
        than there are means. Climbs start from the mean of every component of positive weight
        and, where the log density is concave, from the points between every two of them and
        between all (Carreira-Perpinan 2000; Ray & Lindsay 2005). Ends within 1e-3 local standard
        deviations are one mode; saddle points and minima are not modes.

        Parameters
        ----------
        backend : {"auto", "cpp", "reference"} or Backend, default="auto"
        n_threads : int or None, default=None
            None takes as many as the process may use. Results have the same bits for every number.

        Returns
        -------
        Modes
            Padded to the largest number of modes of a row.
        """
        kernels = get_backend(backend)
        step = rows_at_once(self.n_components, self.n_dims)
        blocks = (self[i : i + step] for i in range(0, len(self), step))
        parts = [block._modes_at_once(kernels, n_threads) for block in blocks]
        return parts[0] if len(parts) == 1 else joined(parts, self.n_dims)

    def cdf(self, y: ArrayLike) -> Float64Array:
        """P(Y <= y), in one dimension.

        Parameters
        ----------
        y : array-like of shape (n,), (n, 1), (n, m, 1) or (1, m, 1)
            NaN gives NaN.

        Returns
        -------
        ndarray of shape (n,) or (n, m), float64

        Raises
        ------
        ValueError
            D is not 1.
        """
        checks.check_one_dimension("cdf", self.n_dims)
        given, single = checks.check_values(y, len(self), 1)
        mass = self._line().cdf(given[:, :, 0])
        return mass[:, 0] if single else mass

    def quantile(self, p: ArrayLike) -> Float64Array:
        """y with P(Y <= y) = p, in one dimension.

        Parameters
        ----------
        p : array-like of shape (), (m,) or (n, m)
            Probabilities in [0, 1]: for all rows, or for each row. 0 and 1 give -inf and inf.

        Returns
        -------
        ndarray of shape (n,) for a single p, else (n, m), float64
            Its cdf is p to rounding.

        Raises
        ------
        ValueError
            D is not 1, or p is not in [0, 1].
        """
        checks.check_one_dimension("quantile", self.n_dims)
        wanted, single = checks.check_probabilities(p, len(self))
        y = quantiles(self._line(), wanted)
        return y[:, 0] if single else y

    def highest_density_region(self, level: float) -> list[list[Interval]]:
        """The smallest set that holds a share of the mass, in one dimension (Hyndman 1996).

        Parameters
        ----------
        level : float
            Above 0, below 1.

        Returns
        -------
        list of n lists of (low, high)
            Disjoint intervals in ascending order; the density is the same at all their ends.

        Raises
        ------
        ValueError
            D is not 1, or the level is out of range.
        """
        checks.check_one_dimension("highest_density_region", self.n_dims)
        level = check_number(level, "level", above=0.0, below=1.0)
        return highest_density_regions(self._line(), self.modes().x[:, :, 0], level)

    def to_sklearn(self, row: int = 0) -> GaussianMixture:
        """One row as a fitted :class:`sklearn.mixture.GaussianMixture`.

        Components of weight zero, which scikit-learn cannot score without warnings, are left out.

        Raises
        ------
        IndexError
            There is no such row.
        """
        one = self[row]
        return to_gaussian_mixture(
            one.weights[0], one.means[0], one.scales[0], self.covariance_type
        )

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, rows: int | slice | NDArray[np.intp] | NDArray[np.bool_]) -> Mixture:
        """The mixtures of some rows; an integer keeps the leading dimension."""
        if isinstance(rows, int | np.integer):
            n = len(self)
            if not -n <= rows < n:
                raise IndexError(f"row {rows} is out of range for {n} rows")
            rows = slice(int(rows) % n, int(rows) % n + 1)
        part = object.__new__(Mixture)
        part._set(
            self.log_weights[rows],
            self.means[rows],
            self.scales[rows],
            self.covariance_type,
            self._row_ids[rows],
        )
        return part

    def __iter__(self) -> Iterator[Mixture]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        n, k, d = self.means.shape
        return (
            f"Mixture: {n} row{'s' * (n != 1)}, {k} component{'s' * (k != 1)}, y in R^{d}, "
            f"{self.covariance_type}"
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._set(*(state[field.name] for field in fields(self)))

    def _set(
        self,
        log_weights: Float64Array,
        means: Float64Array,
        scales: Float64Array,
        covariance_type: Covariance,
        row_ids: IntArray,
    ) -> None:
        for array in (log_weights, means, scales, row_ids):
            array.setflags(write=False)
        values = (log_weights, means, scales, covariance_type, row_ids)
        for field, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, field.name, value)

    def _modes_at_once(self, kernels: Backend, n_threads: int | None) -> Modes:
        x, weight = find_modes(kernels, self.weights, self.means, self._factors(), n_threads)
        is_mode = ~np.isnan(x).any(axis=2)
        log_prob = np.where(is_mode, self.log_prob(x), -np.inf)
        order = np.argsort(-log_prob, axis=1, kind="stable")
        return Modes(
            np.take_along_axis(x, order[:, :, None], axis=1),
            np.take_along_axis(log_prob, order, axis=1),
            np.take_along_axis(weight, order, axis=1),
            is_mode.sum(axis=1),
        )

    def _factors(self) -> Float64Array:
        return scale_matrix(self.scales, self.n_dims, self.covariance_type)

    def _line(self) -> Line:
        scales = self.scales.reshape(len(self), self.n_components)
        return Line(self.log_weights, self.means[:, :, 0], scales)
