"""A Gaussian process for one output, on the scale that suits it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv._common.threads import one_blas_thread
from fastinv.estimators._gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    choose_hyperparameters,
)
from fastinv.estimators.networks import mean_and_scale

# Rows that the evidence is computed from: its cost grows with their cube.
_ROWS_TO_CHOOSE, _ROWS_TO_TUNE = 200, 350
# The evidence must rise by this much for a choice other than the first. A choice that explains the
# rows no better is not worth its risks.
_MARGIN = 3.0
_POWERS = (0.0, 0.5, 2.0)  # besides 1, where y is positive
_FIRST_LENGTHS = (0.3, 1.0)
_FIRST_NOISE = 1e-2
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Scale:
    """Maps between y and z, which is standardised ``y**power``, or log y if `power` is 0.

    Box & Cox 1964; in a Gaussian process: Snelson, Rasmussen & Ghahramani 2004.
    """

    power: float
    unit: float  # unit of y, so that no power of it overflows
    mean: float
    width: float
    lowest: float  # least z, so that no extrapolated logarithm overflows
    highest: float

    @classmethod
    def of(cls, y: Float64Array, power: float) -> Scale:
        unit = 1.0 if power == 1.0 else float(y.max())
        raised = _to_power(y / unit, power)
        means, widths = mean_and_scale(raised[:, None], "y")
        mean, width = float(means[0]), float(widths[0])
        low, high = (float(raised.min()) - mean) / width, (float(raised.max()) - mean) / width
        return cls(power, unit, mean, width, 2.0 * low - high, 2.0 * high - low)

    def to_z(self, y: Float64Array) -> Float64Array:
        return (_to_power(y / self.unit, self.power) - self.mean) / self.width

    def to_y(self, z: Float64Array) -> Float64Array:
        if self.power == 1.0:
            return z * self.width + self.mean
        raised = np.clip(z, self.lowest, self.highest) * self.width + self.mean
        if self.power == 0.0:
            return self.unit * np.exp(raised)
        # The process does not know that y is positive: its mean may be below zero.
        return self.unit * np.maximum(raised, 0.0) ** (1.0 / self.power)

    def level2(self, z: Float64Array) -> Float64Array:
        """Squares of ``y**power`` in units of z, which relative noise is in proportion to."""
        return (z + self.mean / self.width) ** 2

    def y_per_z(self, y: Float64Array) -> Float64Array:
        """|dy/dz|."""
        if self.power == 1.0:
            return np.full(len(y), self.width)
        factor = self.power if self.power else 1.0
        in_units = np.maximum(y / self.unit, _TINY)
        with np.errstate(over="ignore"):  # an infinite slope has no evidence and is not chosen
            return self.unit * self.width * in_units ** (1.0 - self.power) / factor


@dataclass(frozen=True, eq=False)
class Teacher:
    """A Gaussian process for one output, on inputs in the unit box.

    Attributes
    ----------
    process : GaussianProcess
        The process for z, see `scale`.
    scale : Scale
    low, width : ndarray of shape (p,)
        Box of the rows.
    noise_std : float
        Root mean square over the rows, in units of y.
    """

    process: GaussianProcess
    scale: Scale
    low: Float64Array
    width: Float64Array
    noise_std: float

    @classmethod
    def fit(
        cls, x: Float64Array, y: Float64Array, max_samples: int, rng: np.random.Generator
    ) -> Teacher:
        """Fit to `x` ``(n, p)`` and `y` ``(n,)``, or to random `max_samples` of these rows."""
        order = rng.permutation(len(x))[:max_samples]
        x, y = x[order], y[order]
        low, width = x.min(axis=0), np.ptp(x, axis=0)
        width = np.where(width > 0.0, width, 1.0)
        unit = (x - low) / width
        start = _choose(unit[:_ROWS_TO_CHOOSE], y[:_ROWS_TO_CHOOSE])
        scale = Scale.of(y, start.scale.power)
        chosen, level2 = _tune(start.chosen, scale, unit, y)
        process = GaussianProcess.conditioned(chosen, (unit, scale.to_z(y), level2))
        in_z = np.sqrt(chosen.noise_variances(level2))
        noise_std = float(np.sqrt(np.mean((in_z * scale.y_per_z(y)) ** 2)))
        return cls(process, scale, low, width, noise_std)

    @property
    def lengths(self) -> Float64Array:
        """Lengths (p,) over which f varies, in units of x."""
        return self.process.hyperparameters.lengths * self.width

    def predict(self, x: Float64Array) -> Float64Array:
        """Most probable y (m,) at points `x` (m, p)."""
        with one_blas_thread():
            return self.scale.to_y(self.process.mean((x - self.low) / self.width))

    def std(self, x: Float64Array) -> Float64Array:
        """Standard deviation of f (m,) at points `x` (m, p), without noise."""
        with one_blas_thread():
            deviations = np.sqrt(self.process.variance((x - self.low) / self.width))
        return deviations * self.scale.y_per_z(self.predict(x))


@dataclass(frozen=True, eq=False)
class _Candidate:
    """Hyperparameters on a scale, with the evidence that they have for y."""

    chosen: Hyperparameters
    scale: Scale
    evidence: float

    @classmethod
    def of(
        cls, start: Hyperparameters, power: float, unit: Float64Array, y: Float64Array
    ) -> _Candidate:
        scale = Scale.of(y, power)
        chosen = choose_hyperparameters((unit, scale.to_z(y), np.zeros(len(y))), start)
        # Turn densities of z into densities of y.
        return cls(chosen, scale, chosen.evidence - float(np.log(scale.y_per_z(y)).sum()))


def _choose(unit: Float64Array, y: Float64Array) -> _Candidate:
    """Power and kernel by their evidence for y (n,) at the rows `unit` (n, p)."""
    n_inputs = unit.shape[1]
    plain = [
        _Candidate.of(
            Hyperparameters("gaussian", 1.0, np.full(n_inputs, length), _FIRST_NOISE), 1.0, unit, y
        )
        for length in _FIRST_LENGTHS
    ]
    best = max(plain, key=lambda candidate: candidate.evidence)
    if y.min() > 0.0 and np.ptp(y) > 0.0:
        powers = [_Candidate.of(best.chosen, power, unit, y) for power in _POWERS]
        best = _better(best, *powers)
    return _better(
        best, _Candidate.of(replace(best.chosen, kernel="matern"), best.scale.power, unit, y)
    )


def _better(first: _Candidate, *others: _Candidate) -> _Candidate:
    best = max(others, key=lambda candidate: candidate.evidence)
    return best if best.evidence > first.evidence + _MARGIN else first


def _tune(
    chosen: Hyperparameters, scale: Scale, unit: Float64Array, y: Float64Array
) -> tuple[Hyperparameters, Float64Array]:
    """Hyperparameters from more rows, and the squared levels (n,) of all: noise may grow with
    them."""
    z = scale.to_z(y)
    level2 = np.zeros(len(z))
    few = slice(_ROWS_TO_TUNE)
    constant = choose_hyperparameters((unit[few], z[few], level2[few]), chosen)
    process = GaussianProcess.conditioned(constant, (unit[few], z[few], level2[few]))
    level2 = scale.level2(process.mean(unit))
    if not level2.any():
        return constant, level2
    half = 0.5 * constant.noise
    start = replace(constant, noise=half, relative_noise=half / float(level2.mean()))
    relative = choose_hyperparameters((unit[few], z[few], level2[few]), start)
    if relative.evidence > constant.evidence + _MARGIN:
        return relative, level2
    return constant, level2


def _to_power(y: Float64Array, power: float) -> Float64Array:
    return np.log(np.maximum(y, _TINY)) if power == 0.0 else y**power
