"""The networks as the paper trains them: on raw numbers, without any scaling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastinv._common.arrays import Float64Array, FloatArray
from fastinv.backends import get_backend
from fastinv.backends.protocol import TwinModel
from fastinv.estimators.mlp import MLPRegressor
from fastinv.estimators.networks import initial_parameters
from fastinv.functions.goal import Goal
from fastinv.functions.networks import NetworkSpec
from fastinv.solvers import TwinSolver
from fastinv.solvers.fitting.fit_data import FitData
from fastinv.solvers.pairs.pairs import (
    Float32Array,
    FormulaPairs,
    Pairs,
    PairScaling,
    ScaledFormulaPairs,
    neighbor_pairs,
    pairs_with,
    resolve_radius,
)
from fastinv.solvers.pairs.sources import N_VALIDATION_PAIRS, PairSource
from fastinv.training import FixedData, Training

# Of ReduceLROnPlateau, by default: steps between anchors are small, and so are the losses.
_KERAS_MIN_DELTA = 1e-4
_NO_LIMIT = 1e300  # no step counts as an extrapolation


class RawPairs(PairScaling):
    """Inputs (y, y_a, x_a) and targets x - x_a, as they are."""

    @classmethod
    def of_shape(cls, n_inputs: int, n_outputs: int) -> RawPairs:
        """For x with `n_inputs` components and y with `n_outputs`."""
        zeros, ones = np.zeros, np.ones
        p, q = n_inputs, n_outputs
        return cls(ones(q), zeros(q), ones(q), zeros(p), ones(p), ones(p), _NO_LIMIT)

    def rows(self, pairs: Pairs) -> tuple[Float32Array, Float32Array]:
        inputs = np.hstack([pairs.y, pairs.y_anchor, pairs.x_anchor])
        return inputs.astype(np.float32), (pairs.x - pairs.x_anchor).astype(np.float32)

    def network(self, spec: NetworkSpec, parameters: Float32Array) -> TwinModel:
        """The same function of (y - y_a, y_a, x_a), which is what a TwinModel takes.

        For W_1 y + W_2 y_a is W_1 (y - y_a) + (W_1 + W_2) y_a.
        """
        own = parameters.copy()
        weights, _ = next(iter(spec.layers(own)))
        q = len(self.y_mean)
        weights[q : 2 * q] += weights[:q]
        return super().network(spec, own)


class UnscaledTwinSolver(TwinSolver):
    """:class:`TwinSolver` that follows the paper's algorithms 1 and 2 to the letter.

    Nothing is scaled, partners are drawn without regard to bounds, the anchors are the training
    points and all other points validate, and no candidate is replaced by its anchor.
    """

    _falls_back_on_anchors = False

    def by_anchor(self, targets: Float64Array, k: int) -> Float64Array:
        """Eq. (6) from the k anchors nearest in y to each target, the nearest first: x (n, k, p).

        Unlike `solve` it keeps those at which f is not defined.
        """
        goal = Goal(targets, self.residual_tol_)
        return self._pipeline.correct(goal, self._pipeline.propose(goal, k)).x

    def _pair_source(self, data: FitData, rng: np.random.Generator) -> PairSource:
        return self._of_data(data) if data.measured else self._of_formula(data, rng)

    def _of_formula(self, data: FitData, rng: np.random.Generator) -> PairSource:
        assert data.forward is not None
        x, y = data.anchors
        p = x.shape[1]
        everywhere = np.tile([-np.inf, np.inf], (p, 1))
        backend = get_backend(self.backend)
        radius = resolve_radius(self.pair_radius, backend, _box(x), x, y.shape[1], rng)
        pairs = FormulaPairs(data.forward, x, y, everywhere, radius, self.pairs_per_epoch)
        scaling = RawPairs.of_shape(p, y.shape[1])
        validation = scaling.rows(pairs.draw(rng, N_VALIDATION_PAIRS))
        return scaling, ScaledFormulaPairs(pairs, scaling), validation

    def _of_data(self, data: FitData) -> PairSource:
        """The first of the points are the anchors."""
        x, y = data.points
        n = len(data.anchors[0])
        anchors, others = (x[:n], y[:n]), (x[n:], y[n:])
        backend = get_backend(self.backend)
        pairs = neighbor_pairs(backend, *anchors, self.n_pair_neighbors)
        validation = pairs_with(backend, others, anchors, self.n_pair_neighbors)
        scaling = RawPairs.of_shape(x.shape[1], y.shape[1])
        return scaling, FixedData(*scaling.rows(pairs)), scaling.rows(validation)

    def _initial_parameters(self, spec: NetworkSpec, rng: np.random.Generator) -> FloatArray:
        return _without_biases(spec, initial_parameters(spec, rng))

    def _training(self) -> Training:
        return replace(super()._training(), plateau_tol=_KERAS_MIN_DELTA)


class UnscaledMLPRegressor(MLPRegressor):
    """:class:`fastinv.MLPRegressor` that scales nothing and starts like the paper's networks."""

    _plateau_tol = _KERAS_MIN_DELTA

    def _scaling(self, values: Float64Array, name: str) -> tuple[Float64Array, Float64Array]:
        return np.zeros(values.shape[1]), np.ones(values.shape[1])

    def _initial_parameters(self, spec: NetworkSpec, rng: np.random.Generator) -> FloatArray:
        return _without_biases(spec, initial_parameters(spec, rng))


def _without_biases(spec: NetworkSpec, parameters: FloatArray) -> FloatArray:
    """`parameters` with biases of 0, where Keras starts."""
    for _, biases in spec.layers(parameters):
        biases[:] = 0.0
    return parameters


def _box(x: Float64Array) -> Float64Array:
    return np.stack([x.min(axis=0), x.max(axis=0)], axis=1)
