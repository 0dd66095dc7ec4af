"""The C++ backend: the protocol over the extension ``fastinv._core``.

The values are checked here, by the checks that all backends share; the extension checks layout.
Only the extension checks `mixture_nll`, in the same words, because its batches are small.
Arrays that are not contiguous are copied. No dtype is converted, except that a pipeline's
networks run in float32.
"""

from __future__ import annotations

import numpy as np

from fastinv import _core
from fastinv._common.arrays import Float64Array, FloatArray, IntArray
from fastinv.backends.batched import Search as BatchedSearch
from fastinv.backends.checks import common as _checks
from fastinv.backends.checks import solving as _solving_checks
from fastinv.backends.cpp import mixture as mixtures
from fastinv.backends.cpp.mlp import Network, Trainer, element_trainer, loss_and_gradient
from fastinv.backends.cpp.neighbors import NeighborIndex
from fastinv.backends.cpp.nouns import Anchors
from fastinv.backends.cpp.pipeline import Pipeline
from fastinv.backends.cpp.search import Search
from fastinv.backends.solving import Anchors as AnyAnchors
from fastinv.backends.solving import PipelineOptions, TwinModel
from fastinv.functions.networks import Loss, MixtureSpec, NetworkSpec
from fastinv.functions.problem import Problem

__all__ = ["Anchors", "CppBackend", "NeighborIndex", "Network", "Pipeline", "Trainer"]


class CppBackend:
    """Compiled kernels; see :class:`fastinv.backends.protocol.Backend`.

    Parameters
    ----------
    isa : str or None, default=None
        The instruction set, one of ``fastinv._core.isas()``; None takes the best that this CPU
        has, or what the environment variable ``FASTINV_ISA`` names.

    Raises
    ------
    ValueError
        If `isa` or ``FASTINV_ISA`` names an instruction set that this build or CPU lacks.
    """

    name = "cpp"

    def __init__(self, isa: str | None = None) -> None:
        if isa is None:
            isa = _core.default_isa()
        elif isa not in _core.isas():
            raise ValueError(f"isa must be one of {_core.isas()} on this CPU, got {isa!r}")
        self.isa: str = isa

    def network(self, spec: NetworkSpec, parameters: FloatArray) -> Network:
        """A network for inference, in the dtype of `parameters`."""
        return Network(spec, parameters, self.isa)

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
        """A trainer that starts from `parameters`, in their dtype."""
        return element_trainer(
            spec, parameters, loss, huber_delta, beta_1, beta_2, epsilon, self.isa
        )

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
        """Mean loss over rows and outputs, and its gradient, in the dtype of `parameters`."""
        trainer = self.trainer(spec, parameters, loss=loss, huber_delta=huber_delta)
        return loss_and_gradient(trainer, X, Y, n_threads)

    def mixture_nll(
        self,
        raw: FloatArray,
        targets: FloatArray,
        mixture: MixtureSpec,
        *,
        n_threads: int = 1,
    ) -> tuple[FloatArray, FloatArray]:
        """Losses ``(n,)`` and gradient ``(n, n_raw)`` in the dtype of `raw` and `targets`."""
        return mixtures.mixture_nll(raw, targets, mixture, n_threads, self.isa)

    def mixture_modes(
        self,
        weights: Float64Array,
        means: Float64Array,
        lower: Float64Array,
        *,
        n_threads: int = 1,
    ) -> tuple[Float64Array, Float64Array]:
        """Modes ``(n, m, D)`` and their weights ``(n, m)``."""
        _checks.check_components(weights, means, lower, n_threads)
        return mixtures.mixture_modes(weights, means, lower, n_threads, self.isa)

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
        """A trainer on :meth:`mixture_nll` that starts from `parameters`, in their dtype."""
        return mixtures.mixture_trainer(
            spec, parameters, mixture, beta_1, beta_2, epsilon, self.isa
        )

    def neighbors(
        self, points: FloatArray, *, leaf_size: int = 16, n_threads: int = 1
    ) -> NeighborIndex:
        """A KD-tree of `points`, in their dtype."""
        return NeighborIndex(points, leaf_size, self.isa, n_threads)

    def rank(self, residuals: Float64Array) -> IntArray:
        """For each row, the order that sorts it, NaN last."""
        _checks.check_residuals(residuals)
        order = np.empty(residuals.shape, dtype=np.int64)
        _core.rank(np.ascontiguousarray(residuals), order)
        return order

    def anchors(
        self, x: Float64Array, y: Float64Array, y_scale: Float64Array | None = None
    ) -> Anchors:
        """Anchors with a KD-tree over y."""
        return Anchors(x, y, _solving_checks.units_of_anchors(y, y_scale), self.isa)

    def pipeline(
        self,
        problem: Problem,
        anchors: AnyAnchors,
        twin: TwinModel | None = None,
        options: PipelineOptions | None = None,
    ) -> Pipeline:
        """The chain for `problem`."""
        return Pipeline(problem, anchors, twin, options or PipelineOptions(), self.isa)

    def search(
        self, problem: Problem, anchors: AnyAnchors, options: PipelineOptions | None = None
    ) -> Search | BatchedSearch:
        """The search for all solutions; in Python, many targets at a time, if only Python can
        evaluate f."""
        options = options or PipelineOptions()
        if problem.function.code is None:
            return BatchedSearch(problem, anchors, options)
        return Search(problem, anchors, options, self.isa)
