"""How a mixture density network starts, and how components that died in training come back.

A component with weight near zero gets no gradient and never recovers (Bishop 1994, section 3).
Diverse first means prevent that; splitting the heaviest component in two repairs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fastinv._common.arrays import Float64Array, FloatArray, IntArray
from fastinv.backends.protocol import Backend, Trainer
from fastinv.estimators.networks import Float32Array, initial_parameters
from fastinv.functions.networks import MixtureSpec, NetworkSpec

Scalar = TypeVar("Scalar", bound=np.generic)

N_ROWS = 2000  # at most, for first means and for the mean weights of components
REVIVE_EVERY = 5  # epochs
REVIVE_UNTIL = 0.75  # share of the epochs: components revived later have no time to learn
LAST_LAYER_GAIN = 0.1  # small next to the biases, so that components start where these say

_LLOYD_ITERATIONS = 25


def component_columns(mixture: MixtureSpec) -> IntArray:
    """Columns of a raw row that belong to each component, ``(K, 1 + D + n_scales)``: its logit,
    its mean, its log scales."""
    k, d, s = mixture.n_components, mixture.n_dims, mixture.n_scales
    means = k + np.arange(k * d).reshape(k, d)
    scales = k + k * d + np.arange(k * s).reshape(k, s)
    return np.hstack([np.arange(k)[:, None], means, scales]).astype(np.int64)


def scale_columns(mixture: MixtureSpec) -> IntArray:
    """Columns of a raw row that hold logarithms of scales, ``(K, 1)`` or ``(K, D)``."""
    d = mixture.n_dims
    scales = component_columns(mixture)[:, 1 + d :]
    if mixture.covariance_type == "full":  # the diagonal of each lower triangle
        return scales[:, np.cumsum(np.arange(1, d + 1)) - 1]
    return scales


def kmeans_means(
    targets: Float64Array, n_components: int, rng: np.random.Generator
) -> Float64Array:
    """Centres ``(K, D)`` of `targets` ``(n, D)``: k-means++ (Arthur & Vassilvitskii 2007), then
    Lloyd's iterations. Without BLAS, so that bits do not depend on its threads."""
    points = _sample(targets, rng)
    centers = np.empty((n_components, points.shape[1]))
    centers[0] = points[rng.integers(len(points))]
    nearest = _squared_distances(points, centers[:1])[:, 0]
    for k in range(1, n_components):
        total = nearest.sum()
        weights = nearest / total if total > 0.0 else None
        centers[k] = points[rng.choice(len(points), p=weights)]
        nearest = np.minimum(nearest, _squared_distances(points, centers[k : k + 1])[:, 0])
    for _ in range(_LLOYD_ITERATIONS):
        owner = _squared_distances(points, centers).argmin(axis=1)
        sizes = np.bincount(owner, minlength=n_components)
        sums = np.zeros_like(centers)
        np.add.at(sums, owner, points)
        used = sizes > 0
        centers[used] = sums[used] / sizes[used, None]
    return centers


def quantile_means(
    targets: Float64Array, n_components: int, rng: np.random.Generator
) -> Float64Array:
    """Targets ``(K, D)`` at the quantiles ``(k + 1/2) / K`` of `targets` ``(n, D)`` along their
    first principal axis."""
    points = _sample(targets, rng)
    centered = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(np.einsum("ni,nj->ij", centered, centered))
    order = np.argsort(np.einsum("ni,i->n", centered, axes[:, -1]), kind="stable")
    levels = (np.arange(n_components) + 0.5) / n_components
    means: Float64Array = points[order[(levels * len(points)).astype(np.int64)]]
    return means


