"""Damped Gauss-Newton within bounds, row by row, one formula per line.

Levenberg (1944), Marquardt (1963); bounds by projection onto the active set: Bertsekas (1982),
"Projected Newton Methods for Optimization Problems with Simple Constraints".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastinv.backends.protocol import Float64Array
from fastinv.backends.reference.forward import Forward
from fastinv.backends.reference.region import Region

# The values of Polished.end.
SOLVED, STATIONARY, EVALUATIONS = range(3)

_ROUNDING = 2 * float(np.finfo(np.float64).eps)  # of ||y|| + ||f(x)||: what ||f(x) - y|| may be
_FIRST_DAMPING, _MOST_DAMPING, _LEAST_RAISED_DAMPING = 1e-4, 1e10, 1e-12
_STATIONARY = 1e-9  # cosine between the residual and what the Jacobian can reach
# A step that shrinks the squared residual so much is followed by others with the same derivatives.
_KEEP_DERIVATIVES = 1e-3


class PolishedRow(NamedTuple):
    """Where one row came to; in units of x, ``first_step`` is the length of its first step, and
    ``later_steps`` the distance from its end."""

    x: Float64Array
    fx: Float64Array
    residual: float
    n_evaluations: int
    end: int
    first_step: float
    later_steps: float


class Solver(NamedTuple):
    """Damped steps for one Jacobian ``(q, p)``: ``J^T J`` or, where smaller, ``J J^T``, damped and
    factorized."""

    jac: Float64Array
    factor: Float64Array

    def step(self, residual: Float64Array) -> Float64Array:
        """``-(J^T J + d)^-1 J^T r = -J^T (J J^T + d)^-1 r``: the shortest one for p > q."""
        q, p = self.jac.shape
        if p <= q:
            return -self._solve(self.jac.T @ residual)
        return -self.jac.T @ self._solve(residual)

    def _solve(self, b: Float64Array) -> Float64Array:
        return np.asarray(np.linalg.solve(self.factor.T, np.linalg.solve(self.factor, b)))


def make_solver(jac: Float64Array, damping: float) -> Solver | None:
    """The solver for `jac` with `damping`; None where the matrix is singular."""
    q, p = jac.shape
    matrix = jac.T @ jac if p <= q else jac @ jac.T
    size = (jac**2).sum()
    matrix = matrix + damping * size / min(p, q) * np.eye(min(p, q))
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None
    regular = factor.diagonal() ** 2 > 1e-15 * matrix.diagonal()
    return Solver(jac, factor) if regular.all() else None


class Polish:
    """From a start towards f(x) = y; never away from it."""

    def __init__(self, f: Forward, region: Region, max_evaluations: int) -> None:
        self._f = f
        self._region = region
        self._max_evaluations = max_evaluations

    def run(self, y: Float64Array, x: Float64Array, fx: Float64Array) -> PolishedRow:
        """From `x` ``(p,)`` within the bounds, whose image is `fx` ``(q,)``, towards `y` ``(q,)``.

        A row with a residual that is not finite stays as it is.
        """
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return _Descent(self._f, self._region, self._max_evaluations, y, x, fx).run()


class _Descent:
    """One run: where it is, and what it has spent."""

    def __init__(
        self,
        f: Forward,
        region: Region,
        max_evaluations: int,
        y: Float64Array,
        x: Float64Array,
        fx: Float64Array,
    ) -> None:
        self._f, self._region, self._max_evaluations = f, region, max_evaluations
        self._y, self._x, self._fx = y, x, fx
        self._squared = float(((fx - y) ** 2).sum())
        self._damping = _FIRST_DAMPING
        self._n_evaluations = 0
        self._first_step = 0.0
        self._first_x = x
        self._shrinkage = 0.0  # of the squared residual, by the last step that was taken

    def run(self) -> PolishedRow:
        end = self._descend()
        residual = float(np.sqrt(self._squared))
        return PolishedRow(
            self._x, self._fx, residual, self._n_evaluations, end, self._first_step,
            float(np.linalg.norm((self._x - self._first_x) / self._region.scale)),
        )  # fmt: skip

    def _descend(self) -> int:
        if not np.isfinite(self._squared):
            return STATIONARY
        while not self._solved():
            if self._capped():
                return EVALUATIONS
            jac = self._jacobian()
            if not self._descends(jac):
                return STATIONARY
            solver = self._take_step(jac)
            if solver is None:
                return EVALUATIONS if self._capped() else STATIONARY
            if self._shrinkage <= _KEEP_DERIVATIVES:
                self._repeat(solver)
        return SOLVED

    def _solved(self) -> bool:
        size = float(np.linalg.norm(self._y) + np.linalg.norm(self._fx))
        return self._squared <= (_ROUNDING * size) ** 2

    def _capped(self) -> bool:
        return self._n_evaluations >= self._max_evaluations

    def _jacobian(self) -> Float64Array:
        """In units of x; zero for coordinates held at a bound where the gradient points outside."""
        region, x = self._region, self._x
        jac = self._f.jacobian(x, region.lower, region.upper, region.scale) * region.scale
        self._n_evaluations += self._f.evaluations_per_jacobian
        gradient = jac.T @ (self._fx - self._y)
        return self._hold(jac, outward=-gradient)

    def _hold(self, jac: Float64Array, *, outward: Float64Array) -> Float64Array:
        """`jac` without the coordinates that lie on a bound and would move outside along
        `outward` ``(p,)``."""
        at_lower = (self._x <= self._region.lower) & (outward < 0)
        at_upper = (self._x >= self._region.upper) & (outward > 0)
        return np.where(at_lower | at_upper, 0.0, jac)

    def _descends(self, jac: Float64Array) -> bool:
        """Whether something inside the bounds reduces the residual."""
        size = (jac**2).sum()
        gradient = jac.T @ (self._fx - self._y)
        steep = np.linalg.norm(gradient) > _STATIONARY * np.sqrt(size * self._squared)
        return bool(np.isfinite(size) and steep)

    def _take_step(self, jac: Float64Array) -> Solver | None:
        """Damps until a step reduces the residual; None where none does or f was evaluated often
        enough."""
        while self._damping <= _MOST_DAMPING:
            solver = self._make_solver_within(jac)
            if solver is not None:
                jac = solver.jac
                if self._capped():
                    return None
                before, residual = self._squared, self._fx - self._y
                step = solver.step(residual)
                predicted = float(((residual + jac @ step) ** 2).sum())
                if self._try(step):
                    ratio = np.divide(before - self._squared, before - predicted)
                    self._adapt_damping(float(ratio))
                    return solver
            self._damping = max(8 * self._damping, _LEAST_RAISED_DAMPING)
        return None

    def _make_solver_within(self, jac: Float64Array) -> Solver | None:
        """The solver, without coordinates on a bound that its step would push outside: the
        gradient need not, as a step is not along it."""
        solver = make_solver(jac, self._damping)
        if solver is None:
            return None
        held = self._hold(jac, outward=solver.step(self._fx - self._y))
        return solver if np.array_equal(held, jac) else make_solver(held, self._damping)

    def _try(self, step: Float64Array) -> bool:
        """Moves by `step`, in units of x, into the bounds, if that reduces the residual."""
        region = self._region
        x = np.clip(self._x + region.scale * step, region.lower, region.upper)
        fx = self._f.values(x)
        self._n_evaluations += 1
        squared = float(((fx - self._y) ** 2).sum())
        if not squared < self._squared:
            return False
        self._shrinkage = squared / self._squared
        if self._first_step == 0.0:
            self._first_step = float(np.linalg.norm(step))
            self._first_x = x
        self._x, self._fx, self._squared = x, fx, squared
        return True

    def _adapt_damping(self, ratio: float) -> None:
        """Far from what was predicted: more care; close to it: less."""
        if ratio < 0.25:
            self._damping *= 4
        if ratio > 0.75:
            self._damping *= 0.05

    def _repeat(self, solver: Solver) -> None:
        """Steps with the same derivatives, one evaluation each, while they do well."""
        while not (self._solved() or self._capped()) and self._try(solver.step(self._fx - self._y)):
            if self._shrinkage > _KEEP_DERIVATIVES:
                return
