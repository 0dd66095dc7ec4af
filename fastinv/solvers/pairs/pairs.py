"""Training pairs of inverse twin networks: which points are paired, and how they are scaled.

A pair is an anchor (x_a, y_a) and a nearby point (x, y). The network maps (y, y_a, x_a) to
x - x_a: eq. (5) of Wetzel (2026), "Inverting Non-Injective Functions with Twin Neural Network
Regression".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastinv._common.arrays import Float64Array, IntArray
from fastinv._common.validation import as_float64
from fastinv.backends.protocol import Backend, TwinModel
from fastinv.estimators.networks import mean_and_scale
from fastinv.functions.function import Function
from fastinv.functions.networks import NetworkSpec
from fastinv.training.checkpoints import fingerprint

Float32Array = NDArray[np.float32]

# How far beyond the pairs an output may lie before it counts as an extrapolation.
REACH_MARGIN = 1.1

# Gaps between anchors, see reaching_radius: nearly the largest of so many, and a little more.
_N_GAP_SAMPLES, _GAP_QUANTILE, _GAP_MARGIN = 2000, 0.999, 1.2


@dataclass(frozen=True, eq=False)
class PairScaling:
    """Scales of the network's inputs and outputs, in the notation of TwinModel."""

    dy_scale: Float64Array
    y_mean: Float64Array
    y_scale: Float64Array
    x_mean: Float64Array
    x_scale: Float64Array
    dx_scale: Float64Array
    reach: float

    @classmethod
    def of_pairs(
        cls, pairs: Pairs, x: Float64Array, y: Float64Array, dx_scale: Float64Array | None = None
    ) -> PairScaling:
        """Scales that bring `pairs` to order one; `x`, `y` are the anchors.

        Without `dx_scale` the steps are scaled by their root mean square in each coordinate.
        """
        steps = pairs.x - pairs.x_anchor
        if dx_scale is None:
            dx_scale = positive(np.sqrt(np.mean(steps**2, axis=0)))
        y_mean, y_scale = mean_and_scale(y, "y")
        x_mean, x_scale = mean_and_scale(x, "X")
        return cls(
            dy_scale=positive(np.sqrt(np.mean((pairs.y - pairs.y_anchor) ** 2, axis=0))),
            y_mean=y_mean,
            y_scale=y_scale,
            x_mean=x_mean,
            x_scale=x_scale,
            dx_scale=dx_scale,
            # Where no pair has a step, as of an f in stairs, the network has to stay at 0.
            reach=REACH_MARGIN * (float(np.abs(steps / dx_scale).max()) or 1.0),
        )

    def rows(self, pairs: Pairs) -> tuple[Float32Array, Float32Array]:
        """Inputs ``(n, 2q + p)`` and targets ``(n, p)`` of the network."""
        inputs = np.hstack(
            [
                (pairs.y - pairs.y_anchor) / self.dy_scale,
                (pairs.y_anchor - self.y_mean) / self.y_scale,
                (pairs.x_anchor - self.x_mean) / self.x_scale,
            ]
        )
        targets = (pairs.x - pairs.x_anchor) / self.dx_scale
        return inputs.astype(np.float32), targets.astype(np.float32)

    def network(self, spec: NetworkSpec, parameters: Float32Array) -> TwinModel:
        """The trained network with these scales."""
        return TwinModel(
            spec,
            parameters,
            self.dy_scale,
            self.y_mean,
            self.y_scale,
            self.x_mean,
            self.x_scale,
            self.dx_scale,
            self.reach,
        )


