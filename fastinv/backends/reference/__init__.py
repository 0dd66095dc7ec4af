"""The reference backend: readable NumPy in float64, against which the others are tested.

It takes float32 or float64, computes in float64 and returns float64. It is slow.
"""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import Float64Array, FloatArray, IntArray
from fastinv.backends.checks import common as _checks
from fastinv.backends.checks import solving as _solving_checks
from fastinv.backends.reference import mlp
from fastinv.backends.reference.anchors import Anchors
from fastinv.backends.reference.mixtures import likelihood, modes
from fastinv.backends.reference.mlp import Network, Trainer
from fastinv.backends.reference.neighbors import NeighborIndex, sorting_order
from fastinv.backends.reference.pipeline import Pipeline
from fastinv.backends.reference.search import Search
from fastinv.backends.solving import Anchors as AnyAnchors
from fastinv.backends.solving import PipelineOptions, TwinModel
from fastinv.functions.networks import Loss, MixtureSpec, NetworkSpec
from fastinv.functions.problem import Problem

__all__ = [
    "Anchors",
    "NeighborIndex",
    "Network",
    "Pipeline",
    "ReferenceBackend",
    "Search",
    "Trainer",
]


class ReferenceBackend:
    """The oracle; see :class:`fastinv.backends.protocol.Backend`. `n_threads` has no effect."""

    name = "reference"

    def network(self, spec: NetworkSpec, parameters: FloatArray) -> Network:
        """A network for inference."""
        return Network(spec, parameters)

    def trainer(
        self,
        spec: NetworkSpec,
        parameters: FloatArray,
        *,
        loss: Loss = "squared_error",
        huber_delta: float = 1.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> Trainer:
        """A trainer that starts from `parameters`."""
        _checks.check_loss(loss, huber_delta)
        element_loss = mlp.ElementLoss(spec.n_outputs, loss, huber_delta)
        return Trainer(spec, parameters, element_loss, beta_1, beta_2, epsilon)

    def loss_and_gradient(
        self,
        spec: NetworkSpec,
        parameters: FloatArray,
        X: FloatArray,
        Y: FloatArray,
        *,
        loss: Loss = "squared_error",
        huber_delta: float = 1.0,
        n_threads: int = 1,
    ) -> tuple[float, FloatArray]:
        """Mean loss over rows and outputs, and its gradient."""
        _checks.check_parameters("parameters", spec, parameters)
        _checks.check_loss(loss, huber_delta)
        _checks.check_pairs(spec, spec.n_outputs, X, Y, n_threads)
        return mlp.loss_and_gradient(
            spec,
            parameters.astype(np.float64),
            X.astype(np.float64),
            Y.astype(np.float64),
            mlp.ElementLoss(spec.n_outputs, loss, huber_delta),
        )

    def mixture_nll(
        self,
        raw: FloatArray,
        targets: FloatArray,
        mixture: MixtureSpec,
        *,
        n_threads: int = 1,
    ) -> tuple[FloatArray, FloatArray]:
        """Losses ``(n,)`` and gradient ``(n, n_raw)``, within the limits of the dtype of `raw`."""
        _checks.check_mixture_rows(raw, targets, mixture, n_threads)
        return likelihood.nll_and_gradient(
            mixture,
            likelihood.LIMITS[raw.dtype],
            raw.astype(np.float64),
            targets.astype(np.float64),
        )

    def mixture_modes(
        self,
        weights: Float64Array,
        means: Float64Array,
        lower: Float64Array,
        *,
        n_threads: int = 1,
    ) -> tuple[Float64Array, Float64Array]:
        """Modes ``(n, m, D)`` and their weights; `n_threads` has no effect."""
        _checks.check_components(weights, means, lower, n_threads)
        return modes.mixture_modes(weights, means, lower)

    def mixture_trainer(
        self,
        spec: NetworkSpec,
        parameters: FloatArray,
        mixture: MixtureSpec,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> Trainer:
        """A trainer on :meth:`mixture_nll`, within the limits of the dtype of `parameters`."""
        _checks.check_parameters("parameters", spec, parameters)
        _checks.check_mixture_network(spec, mixture)
        loss = likelihood.MixtureLoss(mixture, likelihood.LIMITS[parameters.dtype])
        return Trainer(spec, parameters, loss, beta_1, beta_2, epsilon)

    def neighbors(
        self, points: FloatArray, *, leaf_size: int = 16, n_threads: int = 1
    ) -> NeighborIndex:
        """An index of `points`; `leaf_size` and `n_threads` have no effect."""
        _checks.check_count("n_threads", n_threads)
        return NeighborIndex(points, leaf_size)

    def rank(self, residuals: Float64Array) -> IntArray:
        """For each row, the order that sorts it, NaN last."""
        _checks.check_residuals(residuals)
        return sorting_order(residuals)

    def anchors(
        self, x: Float64Array, y: Float64Array, y_scale: Float64Array | None = None
    ) -> Anchors:
        """Anchors, searched by brute force."""
        return Anchors(x, y, _solving_checks.units_of_anchors(y, y_scale))

    def pipeline(
        self,
        problem: Problem,
        anchors: AnyAnchors,
        twin: TwinModel | None = None,
        options: PipelineOptions | None = None,
    ) -> Pipeline:
        """The chain for `problem`."""
        return Pipeline(problem, anchors, twin, options or PipelineOptions())

    def search(
        self, problem: Problem, anchors: AnyAnchors, options: PipelineOptions | None = None
    ) -> Search:
        """The search for all solutions."""
        return Search(problem, anchors, options or PipelineOptions())
