"""Damped Gauss-Newton within bounds, many starts at a time, one formula per line.

Levenberg (1944), Marquardt (1963); bounds by projection onto the active set: Bertsekas (1982),
"Projected Newton Methods for Optimization Problems with Simple Constraints".

Near a multiple root steps shrink by a constant ratio only, and their sum is extrapolated: Aitken
(1926), Schröder (1870).

Every start has its own path and damping. Whatever all of them need next is evaluated in
one call of f. An f that only Python can evaluate is also polished here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array, IntArray, StatusArray
from fastinv.backends.distances import distance
from fastinv.backends.reference.function import Derivatives
from fastinv.backends.reference.roots import EXACT, Roots
from fastinv.backends.solving import Anchors, CandidateFlag, Candidates, PipelineOptions
from fastinv.backends.systems import damped_steps, factors
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem

# The values of Polished.end.
SOLVED, STATIONARY, EVALUATIONS = range(3)

_ROUNDING = 2.0  # rounding units of f(x) and y that each output may be off
_TINY = 1e-40  # products of squares below this may vanish
# Differences are as wide as common after steps of this length, in units of the region, or narrower.
_SHORT_STEP = 1e-5
# An output that changes so much less than another gets a unit of its own.
_MUCH_FLATTER = 1e-4
_FIRST_DAMPING, _MOST_DAMPING, _LEAST_RAISED_DAMPING = 1e-4, 1e10, 1e-12
_STATIONARY = 1e-9  # cosine between the residual and what the Jacobian can reach
# After a step that shrinks the squared residual by this factor, the next keeps the derivatives.
_KEEP_DERIVATIVES = 1e-3
# Steps towards a multiple root: the least and the largest ratio of one to the next, how steady it
# is, and how much closer an extrapolation must come, in squares.
_LEAST_RATIO, _LARGEST_RATIO, _STEADY, _MUCH_CLOSER = 0.3, 0.98, 0.1, 0.25

# The next need of a start.
_DERIVATIVE, _STEP, _ANOTHER_STEP, _NOTHING = range(4)


@dataclass(frozen=True, eq=False)
class Ends:
    """Results of n starts. ``exact``: the residual is rounding of f or of x. In units of the
    region, ``first_step`` is the length of the first step, and ``later_steps`` the distance from
    its end."""

    x: Float64Array
    fx: Float64Array
    residual: Float64Array
    n_evaluations: IntArray
    end: StatusArray
    exact: BoolArray
    first_step: Float64Array
    later_steps: Float64Array


class Polish:
    """Moves starts towards f(x) = y, never away from it."""

    def __init__(self, problem: Problem, options: PipelineOptions) -> None:
        self._problem, self._region, self._options = problem, problem.region, options

    def run(self, y: Float64Array, x: Float64Array, fx: Float64Array) -> Ends:
        """From `x` ``(n, p)`` within the bounds, with images `fx` ``(n, q)``, towards `y`
        ``(n, q)``.

        A row with a residual that is not finite stays as it is.
        """
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            descent = _Descent(self._problem, self._options, y, x, fx)
            return descent.run()

    def candidates(self, goal: Goal, candidates: Candidates, anchors: Anchors) -> Candidates:
        """Candidates, or their anchors where those are exact and closer, polished; with flags."""
        y = np.broadcast_to(goal.targets[:, None, :], candidates.fx.shape)
        x, fx, flags = candidates.x.copy(), candidates.fx.copy(), candidates.flags.copy()
        finite = np.isfinite(y).all(axis=2)
        if self._options.anchors_exact:
            images = anchors.y[candidates.anchor]
            weight = self._problem.y_weight
            worse = finite & ~(distance(fx, y, weight) <= distance(images, y, weight))
            x[worse], fx[worse] = anchors.x[candidates.anchor[worse]], images[worse]
            flags[worse] = 0
        ends = self.run(y[finite], x[finite], fx[finite])
        x[finite], fx[finite] = self._region.wrap(ends.x), ends.fx
        flags[finite] &= CandidateFlag.EXTRAPOLATED
        flags[finite] |= CandidateFlag.CLIPPED * self._region.touches(x[finite]).astype(np.uint8)
        shown = CandidateFlag.EXACT | CandidateFlag.ROOT
        flags[finite] |= shown * ends.exact.astype(np.uint8)
        return replace(candidates, x=x, fx=fx, flags=flags)


class _Descent:
    """n runs side by side: the point, the next need and the evaluations of each."""

    def __init__(
        self,
        problem: Problem,
        options: PipelineOptions,
        y: Float64Array,
        x: Float64Array,
        fx: Float64Array,
    ) -> None:
        f = Derivatives(problem)
        n, p, q, m = len(x), f.p, f.q, min(f.p, f.q)
        self._f, self._region, self._options = f, problem.region, options
        self._roots, self._weight = Roots(problem), problem.y_weight
        self._y, self._x, self._fx = y, x.copy(), fx.copy()
        # Powers of two that keep tiny errors from vanishing, in squares or beside other outputs.
        self._unit = np.ones((n, q))
        self._balanced = np.zeros(n, dtype=np.bool_)  # whether outputs have units of their own
        self._start_x, self._start_fx = self._x.copy(), self._fx.copy()
        self._squared = (self._residual(np.arange(n)) ** 2).sum(axis=1)
        self._needs = np.where(np.isfinite(self._squared), _DERIVATIVE, _NOTHING)
        self._end = np.full(n, STATIONARY, dtype=np.int8)
        self._damping = np.full(n, _FIRST_DAMPING)
        self._n_evaluations = np.zeros(n, dtype=np.int64)
        self._jac, self._factor = np.zeros((n, q, p)), np.zeros((n, m, m))
        self._first_step, self._first_x = np.zeros(n), self._x.copy()
        # What rounding of x changes, by the last derivatives; and the last step that new ones gave.
        self._x_rounding, self._x_rounding_at_least = np.zeros((n, q)), np.zeros((n, q))
        self._last_step, self._last_ratio = np.zeros((n, p)), np.zeros(n)
        self._fresh = np.zeros(n, dtype=np.bool_)  # whether the derivatives are those at x
        self._last_length = np.ones(n)  # of the last step that was taken

    def run(self) -> Ends:
        """Run all to their ends."""
        while (self._needs != _NOTHING).any():
            self._differentiate(np.flatnonzero(self._needs == _DERIVATIVE))
            self._step(np.flatnonzero((self._needs == _STEP) | (self._needs == _ANOTHER_STEP)))
        residual = distance(self._fx, self._y, self._weight)
        before = distance(self._start_fx, self._y, self._weight)
        # In the units of the outputs it must be no worse than the start, but for rounding.
        worse = self._balanced & ~self._exact() & ~(residual <= before)
        self._x[worse], self._fx[worse] = self._start_x[worse], self._start_fx[worse]
        self._x_rounding[worse], self._x_rounding_at_least[worse] = 0.0, 0.0
        self._end[worse] = STATIONARY
        residual[worse] = before[worse]
        later = np.linalg.norm((self._x - self._first_x) / self._region.scale, axis=1)
        return Ends(
            self._x, self._fx, residual, self._n_evaluations,
            self._end, self._exact(), self._first_step,
            np.where(self._first_step > 0, later, 0.0),
        )  # fmt: skip

    def _residual(self, rows: IntArray) -> Float64Array:
        """Errors ``(n, q)`` of `rows`, in the units of the outputs and of each run."""
        errors = (self._fx[rows] - self._y[rows]) * self._weight
        return np.asarray(self._unit[rows] * errors)

    def _exact(self) -> BoolArray:
        """Which runs ended at a root to the accuracy of f, by the last derivatives."""
        digits = self._f.rounding * np.abs(self._fx) * self._weight
        # The derivatives at another point only serve where x has digits to lose.
        fresh = self._fresh[:, None]
        by_x = np.where(fresh, EXACT * self._x_rounding_at_least, 2 * self._x_rounding)
        return self._roots.within(self._y, self._fx, EXACT * digits + by_x)

    def _in_larger_unit(self, rows: IntArray) -> None:
        """Measures tiny residuals in a larger unit."""
        largest = np.abs(self._residual(rows)).max(axis=1)
        rows = rows[(largest > 0) & (self._squared[rows] < _TINY)]
        if not len(rows):
            return
        largest = np.abs(self._residual(rows)).max(axis=1)
        self._unit[rows] *= np.exp2(-np.floor(np.log2(largest)))[:, None]
        self._squared[rows] = (self._residual(rows) ** 2).sum(axis=1)

    def _finish(self, rows: IntArray, end: int) -> None:
        self._end[rows] = end
        self._needs[rows] = _NOTHING

    def _solved(self, rows: IntArray) -> BoolArray:
        size = (np.abs(self._y[rows]) + np.abs(self._fx[rows])) * self._weight
        rounding = _ROUNDING * self._f.rounding * size + self._x_rounding[rows]
        errors = np.abs((self._fx[rows] - self._y[rows]) * self._weight)
        enough = self._options.sufficient_residual
        sufficient = (errors**2).sum(axis=1) <= (enough**2 if enough > 0 else -1.0)
        return np.asarray(sufficient | (errors <= rounding).all(axis=1))

    def _capped(self, rows: IntArray) -> BoolArray:
        return np.asarray(self._n_evaluations[rows] >= self._options.max_evaluations)

    def _differentiate(self, rows: IntArray) -> None:
        """Jacobians for `rows`, unless they are solved or nothing inside the bounds helps."""
        solved, capped = self._solved(rows), self._capped(rows)
        self._finish(rows[solved], SOLVED)
        self._finish(rows[capped & ~solved], EVALUATIONS)
        rows = rows[~solved & ~capped]
        if not len(rows):
            return
        self._in_larger_unit(rows)
        # Near a multiple root, f bends too much within common differences.
        short = self._last_length[rows] < _SHORT_STEP
        reach = np.where(short, np.maximum(self._last_length[rows] / _SHORT_STEP, 1e-9), 1.0)
        jac = self._f.jacobians(self._x[rows], reach) * self._region.scale
        jac = jac * self._weight[:, None]
        jac = jac * self._unit[rows][:, :, None]
        self._n_evaluations[rows] += self._f.evaluations_per_jacobian
        jac = self._balance_outputs(rows, jac)
        residual = self._residual(rows)
        jac = self._held(rows, jac, outward=-np.einsum("nqp,nq->np", jac, residual))
        self._find_rounding(rows, jac)
        size = (jac**2).sum(axis=(1, 2))
        gradient = np.linalg.norm(np.einsum("nqp,nq->np", jac, residual), axis=1)
        steep = gradient > _STATIONARY * np.sqrt(size * self._squared[rows])
        descends = np.isfinite(size) & steep
        self._jac[rows] = jac
        self._needs[rows[descends]] = _STEP
        self._finish(rows[~descends], STATIONARY)

    def _balance_outputs(self, rows: IntArray, jac: Float64Array) -> Float64Array:
        """`jac` ``(n, q, p)`` with a smaller unit for outputs that change far less than another:
        their errors would vanish beside its rounding."""
        slopes = np.sqrt((jac**2).sum(axis=2))
        most = slopes.max(axis=1, keepdims=True)
        flat = (slopes > 0) & (slopes < _MUCH_FLATTER * most) & np.isfinite(most)
        ratio = np.where(flat, most / np.where(flat, slopes, 1.0), 1.0)
        factor = np.exp2(np.floor(np.log2(ratio)))
        self._unit[rows] *= factor
        changed = rows[flat.any(axis=1)]
        self._balanced[changed] = True
        self._squared[changed] = (self._residual(changed) ** 2).sum(axis=1)
        return np.asarray(jac * factor[:, :, None])

    def _find_rounding(self, rows: IntArray, jac: Float64Array) -> None:
        size = np.abs(self._x[rows]) / self._region.scale
        slopes = self._f.rounding * np.abs(jac) / self._unit[rows][:, :, None]
        self._x_rounding[rows] = np.einsum("nqp,np->nq", slopes, size)
        at_least = np.einsum("nqp,np->nq", slopes, np.maximum(size, 1.0))
        self._x_rounding_at_least[rows] = at_least
        self._fresh[rows] = True

    def _held(self, rows: IntArray, jac: Float64Array, *, outward: Float64Array) -> Float64Array:
        """`jac` with zeros for coordinates that lie on a bound and would move outside along
        `outward`."""
        x, region = self._x[rows], self._region
        held = (x <= region.step_lower) & (outward < 0) | (x >= region.step_upper) & (outward > 0)
        return np.where(held[:, None, :], 0.0, jac)

    def _step(self, rows: IntArray) -> None:
        """A step for each of `rows`, taken if it brings its image closer."""
        if not len(rows):
            return
        anew = self._needs[rows] == _STEP
        regular = ~anew
        regular[anew] = self._prepare_steps(rows[anew])
        self._raise_damping(rows[~regular])
        # A run at its limit takes no step; one with old derivatives ends its series of steps.
        capped = regular & self._capped(rows)
        self._finish(rows[capped], EVALUATIONS)
        rows, anew = rows[regular & ~capped], anew[regular & ~capped]
        if not len(rows):
            return
        residual = self._residual(rows)
        steps = self._limited(damped_steps(self._jac[rows], self._factor[rows], residual))
        linear = ((residual + np.einsum("nqp,np->nq", self._jac[rows], steps)) ** 2).sum(axis=1)
        x = self._region.clip_step(self._x[rows] + self._region.scale * steps)
        fx = self._f.values(x)
        self._n_evaluations[rows] += 1
        squared, before = self._squares(rows, fx), self._squared[rows].copy()
        closer = squared < before
        self._adapt_damping(
            rows[closer & anew], ((before - squared) / (before - linear))[closer & anew]
        )
        self._raise_damping(rows[~closer & anew])
        self._needs[rows[~closer & ~anew]] = _DERIVATIVE
        taken = rows[closer]
        self._move(taken, steps[closer], x[closer], fx[closer], squared[closer])
        well = (squared <= _KEEP_DERIVATIVES * before)[closer]
        again = well & ~self._solved(taken) & ~self._capped(taken)
        self._needs[taken] = np.where(again, _ANOTHER_STEP, _DERIVATIVE)
        anew_and_closer = closer & anew
        steady = self._shrink_steadily(rows[anew_and_closer], steps[anew_and_closer])
        self._extrapolate(rows[anew_and_closer][steady & ~again[anew[closer]]])

    def _squares(self, rows: IntArray, fx: Float64Array) -> Float64Array:
        errors = self._unit[rows] * ((fx - self._y[rows]) * self._weight)
        return np.asarray((errors**2).sum(axis=1))

    def _move(
        self,
        rows: IntArray,
        steps: Float64Array,
        x: Float64Array,
        fx: Float64Array,
        squared: Float64Array,
    ) -> None:
        self._fresh[rows] = False
        self._last_length[rows] = np.linalg.norm(steps, axis=1)
        first = self._first_step[rows] == 0.0
        self._first_step[rows[first]] = self._last_length[rows[first]]
        self._first_x[rows[first]] = x[first]
        self._x[rows], self._fx[rows], self._squared[rows] = x, fx, squared

    def _shrink_steadily(self, rows: IntArray, steps: Float64Array) -> BoolArray:
        """Compares steps that new derivatives gave with those before; which shrink steadily."""
        last = self._last_step[rows]
        before = (last**2).sum(axis=1)
        ratio = np.where(before > 0, (steps * last).sum(axis=1) / before, 0.0)
        now = (steps**2).sum(axis=1)
        aligned = now - ratio**2 * before <= _STEADY**2 * now
        steady = aligned & (ratio > _LEAST_RATIO) & (ratio < _LARGEST_RATIO)
        steady &= np.abs(ratio - self._last_ratio[rows]) <= _STEADY
        self._last_step[rows], self._last_ratio[rows] = steps, ratio
        return np.asarray(steady)

    def _extrapolate(self, rows: IntArray) -> None:
        """All further steps together, if each is the last one times the ratio."""
        rows = rows[~self._solved(rows) & ~self._capped(rows)]
        if not len(rows):
            return
        rest = self._last_ratio[rows] / (1 - self._last_ratio[rows])
        steps = rest[:, None] * self._last_step[rows]
        x = self._region.clip_step(self._x[rows] + self._region.scale * steps)
        fx = self._f.values(x)
        self._n_evaluations[rows] += 1
        squared = self._squares(rows, fx)
        closer = squared < _MUCH_CLOSER * self._squared[rows]
        moved = rows[closer]
        self._move(moved, steps[closer], x[closer], fx[closer], squared[closer])
        self._x_rounding[moved] = self._x_rounding_at_least[moved] = 0.0
        self._last_step[moved] = 0.0
        self._last_ratio[moved] = 0.0

    def _limited(self, steps: Float64Array) -> Float64Array:
        """`steps` ``(n, p)``, shortened to the longest allowed step."""
        lengths = np.linalg.norm(steps, axis=1, keepdims=True)
        return np.where(
            lengths > self._options.longest_step,
            steps * (self._options.longest_step / lengths),
            steps,
        )

    def _prepare_steps(self, rows: IntArray) -> BoolArray:
        """Factors for `rows`, without coordinates on a bound that a step would push outside, which
        may differ from where the gradient points. False where a matrix is singular."""
        jac, damping = self._jac[rows], self._damping[rows]
        factor, regular = factors(jac, damping)
        steps = damped_steps(jac, factor, self._residual(rows))
        held = self._held(rows, jac, outward=steps)
        changed = regular & (held != jac).any(axis=(1, 2))
        self._jac[rows[changed]] = held[changed]
        factor[changed], regular[changed] = factors(held[changed], damping[changed])
        self._factor[rows] = factor
        return regular

    def _adapt_damping(self, rows: IntArray, ratio: Float64Array) -> None:
        """Damp more if the result is far from the prediction, and less if it is close."""
        self._damping[rows] *= np.where(ratio < 0.25, 4.0, np.where(ratio > 0.75, 0.05, 1.0))

    def _raise_damping(self, rows: IntArray) -> None:
        self._damping[rows] = np.maximum(8 * self._damping[rows], _LEAST_RAISED_DAMPING)
        hopeless = rows[self._damping[rows] > _MOST_DAMPING]
        self._finish(hopeless, STATIONARY)
        self._finish(hopeless[self._capped(hopeless)], EVALUATIONS)
