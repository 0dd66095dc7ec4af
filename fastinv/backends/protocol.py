"""What a backend offers: the contract that the reference and the compiled kernels share.

Every array argument is C-contiguous. Networks are described by a :class:`NetworkSpec` and one
flat parameter vector: for each layer its weights ``(n_in, n_out)`` row by row, then its biases.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastinv import _core

Activation = Literal["relu", "silu", "tanh", "identity"]
Loss = Literal["squared_error", "absolute_error", "huber"]
FloatArray = NDArray[np.floating[Any]]
Covariance = Literal["spherical", "diag", "full"]
Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Scaled inputs of a pipeline's networks are of order one; what lies beyond this limit is set to it,
# so that no finite target overflows inside the network.
FEATURE_LIMIT = 1e6

ACTIVATIONS: tuple[Activation, ...] = ("relu", "silu", "tanh", "identity")
COVARIANCES: tuple[Covariance, ...] = ("spherical", "diag", "full")
LOSSES: tuple[Loss, ...] = ("squared_error", "absolute_error", "huber")


@dataclass(frozen=True)
class NetworkSpec:
    """Shape of a multilayer perceptron: hidden layers share an activation, the last is linear.

    Parameters
    ----------
    layer_sizes : tuple of int
        ``(n_inputs, *hidden, n_outputs)``, at least two entries, all positive.
    activation : {"relu", "silu", "tanh", "identity"}
    """

    layer_sizes: tuple[int, ...]
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if len(self.layer_sizes) < 2 or any(size < 1 for size in self.layer_sizes):
            raise ValueError(
                f"layer_sizes must hold at least two positive sizes, got {self.layer_sizes}"
            )
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {ACTIVATIONS}, got {self.activation!r}")

    @property
    def n_inputs(self) -> int:
        return self.layer_sizes[0]

    @property
    def n_outputs(self) -> int:
        return self.layer_sizes[-1]

    @property
    def n_parameters(self) -> int:
        return sum((a + 1) * b for a, b in pairwise(self.layer_sizes))

    def layers(self, parameters: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """Views ``(weights (n_in, n_out), biases (n_out,))`` of a flat parameter vector."""
        if parameters.shape != (self.n_parameters,):
            raise ValueError(
                f"parameters must have shape ({self.n_parameters},), got {parameters.shape}"
            )
        views = []
        start = 0
        for n_in, n_out in pairwise(self.layer_sizes):
            weights = parameters[start : start + n_in * n_out].reshape(n_in, n_out)
            start += n_in * n_out
            views.append((weights, parameters[start : start + n_out]))
            start += n_out
        return views


@dataclass(frozen=True)
class MixtureSpec:
    """A mixture of Gaussians in n_dims dimensions, and how a network's raw outputs give it.

    A raw row holds ``logits (K) | means (K x D, component by component) | log scales``; the last
    are K numbers for "spherical", K x D for "diag", and for "full" the lower triangle of the
    Cholesky factor L of each covariance ``L L^T``, row by row, K x D(D+1)/2, of which the diagonal
    entries are logarithms. With ``e = min_weight`` and ``s = min_scale``:

    ``weights = (1 - K e) softmax(logits) + e``, ``scales = s + exp(log scales)``; the diagonal of L
    is a scale likewise.

    Parameters
    ----------
    n_components : int
        K
    n_dims : int
        D
    covariance_type : {"spherical", "diag", "full"}, default="diag"
    min_weight : float, default=0.0
        At least 0, below 1 / K.
    min_scale : float, default=0.0
        In the units of the targets. The gradient of a scale falls with its distance from here,
        and never stops at it.
    """

    n_components: int
    n_dims: int
    covariance_type: Covariance = "diag"
    min_weight: float = 0.0
    min_scale: float = 0.0

    def __post_init__(self) -> None:
        for name in ("n_components", "n_dims"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.covariance_type not in COVARIANCES:
            raise ValueError(
                f"covariance_type must be one of {COVARIANCES}, got {self.covariance_type!r}"
            )
        if not 0.0 <= self.min_weight < 1.0 / self.n_components:
            raise ValueError(
                f"min_weight must be at least 0 and below 1 / n_components = "
                f"{1.0 / self.n_components:g}, got {self.min_weight}"
            )
        if not 0.0 <= self.min_scale < float("inf"):
            raise ValueError(f"min_scale must be at least 0 and finite, got {self.min_scale}")

    @property
    def n_scales(self) -> int:
        """Raw scale entries per component."""
        d = self.n_dims
        return {"spherical": 1, "diag": d, "full": d * (d + 1) // 2}[self.covariance_type]

    @property
    def n_raw(self) -> int:
        """Length of a raw row."""
        return self.n_components * (1 + self.n_dims + self.n_scales)


class Network(Protocol):
    """An immutable network: safe to call from any number of threads at once."""

    def forward(
        self, X: FloatArray, *, out: FloatArray | None = None, n_threads: int = 1
    ) -> FloatArray:
        """Outputs ``(n, n_outputs)`` of the rows of `X` ``(n, n_inputs)``."""
        ...


class Trainer(Protocol):
    """Parameters with Adam's moments (Kingma & Ba 2015, algorithm 1)."""

    def train_epoch(
        self,
        X: FloatArray,
        Y: FloatArray,
        order: IntArray,
        *,
        batch_size: int,
        learning_rate: float,
        n_threads: int = 1,
    ) -> float:
        """One step per batch of `order`, the last batch possibly smaller.

        Returns the mean of the loss over the rows of `order`, each at the parameters that its
        batch met.
        """
        ...

    def loss(self, X: FloatArray, Y: FloatArray, *, n_threads: int = 1) -> float:
        """Mean loss over rows and outputs at the present parameters."""
        ...

    def parameters(self) -> FloatArray:
        """A copy of the present parameters, flat."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of ``parameters``, ``first_moment``, ``second_moment``, ``step`` (0-d int64)."""
        ...

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from what :meth:`state` returned."""
        ...


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
        """The same at the cost of the search, with checks of its own; None for whatever is not
        little work in plain arrays (C-contiguous floats, (n, d) or (d,), with `k` an int and
        `out` None or a pair of arrays), which is then up to `query`."""
        ...


@dataclass(frozen=True)
class Candidates:
    """Candidates ``(n, k)`` in the order of their anchors, before ranking.

    ``x`` is ``(n, k, p)``, inside the bounds; ``flags`` holds bits of :class:`CandidateFlag`;
    ``anchor_distance`` is each target's distance in y to its nearest anchor, ``(n,)``.
    """

    x: Float64Array
    anchor: IntArray
    flags: NDArray[np.uint8]
    anchor_distance: Float64Array


class CandidateFlag:
    """Bits of :attr:`Candidates.flags`."""

    EXTRAPOLATED = 1  # the network left the region that its training pairs were drawn from
    CLIPPED = 2  # the prediction left the bounds and was moved onto them


@dataclass(frozen=True)
class LearnedForward:
    """A network that stands for f: ``f(x) = y_mean + y_scale * net((x - x_mean) / x_scale)``."""

    spec: NetworkSpec
    parameters: FloatArray
    x_mean: Float64Array
    x_scale: Float64Array
    y_mean: Float64Array
    y_scale: Float64Array


@dataclass(frozen=True)
class TwinNetwork:
    """F of ITNNR, eq. (5) and (6), with its scalings.

    ``features = [(y - y_a) / dy_scale, (y_a - y_mean) / y_scale, (x_a - x_mean) / x_scale]`` and
    ``x = x_a + dx_scale * net(features)``; an output beyond ``reach`` in any coordinate is an
    extrapolation.
    """

    spec: NetworkSpec
    parameters: FloatArray
    dy_scale: Float64Array
    y_mean: Float64Array
    y_scale: Float64Array
    x_mean: Float64Array
    x_scale: Float64Array
    dx_scale: Float64Array
    reach: float


@dataclass(frozen=True)
class RefineSpec:
    """How candidates are polished, and when two solutions are one.

    Parameters
    ----------
    jacobian : int or None
        The address of ``void(const double *x, double *jac, int64_t n_rows)``, with ``jac``
        ``(n, q, p)``; None takes central differences, or the network's own derivative.
    max_evaluations : int
        Of f, per candidate.
    periods : (p,) float64
        Infinite where a coordinate is not periodic. A periodic one whose bounds span its period
        has no bounds of its own.
    separation : float
        Distance, in units of ``x_spread``, up to which two solutions are one.
    """

    jacobian: int | None
    max_evaluations: int
    periods: Float64Array
    separation: float


@dataclass(frozen=True)
class PipelineSpec:
    """All that is needed to go from targets to ranked solutions.

    Parameters
    ----------
    anchors_x : (n_anchors, p) float64
    anchors_y : (n_anchors, q) float64
    twin : TwinNetwork or None
        None proposes the anchors themselves (nearest-neighbour lookup).
    forward : int, LearnedForward or None
        The address of a compiled f, ``void(const double *x, double *y, int64_t n_rows)``; a
        network; or None, when the caller evaluates f between ``candidates`` and ``rank``.
    lower, upper : (p,) float64
        Bounds, infinite where there are none.
    tol : float
        Residual at or below which a candidate is CONVERGED, in the units of y.
    coverage : float
        A target with its nearest anchor and its best residual both beyond this distance is
        UNREACHABLE.
    x_spread : (p,) float64
        Units of x in which distances to `near` are measured, positive.
    anchors_exact : bool
        True says that ``anchors_y = f(anchors_x)`` holds: a candidate with a residual above its
        anchor's own, or one that is not finite, is then replaced by the anchor, without flags.
    trust_residual : bool
        False (a learned f) ranks extrapolated candidates behind all others.
    apart : float
        Above 0, each of the ``n_neighbors`` anchors is the nearest in y among those that are
        farther than this, in units of ``x_spread``, from all that were chosen before it; the
        nearest of the others fill up what is then missing.
    pool : int
        They are chosen from the ``pool * n_neighbors`` anchors nearest in y.
    refine : RefineSpec or None
        None leaves the candidates as they are. Otherwise ``solve`` polishes each of them, or its
        anchor where that is exact and closer, and ranks all but the best of those CONVERGED ones
        that are one solution behind all others that are valid.
    """

    anchors_x: Float64Array
    anchors_y: Float64Array
    twin: TwinNetwork | None
    forward: int | LearnedForward | None
    lower: Float64Array
    upper: Float64Array
    tol: float
    coverage: float
    x_spread: Float64Array
    anchors_exact: bool = True
    trust_residual: bool = True
    apart: float = 0.0
    pool: int = 8
    refine: RefineSpec | None = None

    @cached_property
    def n_weights(self) -> int:
        """Weights of the networks that each candidate passes through."""
        networks = (self.twin, self.forward)
        return sum(
            network.spec.n_parameters
            for network in networks
            if isinstance(network, TwinNetwork | LearnedForward)
        )


class Ranked(NamedTuple):
    """Solutions ``(n, k)``, best first: ``x`` is ``(n, k, p)``, ``status`` as in fi.Status."""

    x: Float64Array
    residual: Float64Array
    anchor: IntArray
    status: NDArray[np.int8]

    def copied_into(self, out: Ranked) -> Ranked:
        """`out`, with these values."""
        np.copyto(out.x, self.x)
        np.copyto(out.residual, self.residual)
        np.copyto(out.anchor, self.anchor)
        np.copyto(out.status, self.status)
        return out


class Polished(NamedTuple):
    """Where polishing came to: ``x`` (n, p), ``fx`` (n, q), ``residual``, ``n_evaluations`` and
    ``end`` (n,); an end is 0 where the residual is rounding, 1 where nothing inside the bounds
    reduces it, 2 where evaluations ran out."""

    x: Float64Array
    fx: Float64Array
    residual: Float64Array
    n_evaluations: IntArray
    end: NDArray[np.int8]


class Track(NamedTuple):
    """A path of solutions: ``x`` (n, p), ``residual``, ``status`` and ``jumped`` (n,)."""

    x: Float64Array
    residual: Float64Array
    status: NDArray[np.int8]
    jumped: NDArray[np.bool_]


class Search(Protocol):
    """Every solution. Immutable and safe to share."""

    def polish(self, targets: Float64Array, x: Float64Array, *, n_threads: int = 1) -> Polished:
        """From starts `x` ``(n, p)``, within the bounds, towards f(x) = `targets` ``(n, q)``."""
        ...

    def solve_all(
        self, targets: Float64Array, *, k: int, n_starts: int, tol: float, n_threads: int = 1
    ) -> tuple[Ranked, IntArray]:
        """Up to `k` distinct solutions of each target, and their counts ``(n,)``.

        A solution has a residual of at most `tol`. They are sorted by residual, all that is
        rounding counting as 0, and then by coordinates; the rest is NaN, ``inf``, -1 and INVALID.
        A target without any has count 0 and in its first place the nearest attainable point found,
        UNREACHABLE (APPROXIMATE where evaluations ran out). `n_starts` anchors are tried.
        """
        ...

    def solve_path(
        self, targets: Float64Array, start: Float64Array, *, n_starts: int, tol: float
    ) -> Track:
        """The solution that begins at `start` ``(p,)``, followed along `targets` ``(n, q)``.

        Where its branch ends, it jumps to the solution nearest to where it was; where there is
        none, it stays there, UNREACHABLE.
        """
        ...


class Pipeline(Protocol):
    """Target to ranked solutions: ITNNR, algorithm 2. Immutable and safe to share."""

    def solve(
        self,
        targets: Float64Array,
        *,
        n_neighbors: int,
        k: int,
        near: Float64Array | None = None,
        n_threads: int = 1,
        out: Ranked | None = None,
    ) -> Ranked:
        """The best `k` of `n_neighbors` candidates for each row of `targets` ``(n, q)``.

        Candidates are ranked by group, then by key, then by the order of their anchors. Groups:
        with `near` ``(n, p)`` the CONVERGED ones come first, their key being the distance to
        `near` in units of ``x_spread``; then all others by residual; where ``trust_residual`` is
        False, those flagged EXTRAPOLATED behind them by residual, converged or not; INVALID ones
        last.

        A status is the first that holds of: INVALID (target, x or residual not finite; the
        residual is then inf, and for a target that is not finite x is NaN and the anchor -1),
        CONVERGED (residual <= tol), UNREACHABLE (of the whole row), OUT_OF_BOUNDS (clipped),
        EXTRAPOLATED, APPROXIMATE.

        `out` is filled and returned where it is given; `near` may be a part of it.
        """
        ...

    def candidates(
        self, targets: Float64Array, *, n_neighbors: int, n_threads: int = 1
    ) -> Candidates:
        """The candidates alone, for an f that only Python can evaluate.

        A target that is not finite gets the first anchors, so that f sees nothing unusual, and
        a distance of NaN; :meth:`rank` marks its row.
        """
        ...

    def rank(
        self,
        targets: Float64Array,
        candidates: Candidates,
        fx: Float64Array,
        *,
        k: int,
        near: Float64Array | None = None,
    ) -> Ranked:
        """Rank `candidates` by their images `fx` ``(n, n_neighbors, q)``.

        An x that is not finite counts as a residual of inf, whatever its image.
        """
        ...

    def native(self) -> _core.Pipeline | None:
        """The compiled pipeline, for calls that leave out Python's layers; None where there is
        none."""
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

        Finite for every finite target and every raw output but NaN: logits and log scales are
        limited to where exponentials stay in range, infinite ones count as those limits.
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
        """Per row of `residuals` ``(n, k)`` the order that sorts it; ties and NaN keep order,
        NaN last."""
        ...

    def pipeline(self, spec: PipelineSpec) -> Pipeline:
        """The solve pipeline for `spec`."""
        ...

    def search(self, spec: PipelineSpec) -> Search:
        """The search for all solutions; `spec` has a ``forward`` and a ``refine``."""
        ...