def initial_mixture_parameters(
    spec: NetworkSpec,
    mixture: MixtureSpec,
    means: Float64Array | None,
    rng: np.random.Generator,
) -> Float32Array:
    """First parameters of a network with the raw outputs of `mixture`.

    With `means` ``(K, D)`` every row starts near the mixture that has them, equal weights and
    scales of ``K**(-1/D)``; with None the last layer starts as any other does.
    """
    parameters = initial_parameters(spec, rng)
    if means is None:
        return parameters
    weights, biases = spec.layers(parameters)[-1]
    weights *= LAST_LAYER_GAIN
    spread = mixture.n_components ** (-1.0 / mixture.n_dims)
    columns = component_columns(mixture)
    biases[:] = 0.0
    biases[columns[:, 1 : 1 + mixture.n_dims]] = means
    biases[scale_columns(mixture)] = np.log(max(spread - mixture.min_scale, 0.1 * spread))
    return parameters


@dataclass(frozen=True, eq=False)
class DeadComponents:
    """Revives components whose weight has gone, as ``after_epoch`` of the training loop.

    A component is dead if its mean weight (before ``min_weight`` is added) over at most `N_ROWS`
    rows of `X` is below `threshold`. It becomes half of the heaviest component: a copy of its
    columns of the last layer, the mean moved at random by the order of its scale, and the weight
    shared equally, so that the density hardly changes at that moment. Never after `last_epoch`.
    """

    backend: Backend
    spec: NetworkSpec
    mixture: MixtureSpec
    X: FloatArray
    threshold: float
    last_epoch: int | None

    def __call__(self, trainer: Trainer, epoch: int, rng: np.random.Generator) -> int:
        """Revive what is dead after `epoch` epochs; returns how many components."""
        if epoch % REVIVE_EVERY or (self.last_epoch is not None and epoch > self.last_epoch):
            return 0
        raw = self._raw(trainer.parameters(), rng)
        shares = softmax(raw[:, : self.mixture.n_components], axis=1).mean(axis=0)
        dead = np.flatnonzero(shares < self.threshold)
        if not len(dead):
            return 0
        logs = raw[:, scale_columns(self.mixture)]
        scales = self.mixture.min_scale + np.exp(logs.clip(-30.0, 30.0)).mean(axis=0)
        state = trainer.state()
        for k in dead:
            donor = int(shares.argmax())
            move = rng.standard_normal(self.mixture.n_dims) * scales[donor]
            self._split(state, donor, int(k), move)
            shares[[donor, k]] = shares[donor] / 2.0
            scales[k] = scales[donor]
        trainer.load_state(state)
        return len(dead)

    def _raw(self, parameters: FloatArray, rng: np.random.Generator) -> Float64Array:
        rows = np.ascontiguousarray(_sample(self.X, rng))
        return self.backend.network(self.spec, parameters).forward(rows).astype(np.float64)

    def _split(
        self, state: dict[str, FloatArray], donor: int, dead: int, move: Float64Array
    ) -> None:
        """Copy `donor` to `dead` in the trainer's `state`, in place."""
        columns = component_columns(self.mixture)
        take, put = columns[donor], columns[dead]
        # Both halves keep the donor's moments: from moments of zero, Adam's next steps would be
        # (1 - beta_1) / sqrt(1 - beta_2) times the learning rate, about three times too long.
        for name in ("parameters", "first_moment", "second_moment"):
            for layer in self.spec.layers(state[name])[-1]:
                layer[..., put] = layer[..., take]
        biases = self.spec.layers(state["parameters"])[-1][1]
        biases[[donor, dead]] -= np.log(2.0)
        biases[put[1 : 1 + self.mixture.n_dims]] += move


def _sample(rows: NDArray[Scalar], rng: np.random.Generator) -> NDArray[Scalar]:
    """`N_ROWS` of `rows` at random, or all of them."""
    return rows if len(rows) <= N_ROWS else rows[rng.choice(len(rows), N_ROWS, replace=False)]


def _squared_distances(points: Float64Array, centers: Float64Array) -> Float64Array:
    difference = points[:, None, :] - centers
    squares: Float64Array = np.einsum("nkd,nkd->nk", difference, difference)
    return squares
