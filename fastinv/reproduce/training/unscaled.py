"""The networks as the paper trains them: on raw numbers, without any scaling."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from fastinv._common.arrays import Float64Array, FloatArray
from fastinv._common.parameters import check_effects
from fastinv._common.validation import check_integer
from fastinv.backends.protocol import Anchors, Backend, TwinModel
from fastinv.estimators.mlp import MLPRegressor
from fastinv.estimators.network_fit import NetworkEstimator
from fastinv.estimators.networks import Float32Array
from fastinv.estimators.twin_network import TwinNetwork
from fastinv.estimators.twin_pairs import Pairs, PairScaling, PairSource
from fastinv.functions.networks import NetworkSpec
from fastinv.solvers import TrainingPairs, TwinSolver
from fastinv.solvers.fitting.fit_data import FitData
from fastinv.solvers.pairs.near import (
    FormulaPairs,
    ScaledFormulaPairs,
    neighbor_pairs,
    pairs_with,
)
from fastinv.solvers.pairs.radius import resolve_radius
from fastinv.solvers.pairs.sources import DRAWN_OR_NEIGHBORS, N_VALIDATION_PAIRS
from fastinv.training import FixedData

# Default of ReduceLROnPlateau. It matters, because steps between anchors and so the losses are
# small.
_KERAS_MIN_DELTA = 1e-4
_NO_LIMIT = 1e300  # so that no step counts as an extrapolation


class RawScaling(PairScaling):
    """Inputs (y, y_a, x_a) and targets x - x_a, unscaled."""

    @classmethod
    def of_shape(cls, n_inputs: int, n_outputs: int) -> RawScaling:
        """For x with `n_inputs` components and y with `n_outputs`."""
        zeros, ones = np.zeros, np.ones
        p, q = n_inputs, n_outputs
        return cls(ones(q), zeros(q), ones(q), zeros(p), ones(p), ones(p), _NO_LIMIT)

    def rows(self, pairs: Pairs) -> tuple[Float32Array, Float32Array]:
        inputs = np.hstack([pairs.y, pairs.y_anchor, pairs.x_anchor])
        return inputs.astype(np.float32), (pairs.x - pairs.x_anchor).astype(np.float32)

    def network(self, spec: NetworkSpec, parameters: Float32Array) -> TwinModel:
        """The same function of (y - y_a, y_a, x_a), the inputs of a TwinModel.

        W_1 y + W_2 y_a is W_1 (y - y_a) + (W_1 + W_2) y_a.
        """
        own = parameters.copy()
        weights, _ = next(iter(spec.layers(own)))
        q = len(self.y_mean)
        weights[q : 2 * q] += weights[:q]
        return super().network(spec, own)


class RawPairs(TrainingPairs):
    """The pairs of the paper's algorithm 1, unscaled.

    Partners are drawn without regard to bounds. The first measured points, as many as
    there are anchors, are paired with each other; all others validate.

    Parameters
    ----------
    pairs_per_epoch, radius, n_neighbors
        As in :class:`fastinv.NearPairs`.
    """

    def __init__(
        self,
        *,
        pairs_per_epoch: int = 25600,
        radius: float | ArrayLike | None = None,
        n_neighbors: int = 5,
    ) -> None:
        self.pairs_per_epoch = pairs_per_epoch
        self.radius = radius
        self.n_neighbors = n_neighbors

    def check(self, measured: bool) -> None:
        check_integer(self.pairs_per_epoch, "pairs_per_epoch")
        check_integer(self.n_neighbors, "n_neighbors")
        check_effects(self, DRAWN_OR_NEIGHBORS, measured=measured)

    def source(
        self,
        data: FitData,
        anchors: Anchors,
        backend: Backend,
        rng: np.random.Generator,
        n_threads: int = 1,
    ) -> PairSource:
        scaling = RawScaling.of_shape(data.points[0].shape[1], data.points[1].shape[1])
        if data.measured:
            return self._of_data(data, scaling, backend)
        return self._of_formula(data, scaling, backend, rng)

    def _of_formula(
        self, data: FitData, scaling: RawScaling, backend: Backend, rng: np.random.Generator
    ) -> PairSource:
        assert data.forward is not None
        x, y = data.anchors
        everywhere = np.tile([-np.inf, np.inf], (x.shape[1], 1))
        box = np.stack([x.min(axis=0), x.max(axis=0)], axis=1)
        radius = resolve_radius(self.radius, backend, box, x, y.shape[1], rng)
        pairs = FormulaPairs(data.forward, x, y, everywhere, radius, self.pairs_per_epoch)
        validation = scaling.rows(pairs.draw(rng, N_VALIDATION_PAIRS))
        return PairSource(scaling, ScaledFormulaPairs(pairs, scaling), validation)

    def _of_data(self, data: FitData, scaling: RawScaling, backend: Backend) -> PairSource:
        x, y = data.points
        n = len(data.anchors[0])
        anchors, others = (x[:n], y[:n]), (x[n:], y[n:])
        pairs = neighbor_pairs(backend, *anchors, self.n_neighbors)
        validation = pairs_with(backend, others, anchors, self.n_neighbors)
        return PairSource(scaling, FixedData(*scaling.rows(pairs)), scaling.rows(validation))


class _StartedLikeKeras(NetworkEstimator):
    """First weights and patience as in Keras."""

    _plateau_tol = _KERAS_MIN_DELTA

    def _initial_parameters(self, spec: NetworkSpec, rng: np.random.Generator) -> FloatArray:
        parameters = super()._initial_parameters(spec, rng)
        for _, biases in spec.layers(parameters):
            biases[:] = 0.0
        return parameters


class UnscaledTwinNetwork(_StartedLikeKeras, TwinNetwork):
    """:class:`fastinv.TwinNetwork` that starts like the paper's networks."""


class UnscaledMLPRegressor(_StartedLikeKeras, MLPRegressor):
    """:class:`fastinv.MLPRegressor` that scales nothing and starts like the paper's networks."""

    def _scaling(self, values: Float64Array, name: str) -> tuple[Float64Array, Float64Array]:
        return np.zeros(values.shape[1]), np.ones(values.shape[1])


class UnscaledTwinSolver(TwinSolver):
    """:class:`fastinv.TwinSolver` that follows the paper's algorithms 1 and 2 to the letter.

    By default it trains an :class:`UnscaledTwinNetwork` on :class:`RawPairs`. No candidate is
    replaced by its anchor.
    """

    _falls_back_on_anchors = False

    def by_anchor(self, targets: Float64Array, k: int) -> Float64Array:
        """Solutions x (n, k, p) by eq. (6) from the k anchors nearest in y, the nearest first.

        Unlike `solve`, it keeps solutions at which f is not defined.
        """
        goal = self._goal(targets)
        return self._pipeline.correct(goal, self._pipeline.propose(goal, k)).x

    def _default_parts(self) -> dict[str, BaseEstimator]:
        return {"network": UnscaledTwinNetwork(), "pairs": RawPairs()}
