"""Whether f - y has a root near a point, as far as f tells, and how sharply it is determined.

f is computed with rounding errors. A point is a root to the accuracy of f if no output differs
from the target by more than those. Their size has a floor, the rounding of f(x) and of x, and is
measured where that does not explain what is left: differences of high order between the images of
equally spaced points vanish for a smooth f and keep its noise (Hamming 1962; Moré and Wild 2011,
"Estimating Computational Noise").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array, IntArray
from fastinv.backends.distances import distance
from fastinv.backends.reference.function import Derivatives
from fastinv.functions.problem import Problem

_EPSILON = float(np.finfo(np.float64).eps)
# A root to the accuracy of f: errors up to this many times its rounding, or its noise.
EXACT, _EXACT_IN_NOISE = 8.0, 6.0
# A Newton step that shrinks the residual by this factor. Towards a target that f only nearly
# reaches, at a fold, the factor is never below 1/4.
_CONTRACTION = 0.125
_RANK = 1e-7  # singular values below this, relative to the largest, are zero
_LONGEST_STEP = 0.05  # in units of the region
_POINTS = 9
_SPACING = 2.0**-17  # widest spacing of points, in units of the region
_NARROW = 2.0**-20  # no f that can be inverted is wild within this
_IRREGULAR = 1e-2  # largest noise, relative to how much f varies there
_SURE = 4.0  # times the noise of each output
# Differences of f's noise look like a derivative. What such a one resolves is wider than this.
_RESOLVED = 2.0**-20
_FAR = 1e-10  # a radius that is not only rounding of x
_GROWTH, _FLAT = 4.0, 0.5  # of the radius, and where it stops


@dataclass(frozen=True, eq=False)
class RootFacts:
    """What is known of n roots: the radius ``x_error`` (n,), in units of the region, in which each
    lies; and whether f changes less there than its derivative says, ``singular`` (n,)."""

    x_error: Float64Array
    singular: BoolArray

    def __getitem__(self, rows: IntArray) -> RootFacts:
        """Those of some roots."""
        return RootFacts(self.x_error[rows], self.singular[rows])


# Residuals beyond this are no noise, as a function of so much noise could not be inverted.
MOST_NOISE = 1e-3


class Roots:
    """Judges points of a problem, many at a time."""

    def __init__(self, problem: Problem) -> None:
        self._f = Derivatives(problem)
        self._region, self._weight = problem.region, problem.y_weight
        resolution = problem.resolution
        self._resolution = np.zeros(len(self._weight)) if resolution is None else resolution

    def shows(
        self, y: Float64Array, x: Float64Array, fx: Float64Array
    ) -> tuple[BoolArray, BoolArray]:
        """Whether f - y has a root near each of `x` ``(n, p)`` with images `fx` ``(n, q)``.

        Returns
        -------
        exact : ndarray of shape (n,)
            Errors are rounding, or noise of f.
        near : ndarray of shape (n,)
            A Newton step comes so much closer that the theorem of Newton and Kantorovich is as
            good as satisfied.
        """
        with np.errstate(all="ignore"):
            jac = self.derivatives(x)
            rounding = self._rounding(x, fx, jac, generous=True)
            exact = self.within(y, fx, EXACT * rounding)
            near = np.zeros_like(exact)
            rest = np.flatnonzero(~exact)
            if not len(rest):
                return exact, near
            y, x, fx, jac, rounding = (a[rest] for a in (y, x, fx, jac, rounding))
            # In units in which no output's error vanishes, in squares or beside others.
            largest = np.abs(jac).max(axis=2)
            unit = np.where(largest > 0, np.exp2(-np.floor(np.log2(largest))), 1.0)
            errors = unit * (fx - y) * self._weight
            steps = -_shortest(jac * unit[:, :, None], errors)
            length = np.linalg.norm(steps, axis=1)
            length[~jac.any(axis=(1, 2))] = np.inf  # there is no step
            moved = self._region.clip_step(x + self._region.scale * steps)
            # No step reduces the error of an output that does not change.
            allowed = EXACT * rounding + self._resolution * self._weight
            stuck = (largest == 0) & ~(np.abs((fx - y) * self._weight) <= allowed)
            length[stuck.any(axis=1)] = np.inf
            usable = length <= _LONGEST_STEP
            rest_of = np.abs(unit * (self._f.values(moved) - y) * self._weight).max(axis=1)
            closer = rest_of <= _CONTRACTION * np.abs(errors).max(axis=1)
            spacing = np.where(length * 4 < _SPACING, length * 4, _SPACING)
            noise = self._measured(x, rounding, spacing)[0]
            noise = self._measured(x, noise, np.full(len(x), _NARROW))[0]
            noise = np.fmax(noise, self._changed_by_digits(x, fx))
            noisy = self.within(y, fx, _EXACT_IN_NOISE * noise)
            near[rest] = usable & closer
            exact[rest] = noisy & ~near[rest]
        return exact, near

    def assess(self, y: Float64Array, x: Float64Array, fx: Float64Array) -> RootFacts:
        """How sharply the roots at `x` ``(n, p)`` are determined."""
        with np.errstate(all="ignore"):
            jac = self.derivatives(x)
            noise = 0.5 * self._rounding(x, fx, jac, generous=False)
            noise, _ = self._measured(x, noise, np.zeros(len(x)))
            noise, _ = self._measured(x, noise, np.full(len(x), _NARROW))
            noise, spread = self._measured(x, noise, np.full(len(x), _SPACING))
            noise = noise + self._resolution * self._weight
            # Where f and its derivative are zero, digits say nothing.
            noise = np.fmax(noise, _EPSILON**2 * spread)
            weight = np.where(noise > 0, 1 / noise, 0.0)
            errors = (fx - y) * self._weight * weight
            q = y.shape[1]
            sure = _SURE * np.sqrt(q)
            wanted = 1.5 * np.linalg.norm(errors, axis=1) + sure
            scaled = np.where(np.isfinite(jac), jac, 0.0) * weight[:, :, None]
            _, values, directions = np.linalg.svd(scaled)
            digits = np.linalg.norm(x / self._region.scale * _EPSILON, axis=1)
            # In each direction: as far as the derivative says, or until f leaves what may be noise.
            squared, singular = digits**2, np.zeros(len(x), dtype=np.bool_)
            for k in range(values.shape[1]):
                radius = np.fmax(1.25 * wanted / values[:, k], digits)
                irregular = ~(radius < _FLAT)
                if self._f.evaluations_per_jacobian > 1:
                    irregular |= ~(sure / values[:, k] < _RESOLVED)
                radius[irregular] = np.fmax(digits, _EPSILON)[irregular]
                growing = np.arange(len(x))
                while len(growing):
                    leaves = self._leaves(
                        x[growing], fx[growing], radius[growing], directions[growing, k],
                        wanted[growing], weight[growing],
                    )  # fmt: skip
                    growing = growing[~leaves]
                    irregular[growing] = True
                    radius[growing] *= _GROWTH
                    flat = growing[radius[growing] > _FLAT]
                    radius[flat] = 0.0  # along a set of roots
                    growing = growing[radius[growing] > 0]
                by_growth = irregular.copy()
                # Where the derivative is nearly zero, f may leave much sooner than it says.
                shrinking = np.flatnonzero(~irregular)
                while len(shrinking):
                    smaller = radius[shrinking] / _GROWTH
                    shrinking = shrinking[
                        (radius[shrinking] > _FAR) & (smaller > digits[shrinking])
                    ]
                    leaves = self._leaves(
                        x[shrinking], fx[shrinking], radius[shrinking] / _GROWTH,
                        directions[shrinking, k], wanted[shrinking], weight[shrinking],
                    )  # fmt: skip
                    shrinking = shrinking[leaves]
                    radius[shrinking] /= _GROWTH
                    irregular[shrinking] = True
                radius[by_growth] *= _GROWTH  # f bends, and so may its noise
                squared += radius**2
                singular |= irregular
        return RootFacts(np.sqrt(squared), singular)

    def derivatives(self, x: Float64Array) -> Float64Array:
        """Derivatives ``(n, q, p)`` in units of the region and the outputs, 0 where not finite."""
        jac = self._f.jacobians(x) * self._region.scale * self._weight[:, None]
        return np.where(np.isfinite(jac), jac, 0.0)

    def residual(self, y: Float64Array, fx: Float64Array) -> Float64Array:
        """The distance ``(n,)`` of images from targets."""
        return distance(fx, y, self._weight)

    def _rounding(
        self, x: Float64Array, fx: Float64Array, jac: Float64Array, *, generous: bool
    ) -> Float64Array:
        """The size ``(n, q)`` of one rounding of f(x) and of x, as it changes each output;
        generously, x is only as good as the rounding of the region's scale."""
        size = np.abs(x) / self._region.scale
        if generous:
            size = np.maximum(size, 1.0)
        by_x = np.einsum("nqp,np->nq", np.abs(jac), size)
        return np.asarray(self._f.rounding * (np.abs(fx) * self._weight + by_x))

    def within(self, y: Float64Array, fx: Float64Array, allowed: Float64Array) -> BoolArray:
        """Which of the images `fx` ``(n, q)`` are `y` to what is `allowed` ``(n, q)``, in units of
        the outputs, and the resolution of f."""
        errors = np.abs((fx - y) * self._weight)
        return np.asarray((errors <= allowed + self._resolution * self._weight).all(axis=1))

    def _measured(
        self, x: Float64Array, noise: Float64Array, spacing: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """`noise` ``(n, q)``, raised to what the images of equally spaced points show; and their
        range. For a smooth f fifth differences are far smaller than third ones."""
        region = self._region
        digits = 16 * self._f.rounding * np.abs(x)
        h = np.maximum(spacing[:, None] * region.scale, digits)
        last = np.maximum(region.step_upper - (_POINTS - 1) * h, region.step_lower)
        first = np.minimum(np.maximum(x - (_POINTS - 1) / 2 * h, region.step_lower), last)
        points = region.clip_step(first[:, None] + np.arange(_POINTS)[:, None] * h[:, None])
        images = self._f.values(points)

        # Divided by the variance that independent errors give the differences.
        thirds, fifths = (np.diff(images, order, axis=1) * self._weight for order in (3, 5))
        third = np.sqrt((thirds**2).mean(axis=1) / 20)
        fifth = np.sqrt((fifths**2).mean(axis=1) / 252)
        jump = np.abs(thirds).max(axis=1)  # of what is mostly constant, and then changes by digits
        spread = np.ptp(images, axis=1) * self._weight
        irregular = fifth >= 0.3 * third
        # Points far apart may differ by more than noise, and have more digits to round.
        digits = np.abs(images).max(axis=1) * self._weight
        above_digits = (spacing == 0)[:, None] | (fifth > 4 * self._f.rounding * digits)
        tame = (spacing <= _NARROW)[:, None] | (fifth <= _IRREGULAR * spread)
        counts = irregular & above_digits & tame
        return np.where(counts, np.maximum(noise, np.maximum(2 * fifth, jump / 4)), noise), spread

    def _changed_by_digits(self, x: Float64Array, fx: Float64Array) -> Float64Array:
        """How much each output ``(n, q)`` changes if a coordinate moves by a rounding of itself or
        of the region's scale: where derivatives vanish, x is still no better than that."""
        digits = self._f.rounding * np.maximum(np.abs(x), self._region.scale)
        changes = np.zeros(fx.shape)
        for one in np.eye(x.shape[1]):
            for sign in (-1.0, 1.0):
                images = self._f.values(self._region.clip_step(x + sign * digits * one))
                changes = np.fmax(changes, np.abs((images - fx) * self._weight))
        return changes

    def _leaves(
        self,
        x: Float64Array,
        fx: Float64Array,
        radius: Float64Array,
        direction: Float64Array,
        wanted: Float64Array,
        weight: Float64Array,
    ) -> BoolArray:
        """Whether f leaves its value at `x` by at least `wanted`, in units of its noise, on every
        side along the direction that lies inside the bounds."""
        leaves = np.ones(len(x), dtype=bool)
        for sign in (-1.0, 1.0):
            point = x + sign * radius[:, None] * self._region.scale * direction
            inside = self._region.allows(point)
            change = (
                (self._f.values(np.where(inside[:, None], point, x)) - fx) * self._weight * weight
            )
            stays = np.linalg.norm(change, axis=1) < wanted  # not for NaN, where f ends
            leaves &= ~(stays & inside)
        return leaves


def _shortest(jac: Float64Array, b: Float64Array) -> Float64Array:
    """The shortest x ``(n, p)`` that bring ``jac x`` nearest to `b` ``(n, q)``, each by itself."""
    u, sigma, vt = np.linalg.svd(jac, full_matrices=False)
    counts = sigma > _RANK * sigma[:, :1]
    inverse = np.where(counts, 1 / np.where(counts, sigma, 1.0), 0.0)
    return np.asarray(np.einsum("nmp,nm->np", vt, inverse * np.einsum("nqm,nq->nm", u, b)))
