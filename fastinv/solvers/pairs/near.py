"""Training pairs of points that are near each other in x, as in the paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastinv._common.arrays import Float64Array, IntArray
from fastinv.backends.protocol import Backend
from fastinv.estimators.networks import Float32Array, mean_and_scale
from fastinv.estimators.twin_pairs import Pairs, PairScaling
from fastinv.functions.function import Function
from fastinv.training.checkpoints import fingerprint


@dataclass(frozen=True, eq=False)
class FormulaPairs:
    """Fresh pairs in every epoch: a partner is drawn uniformly around its anchor, in the bounds.

    Where f is not finite the pair is replaced by the anchor with itself.
    """

    forward: Function
    x: Float64Array  # anchors (n_anchors, p)
    y: Float64Array  # their images (n_anchors, q)
    bounds: Float64Array
    radius: Float64Array
    n_pairs: int

    def draw(self, rng: np.random.Generator, n_pairs: int) -> Pairs:
        anchors = rng.integers(len(self.x), size=n_pairs)
        x_anchor, y_anchor = self.x[anchors], self.y[anchors]
        steps = rng.uniform(-1.0, 1.0, size=x_anchor.shape) * self.radius
        x = reflected(x_anchor + steps, self.bounds)
        y = self.forward(x)
        undefined = ~np.isfinite(y).all(axis=1)
        x[undefined], y[undefined] = x_anchor[undefined], y_anchor[undefined]
        return Pairs(x, y, x_anchor, y_anchor)


@dataclass(frozen=True, eq=False)
class ScaledFormulaPairs:
    """:class:`FormulaPairs` as the training loop's source of epochs."""

    pairs: FormulaPairs
    scaling: PairScaling

    def epoch(self, rng: np.random.Generator) -> tuple[Float32Array, Float32Array]:
        return self.scaling.rows(self.pairs.draw(rng, self.pairs.n_pairs))

    def fingerprint(self) -> str:
        p = self.pairs
        return fingerprint((p.x, p.y, p.bounds, p.radius, np.array([p.n_pairs])))


def neighbor_pairs(backend: Backend, x: Float64Array, y: Float64Array, n_neighbors: int) -> Pairs:
    """Every point with its nearest in x and with itself, as anchors: algorithm 1 of the paper.

    Distances are measured in standard deviations of each coordinate.
    """
    neighbors = _nearest(backend, x, x, n_neighbors + 1)
    points = np.repeat(np.arange(len(x)), neighbors.shape[1])
    anchors = neighbors.ravel()
    return Pairs(x[points], y[points], x[anchors], y[anchors])


def pairs_with(
    backend: Backend,
    points: tuple[Float64Array, Float64Array],
    anchors: tuple[Float64Array, Float64Array],
    n_neighbors: int,
) -> Pairs:
    """Every one of `points` (x, y) with its nearest of `anchors` (x, y), by x."""
    neighbors = _nearest(backend, points[0], anchors[0], n_neighbors)
    rows = np.repeat(np.arange(len(points[0])), neighbors.shape[1])
    near = neighbors.ravel()
    return Pairs(points[0][rows], points[1][rows], anchors[0][near], anchors[1][near])


def _nearest(
    backend: Backend, queries: Float64Array, points: Float64Array, n_neighbors: int
) -> IntArray:
    scale = mean_and_scale(points, "X")[1]
    index = backend.neighbors(points / scale)
    return index.query(queries / scale, min(n_neighbors, len(points)))[1]


def reflected(x: Float64Array, bounds: Float64Array) -> Float64Array:
    """`x` mirrored at the bounds that it is beyond: closer to its start than clipping, never on
    the bound itself, as clipping would put it. Clipped where even the mirror image is outside."""
    low, high = bounds[:, 0], bounds[:, 1]
    x = np.where(x < low, 2 * low - x, x)
    x = np.where(x > high, 2 * high - x, x)
    return np.clip(x, low, high)
