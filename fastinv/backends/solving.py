"""From targets to solutions, as backends describe it: the pipeline, the polish and the search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastinv.backends.networks import Float64Array, FloatArray, IntArray, NetworkSpec

if TYPE_CHECKING:
    from fastinv import _core

# Scaled inputs of a pipeline's networks are of order one; what lies beyond this limit is set to it,
# so that no finite target overflows inside the network.
FEATURE_LIMIT = 1e6


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
class TwinModel:
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
    twin : TwinModel or None
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
    n_passes : int
        How often ``solve`` applies the twin network: after the first time to each candidate with
        its image, in place of the anchor, and what comes no closer to the target is left out.
    refine : RefineSpec or None
        None leaves the candidates as they are. Otherwise ``solve`` polishes each of them, or its
        anchor where that is exact and closer, and ranks all but the best of those CONVERGED ones
        that are one solution behind all others that are valid.
    """

    anchors_x: Float64Array
    anchors_y: Float64Array
    twin: TwinModel | None
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
    n_passes: int = 1
    refine: RefineSpec | None = None

    @cached_property
    def n_weights(self) -> int:
        """Weights of the networks that each candidate passes through, in all passes."""
        networks = (self.twin, self.forward)
        return self.n_passes * sum(
            network.spec.n_parameters
            for network in networks
            if isinstance(network, TwinModel | LearnedForward)
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
