"""A problem to try solvers on: a forward function, its domain, and all of its exact solutions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastinv._common.validation import (
    RandomState,
    as_float64,
    check_integer,
    check_number,
    check_random_state,
    check_targets,
)
from fastinv.functions.compiled import ForwardFunction

Float64Array = NDArray[np.float64]

# Rounding may put a solution on the boundary outside of it by this much.
_DOMAIN_SLACK = 1e-11
# At a fold two solutions merge; each is then accurate to the square root of the rounding error.
_SAME_SOLUTION = 1e-6


@dataclass(frozen=True)
class Noise:
    """Noise on the outputs, as defined in the source of a problem.

    Parameters
    ----------
    kind : {"relative normal", "uniform"}
        ``y * (1 + scale * N(0, 1))`` or ``y + Uniform(-scale, scale)``, independent for every
        row and output.
    scale : float
        Relative in the first case, in units of y in the second.
    by_default : bool, default=False
        Whether :meth:`Problem.sample` adds it without being asked.
    """

    kind: Literal["relative normal", "uniform"]
    scale: float
    by_default: bool = False

    def add(self, y: Float64Array, scale: float, rng: np.random.Generator) -> Float64Array:
        """`y` with noise of this kind."""
        if self.kind == "uniform":
            return y + rng.uniform(-scale, scale, size=y.shape)
        return y * (1.0 + scale * rng.standard_normal(y.shape))


@dataclass(frozen=True, eq=False)
class Problem:
    """A forward function with its domain and its exact inverse.

    Attributes
    ----------
    name : str
        The name in :mod:`fastinv.problems`.
    title : str
    experiment : int or None
        Number in the paper on inverse twin neural network regression, 1 to 9.
    forward : ForwardFunction
    bounds : ndarray of shape (p, 2), float64, read-only
    formula : str
    noise : Noise
    inverse : callable or None
        Finite targets (n, q) to candidate solutions (n, m, p), NaN where there is none.
    distance : callable or None
        X (n, p) and targets (n, q) to the distance (n,) from each x to its solutions, if these
        form curves.
    accept : callable or None
        X (n, p) to a mask (n,) of the points that are sampled; None takes the whole box.
    radius : float or None
        :meth:`project` moves points from beyond this radius back to it.
    """

    name: str
    title: str
    experiment: int | None
    forward: ForwardFunction
    bounds: Float64Array
    formula: str
    noise: Noise
    inverse: Callable[[Float64Array], Float64Array] | None = field(default=None, repr=False)
    distance: Callable[[Float64Array, Float64Array], Float64Array] | None = field(
        default=None, repr=False
    )
    accept: Callable[[Float64Array], NDArray[np.bool_]] | None = field(default=None, repr=False)
    radius: float | None = None

    def __post_init__(self) -> None:
        self.bounds.flags.writeable = False

    @property
    def n_inputs(self) -> int:
        """Dimension p of x."""
        return self.forward.n_inputs

    @property
    def n_outputs(self) -> int:
        """Dimension q of y."""
        return self.forward.n_outputs

    def sample(
        self, n: int, random_state: RandomState = None, *, noise: float | None = None
    ) -> tuple[Float64Array, Float64Array]:
        """Points that are uniform in the domain, and their images.

        Parameters
        ----------
        n : int
            Number of points, 0 or more.
        random_state : int, RandomState, Generator or None, default=None
        noise : float, optional
            Scale of the noise on y, of the kind that ``self.noise`` names; ``self.noise.scale`` is
            that of the source, 0 is none. By default none, unless ``self.noise.by_default``.

        Returns
        -------
        X : ndarray of shape (n, p), float64
        y : ndarray of shape (n, q), float64
        """
        n = check_integer(n, "n", minimum=0)
        rng = check_random_state(random_state)
        if noise is None:
            scale = self.noise.scale if self.noise.by_default else 0.0
        else:
            scale = check_number(noise, "noise", minimum=0.0)
        X = self._uniform(n, rng)
        y = self.forward(X)
        return X, self.noise.add(y, scale, rng) if scale else y

    def preimages(self, y: ArrayLike) -> list[Float64Array]:
        """All exact solutions within the bounds.

        Parameters
        ----------
        y : array-like of shape (n, q) or (q,), or (n,) where q is 1
            Targets. One that is not finite has no solutions.

        Returns
        -------
        list of n ndarrays of shape (m_i, p), float64
            Sorted by the first coordinate, then by the next; m_i = 0 for an unreachable target.
            Solutions closer than 1e-6, which occur at a fold, are returned once.

        Raises
        ------
        ValueError
            The solutions form curves: see :meth:`distance_to_solutions`.
        """
        if self.inverse is None:
            raise ValueError(
                f"the solutions of {self.name} form curves, which cannot be listed: use "
                "distance_to_solutions"
            )
        targets = check_targets(y, self.n_outputs)
        finite = np.isfinite(targets).all(axis=1, keepdims=True)
        low, high = self.bounds.T
        # For targets out of reach this may overflow or take the root of a negative number: no
        # candidate.
        with np.errstate(all="ignore"):
            candidates = self.inverse(np.where(finite, targets, 0.0))
        inside = (candidates >= low - _DOMAIN_SLACK) & (candidates <= high + _DOMAIN_SLACK)
        kept = inside.all(axis=2) & finite
        return [
            _distinct(np.clip(row[keep], low, high))
            for row, keep in zip(candidates, kept, strict=True)
        ]

    def distance_to_solutions(self, X: ArrayLike, y: ArrayLike) -> Float64Array:
        """Euclidean distance from each x to the nearest exact solution of its target.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n, q) or (q,), or (n,) where q is 1
            The target of each row of `X`.

        Returns
        -------
        ndarray of shape (n,), float64
            Infinity where the target has no solution within the bounds, NaN where x or the target
            is not finite.
        """
        X = self._points(X)
        targets = check_targets(y, self.n_outputs)
        if len(X) != len(targets):
            raise ValueError(f"X and y must have as many rows, got {len(X)} and {len(targets)}")
        finite = np.isfinite(X).all(axis=1) & np.isfinite(targets).all(axis=1)
        distances = np.full(len(X), np.nan)
        if self.distance is not None:
            distances[finite] = self.distance(X[finite], targets[finite])
            return distances
        for i, solutions in zip(
            np.flatnonzero(finite), self.preimages(targets[finite]), strict=True
        ):
            distances[i] = np.linalg.norm(solutions - X[i], axis=1).min(initial=np.inf)
        return distances

    def project(self, X: ArrayLike) -> Float64Array:
        """`X` (n, p), moved to where f is defined: identity for all but the half ball.

        There, as in the paper's code, a point whose radius exceeds 0.999 is moved back along its
        ray to that radius.
        """
        X = self._points(X)
        if self.radius is None:
            return X
        norms = np.linalg.norm(X, axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(norms > self.radius, X * (self.radius / norms), X)

    def _points(self, X: ArrayLike) -> Float64Array:
        points = as_float64(X, "X")
        if points.ndim != 2 or points.shape[1] != self.n_inputs:
            raise ValueError(f"X must have shape (n, {self.n_inputs}), got {points.shape}")
        return points

    def _uniform(self, n: int, rng: np.random.Generator) -> Float64Array:
        """`n` points that are uniform in the accepted part of the box (rejection sampling)."""
        low, high = self.bounds.T
        X = rng.uniform(low, high, size=(n, self.n_inputs))
        while self.accept is not None and not (accepted := self.accept(X)).all():
            rejected = np.flatnonzero(~accepted)
            X[rejected] = rng.uniform(low, high, size=(len(rejected), self.n_inputs))
        return X


def _distinct(solutions: Float64Array) -> Float64Array:
    """`solutions` (m, p) in lexicographic order, without those that repeat an earlier one."""
    ordered = solutions[np.lexsort(solutions.T[::-1])]
    kept: list[Float64Array] = []
    for solution in ordered:
        if all(np.abs(solution - other).max() > _SAME_SOLUTION for other in kept):
            kept.append(solution)
    return np.array(kept).reshape(-1, solutions.shape[1])