@dataclass(frozen=True, eq=False)
class Pairs:
    """n pairs: points `x` ``(n, p)``, `y` ``(n, q)`` and their anchors, shaped alike."""

    x: Float64Array
    y: Float64Array
    x_anchor: Float64Array
    y_anchor: Float64Array

    def split(self, n: int) -> tuple[Pairs, Pairs]:
        """The first `n`, and the others; at most half of all in the first part."""
        n = min(n, len(self.x) // 2)
        columns = (self.x, self.y, self.x_anchor, self.y_anchor)
        return Pairs(*(c[:n] for c in columns)), Pairs(*(c[n:] for c in columns))


def pair_radius(bounds: Float64Array, n_anchors: int) -> Float64Array:
    """Half-width of the box around an anchor that its partners are drawn from, shape ``(p,)``.

    About the distance between neighbouring anchors: the paper's code takes
    ``(high - low) * 2 c_d (2 / (n V_d))**(1/d)`` with V_d the volume of the unit ball in d
    dimensions and ``c_d = gamma(d/2) / (sqrt(pi) gamma((d + 1)/2))``.
    """
    d = len(bounds)
    # By logarithms, for the gamma function overflows where there are hundreds of inputs.
    log_volume = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    c = math.exp(math.lgamma(d / 2) - math.lgamma((d + 1) / 2)) / math.sqrt(math.pi)
    spacing = 2 * c * math.exp((math.log(2 / n_anchors) - log_volume) / d)
    return np.asarray((bounds[:, 1] - bounds[:, 0]) * spacing)


def reaching_radius(
    backend: Backend, bounds: Float64Array, anchors: Float64Array, rng: np.random.Generator
) -> Float64Array:
    """:func:`pair_radius`, enlarged where it leaves gaps between `anchors`, shape ``(p,)``.

    Anchors that were drawn at random, or given, lie less evenly than the formula supposes. The
    pairs have to reach any point of the box from its nearest anchor, or the network will have to
    extrapolate there.
    """
    radius = pair_radius(bounds, len(anchors))
    x = rng.uniform(bounds[:, 0], bounds[:, 1], size=(_N_GAP_SAMPLES, len(bounds)))
    unit = positive(radius)
    gaps = backend.neighbors(anchors / unit).query(x / unit, 1)[0]
    return radius * max(1.0, _GAP_MARGIN * float(np.quantile(gaps, _GAP_QUANTILE)))


def resolve_radius(
    radius: float | ArrayLike | None,
    backend: Backend,
    bounds: Float64Array,
    anchors: Float64Array,
    n_outputs: int,
    rng: np.random.Generator,
) -> Float64Array:
    """The parameter `pair_radius` as an array of shape ``(p,)``, chosen where it is None.

    Raises
    ------
    ValueError
        It has another shape, or is not positive and finite.
    """
    n_inputs = len(bounds)
    if radius is None:
        # With more inputs than outputs, solutions are everywhere near: no gap to reach across.
        if n_inputs > n_outputs:
            return pair_radius(bounds, len(anchors))
        return reaching_radius(backend, bounds, anchors, rng)
    given = as_float64(radius, "pair_radius")
    if given.shape not in ((), (n_inputs,)):
        raise ValueError(
            f"pair_radius must be a number or have shape ({n_inputs},), got {given.shape}"
        )
    if not (np.isfinite(given) & (given > 0.0)).all():
        raise ValueError(f"pair_radius must be positive and finite, got {given.tolist()}")
    return np.broadcast_to(given, (n_inputs,))


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


def neighbor_pairs(
    backend: Backend, x: Float64Array, y: Float64Array, n_pair_neighbors: int
) -> Pairs:
    """Every point with its nearest in x and with itself, as anchors: algorithm 1 of the paper.

    Distances are measured in standard deviations of each coordinate.
    """
    neighbors = _nearest(backend, x, x, n_pair_neighbors + 1)
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
    """`x` with what lies beyond a bound mirrored at it: closer to where it came from, never on
    the bound itself, as clipping would put it. Clipped where even the mirror image is outside."""
    low, high = bounds[:, 0], bounds[:, 1]
    x = np.where(x < low, 2 * low - x, x)
    x = np.where(x > high, 2 * high - x, x)
    return np.clip(x, low, high)


def positive(scale: Float64Array) -> Float64Array:
    """`scale` with 1 for coordinates in which nothing differs."""
    return np.where(scale > 0.0, scale, 1.0)
