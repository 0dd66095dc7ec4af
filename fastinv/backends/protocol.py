"""The protocol of a backend, which the reference and the compiled kernels share.

Every array argument is C-contiguous.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from fastinv._common.arrays import Float64Array, FloatArray, IntArray
from fastinv.backends.networks import Network, Trainer
from fastinv.backends.solving import (
    FEATURE_LIMIT,
    Anchors,
    Assessed,
    CandidateFlag,
    Candidates,
    Found,
    Pipeline,
    PipelineOptions,
    Polished,
    Ranked,
    Search,
    Track,
    TwinModel,
)
from fastinv.functions.networks import Loss, MixtureSpec, NetworkSpec
from fastinv.functions.problem import Problem

__all__ = [
    "FEATURE_LIMIT",
    "Anchors",
    "Assessed",
    "Backend",
    "CandidateFlag",
    "Candidates",
    "Found",
    "NeighborIndex",
    "Network",
    "Pipeline",
    "PipelineOptions",
    "Polished",
    "Ranked",
    "Search",
    "Track",
    "Trainer",
    "TwinModel",
]


class NeighborIndex(Protocol):
    """Exact k nearest neighbours in the Euclidean distance, ties to the lowest index."""

    def query(
        self, queries: FloatArray, k: int, *, n_threads: int = 1
    ) -> tuple[FloatArray, IntArray]:
        """Distances ``(n, k)``, ascending, and indices ``(n, k)`` into the points.

        Points and queries must be finite.
        """
        ...

    def try_query(self, queries: Any, k: Any, out: Any, /) -> tuple[Any, Any] | None:
        """A fast way for small calls, with its own checks; None for calls that need `query`.

        It takes little work in plain arrays (C-contiguous floats, (n, d) or (d,)), with `k` an
        int and `out` None or a pair of arrays.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """A set of kernels. Backends hold configuration only and are safe to share."""

    name: str

    def network(self, spec: NetworkSpec, parameters: FloatArray) -> Network:
        """A network for inference, in the dtype of `parameters`."""
        ...

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
        ...

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
        """Mean loss over rows and outputs, and its gradient, flat like `parameters`."""
        ...

    def mixture_nll(
        self,
        raw: FloatArray,
        targets: FloatArray,
        mixture: MixtureSpec,
        *,
        n_threads: int = 1,
    ) -> tuple[FloatArray, FloatArray]:
        """Negative log-likelihood of each row of `targets` ``(n, n_dims)`` under the mixture that
        its row of `raw` ``(n, n_raw)`` gives: losses ``(n,)`` in nats, and ``d loss_i / d raw_i``
        ``(n, n_raw)``, by log-sum-exp.

        Finite for finite targets and every raw output except NaN: logits and log scales are
        limited to where exponentials stay in range; infinite ones count as those limits.
        """
        ...

    def mixture_modes(
        self,
        weights: Float64Array,
        means: Float64Array,
        lower: Float64Array,
        *,
        n_threads: int = 1,
    ) -> tuple[Float64Array, Float64Array]:
        """All local maxima of n densities, the highest first, and of each the sum of the weights
        of the components whose means lead there: ``(n, m, D)``, padded with NaN, and ``(n, m)``.

        Of `weights` ``(n, K)``, `means` ``(n, K, D)`` and Cholesky factors `lower`
        ``(n, K, D, D)`` of the covariances, all finite, diagonals positive.
        """
        ...

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
        """A trainer like :meth:`trainer`, of a network whose ``n_outputs`` raw outputs are
        ``mixture.n_raw``, for targets ``(n, n_dims)``; its loss is the mean of :meth:`mixture_nll`
        over rows."""
        ...

    def neighbors(
        self, points: FloatArray, *, leaf_size: int = 16, n_threads: int = 1
    ) -> NeighborIndex:
        """An index of `points` ``(n, d)``, in their dtype, the same for any `n_threads`."""
        ...

    def rank(self, residuals: Float64Array) -> IntArray:
        """For each row of `residuals` ``(n, k)``, the order that sorts it; ties and NaN keep their
        order, NaN last."""
        ...

    def anchors(
        self, x: Float64Array, y: Float64Array, y_scale: Float64Array | None = None
    ) -> Anchors:
        """Anchors with x ``(n, p)`` and y ``(n, q)``, finite, n at least 1; distances in y are in
        units of `y_scale` ``(q,)``, by default 1."""
        ...

    def pipeline(
        self,
        problem: Problem,
        anchors: Anchors,
        twin: TwinModel | None = None,
        options: PipelineOptions | None = None,
    ) -> Pipeline:
        """The chain for `problem`; `anchors` are this backend's."""
        ...

    def search(
        self, problem: Problem, anchors: Anchors, options: PipelineOptions | None = None
    ) -> Search:
        """The search for all solutions; `anchors` are this backend's, their y images of f."""
        ...
