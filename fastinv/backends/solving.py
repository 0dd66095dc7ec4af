"""The protocol for solving: the chain, the polish and the search.

The chain has six links: *propose* candidates for a target, *correct* them by a twin network,
*evaluate* f, *polish*, *verify* that they are near a root, and *rank*. A pipeline runs them all,
or one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from fastinv._common.arrays import (
    BoolArray,
    FlagArray,
    Float64Array,
    FloatArray,
    IntArray,
    StatusArray,
)
from fastinv._common.validation import check_integer, check_number
from fastinv.functions.goal import Goal
from fastinv.functions.networks import NetworkSpec
from fastinv.functions.problem import Problem
from fastinv.functions.status import SearchStatus, Status

if TYPE_CHECKING:
    from fastinv import _core

# Scaled inputs of a pipeline's networks are of order one. Larger values are cut to this limit, so
# that no finite target overflows inside the network.
FEATURE_LIMIT = 1e6


def limited(features: Float64Array) -> Float64Array:
    """Scaled inputs of a network, cut to the limit."""
    return np.clip(features, -FEATURE_LIMIT, FEATURE_LIMIT)


class CandidateFlag:
    """Bits of :attr:`Candidates.flags`."""

    EXTRAPOLATED = 1  # the network left the region that its training pairs were drawn from
    CLIPPED = 2  # x lies on a bound
    EXACT = 4  # the residual is only rounding of f
    ROOT = 8  # f - y has a root near x, as far as f tells


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidates for n targets, k each, as one link of the chain hands them to the next.

    Attributes
    ----------
    x : ndarray of shape (n, k, p), float64
    fx : ndarray of shape (n, k, q), float64
        Images of x: those of the anchors after *propose*, unknown after *correct*, f(x) after
        *evaluate* and *polish*.
    anchor : ndarray of shape (n, k), int64
        Row of the anchor that each comes from.
    flags : ndarray of shape (n, k), uint8
        Bits of :class:`CandidateFlag`.
    anchor_distance : ndarray of shape (n,), float64
        From each target to its nearest anchor, in y, in units of the outputs; NaN where the target
        is not finite.
    """

    x: Float64Array
    fx: Float64Array
    anchor: IntArray
    flags: FlagArray
    anchor_distance: Float64Array

    @classmethod
    def empty(cls, n: int, k: int, p: int, q: int) -> Candidates:
        """Memory for `k` candidates of each of `n` targets; its values are not set."""
        return cls(
            np.empty((n, k, p)),
            np.empty((n, k, q)),
            np.empty((n, k), dtype=np.int64),
            np.empty((n, k), dtype=np.uint8),
            np.empty(n),
        )

    def copy(self) -> Candidates:
        """The same values in arrays of their own, C-contiguous."""
        return Candidates(*(np.array(getattr(self, f.name), order="C") for f in fields(self)))


class TwinScales(Protocol):
    """What brings the inputs of a twin network to order one."""

    @property
    def dy_scale(self) -> Float64Array: ...
    @property
    def y_mean(self) -> Float64Array: ...
    @property
    def y_scale(self) -> Float64Array: ...
    @property
    def x_mean(self) -> Float64Array: ...
    @property
    def x_scale(self) -> Float64Array: ...


def twin_features(
    scales: TwinScales, y: Float64Array, y_a: Float64Array, x_a: Float64Array
) -> Float64Array:
    """What a twin network sees ``(..., 2q + p)`` of targets and their anchors, in training as in
    inference; ``csrc/solve/chain/twin.hpp`` is the compiled form."""
    return np.concatenate(
        [
            (y - y_a) / scales.dy_scale,
            (y_a - scales.y_mean) / scales.y_scale,
            (x_a - scales.x_mean) / scales.x_scale,
        ],
        axis=-1,
    )


@dataclass(frozen=True, eq=False)
class TwinModel:
    """The network F of ITNNR with its scalings: eq. (5) and (6) of Wetzel (2026).

    ``x = x_a + dx_scale * net(features)``, with the features of :meth:`features`; an output beyond
    ``reach`` in any coordinate is an extrapolation.
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

    def features(self, y: Float64Array, y_a: Float64Array, x_a: Float64Array) -> Float64Array:
        """Inputs ``(..., 2q + p)`` of the network for targets and anchors of matching shapes."""
        return twin_features(self, y, y_a, x_a)


_COUNTS_BELOW = 2**31  # so that the product of an option and a number of anchors is in range


def _option(default: Any, **limits: float | None) -> Any:
    return field(default=default, metadata=limits)


@dataclass(frozen=True)
class PipelineOptions:
    """How the chain goes from targets to ranked solutions.

    A new option needs a field here, a line of ``csrc/solve/options.hpp``, and code in the link
    that it changes.

    Parameters
    ----------
    coverage : float, default=inf
        A target whose nearest anchor and best residual are both farther than this in y, in units
        of the outputs, is UNREACHABLE.
    anchors_exact : bool, default=True
        Whether the anchors' y are f(x). A candidate with a larger residual than its anchor, or one
        that is not finite, is then replaced by the anchor, without flags.
    trust_residual : bool, default=True
        False, for a learned f, ranks extrapolated candidates behind all others.
    branch_distance : float, default=0.0
        If above 0, each anchor of a target is the nearest in y among those that are farther
        than this, in units of the region, from all earlier ones; the nearest other anchors fill
        the remaining places.
    pool_factor : int, default=8
        They are chosen from this many times as many anchors, the nearest in y.
    n_passes : int, default=1
        How often the twin network is applied. From the second pass on, each candidate with its
        image replaces the anchor; a result that is no closer to the target is discarded.
    polish : bool, default=False
        Whether each candidate is polished, or its anchor if that is exact and closer. Then, of
        CONVERGED candidates that are the same solution, only the best keeps its rank; the others
        go behind all valid ones.
    max_evaluations : int, default=200
        Evaluations of f for each polished candidate and each start of a search.
    sufficient_residual : float, default=0.0
        Residual at which a polish stops, in units of the outputs; 0 continues down to rounding
        error.
    longest_step : float, default=inf
        Longest step of a polish, in units of the region: short steps stay on their branch.
    separation : float, default=1e-6
        Largest distance, in units of the region, between solutions that count as the same, however
        sharply they are determined.
    """

    coverage: float = _option(np.inf, minimum=0.0)
    anchors_exact: bool = _option(True)
    trust_residual: bool = _option(True)
    branch_distance: float = _option(0.0, minimum=0.0)
    pool_factor: int = _option(8, minimum=1)
    n_passes: int = _option(1, minimum=1)
    polish: bool = _option(False)
    max_evaluations: int = _option(200, minimum=1)
    sufficient_residual: float = _option(0.0, minimum=0.0)
    longest_step: float = _option(np.inf, minimum=0.0)
    separation: float = _option(1e-6, minimum=0.0)

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            if isinstance(option.default, bool):
                if not isinstance(value, bool):
                    raise TypeError(f"{option.name} must be True or False, got {value!r}")
            elif isinstance(option.default, int):
                check_integer(value, option.name, option.metadata["minimum"])
                check_number(value, option.name, below=_COUNTS_BELOW)
            elif value != np.inf:
                check_number(value, option.name, minimum=option.metadata["minimum"])


class Ranked(NamedTuple):
    """Solutions ``(n, k)``, best first: ``x`` is ``(n, k, p)``, ``status`` as in fi.Status."""

    x: Float64Array
    residual: Float64Array
    anchor: IntArray
    status: StatusArray

    @classmethod
    def empty(cls, n: int, k: int, p: int) -> Ranked:
        """Memory for `k` solutions of each of `n` targets; its values are not set."""
        return cls(
            np.empty((n, k, p)),
            np.empty((n, k)),
            np.empty((n, k), dtype=np.int64),
            np.empty((n, k), dtype=np.int8),
        )

    def clear(self) -> Ranked:
        """Itself, with all rows marked as not computed: NaN, ``inf``, -1 and INVALID."""
        self.x.fill(np.nan)
        self.residual.fill(np.inf)
        self.anchor.fill(-1)
        self.status.fill(Status.INVALID)
        return self

    def part(self, begin: int, end: int) -> Ranked:
        """The rows from `begin` to `end`, not copied."""
        rows = slice(begin, end)
        return Ranked(self.x[rows], self.residual[rows], self.anchor[rows], self.status[rows])

    def copied_into(self, out: Ranked) -> Ranked:
        """`out`, with these values."""
        np.copyto(out.x, self.x)
        np.copyto(out.residual, self.residual)
        np.copyto(out.anchor, self.anchor)
        np.copyto(out.status, self.status)
        return out


class Found(NamedTuple):
    """All solutions of n targets: `ranked`, their number ``n_found`` (n,), and how each search
    ``ended`` (n,), as in fi.SearchStatus."""

    ranked: Ranked
    n_found: IntArray
    ended: StatusArray

    @classmethod
    def empty(cls, n: int, k: int, p: int) -> Found:
        """Memory for `k` solutions of each of `n` targets; its values are not set."""
        return cls(Ranked.empty(n, k, p), np.empty(n, np.int64), np.empty(n, np.int8))

    def clear(self) -> Found:
        """Itself, with all rows marked as not computed."""
        self.ranked.clear()
        self.n_found.fill(0)
        self.ended.fill(SearchStatus.INVALID)
        return self


class Assessed(NamedTuple):
    """What is known of n points: ``x_error`` (n,), the radius in units of the region within which
    the true root lies, infinite if none is known to be near; and whether it is ``isolated`` (n,).
    """

    x_error: Float64Array
    isolated: BoolArray


class Polished(NamedTuple):
    """Results of polishing: ``x`` (n, p), ``fx`` (n, q), ``residual``, ``n_evaluations`` and
    ``end`` (n,). An end is 0 if the residual is only rounding, 1 if nothing inside the bounds
    reduces it, 2 if evaluations ran out."""

    x: Float64Array
    fx: Float64Array
    residual: Float64Array
    n_evaluations: IntArray
    end: StatusArray


class Track(NamedTuple):
    """A path of solutions: ``x`` (n, p), ``residual``, ``status`` and ``jumped`` (n,)."""

    x: Float64Array
    residual: Float64Array
    status: StatusArray
    jumped: BoolArray

    @classmethod
    def empty(cls, n: int, p: int) -> Track:
        """Memory for a path along `n` targets; its values are not set."""
        return cls(np.empty((n, p)), np.empty(n), np.empty(n, np.int8), np.empty(n, np.bool_))

    def clear(self) -> Track:
        """Itself, with all targets marked as not computed: NaN, ``inf``, INVALID and False."""
        self.x.fill(np.nan)
        self.residual.fill(np.inf)
        self.status.fill(Status.INVALID)
        self.jumped.fill(False)
        return self


class Anchors(Protocol):
    """Points ``x`` (n, p) with their images ``y`` (n, q), indexed once. Immutable.

    Distances in y are norms of differences in units of the outputs, ``y_scale`` (q,).
    """

    @property
    def x(self) -> Float64Array: ...
    @property
    def y(self) -> Float64Array: ...
    @property
    def y_scale(self) -> Float64Array: ...

    def __len__(self) -> int: ...

    def nearest(
        self, targets: Float64Array, k: int, *, n_threads: int = 1
    ) -> tuple[Float64Array, IntArray]:
        """Distances in y ``(n, k)``, ascending, and indices ``(n, k)`` of the anchors nearest to
        finite `targets` ``(n, q)``; ties go to the lowest index."""
        ...


class Pipeline(Protocol):
    """The chain from targets to ranked solutions: ITNNR, algorithm 2, with a polish.

    Immutable and safe to share. No link changes the candidates that it is given.
    """

    @property
    def problem(self) -> Problem: ...
    @property
    def anchors(self) -> Anchors: ...
    @property
    def twin(self) -> TwinModel | None: ...
    @property
    def options(self) -> PipelineOptions: ...

    def solve(
        self,
        goal: Goal,
        *,
        n_candidates: int,
        k: int,
        n_threads: int = 1,
        out: Ranked | None = None,
    ) -> Ranked:
        """Run all links: the best `k` of `n_candidates` for each target; 1 <= k <= n_candidates.

        If `out` is given, it is filled and returned; ``goal.near`` may be a part of it. If the call
        is interrupted, its rows that are not finished are marked as by :meth:`Ranked.clear`.
        """
        ...

    def propose(self, goal: Goal, n_candidates: int, *, n_threads: int = 1) -> Candidates:
        """The anchors near each target, with their images.

        A target that is not finite gets the first anchors, so that f sees nothing unusual, and a
        distance of NaN; :meth:`rank` marks its row.
        """
        ...

    def correct(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates after a step of the twin network from their x and fx, and inside the bounds;
        their images are not known. Without a network they are only moved into the bounds.

        Where the target or the image is not finite there is no step.
        """
        ...

    def evaluate(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates with their images; NaN if f has none."""
        ...

    def polish(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates, or their anchors where those are exact and closer, after damped Gauss-Newton
        steps."""
        ...

    def verify(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates, or their anchors where those are exact and closer; and, if the goal asks for
        roots, those that it allows flagged ROOT if f - y has one near them.

        Without a polish, a candidate whose residual is an eighth of its anchor's counts as near
        one; otherwise a Newton step is tried.
        """
        ...

    def rank(self, goal: Goal, candidates: Candidates, k: int) -> Ranked:
        """The best `k` of the candidates.

        They are ranked by group, then by key, then by their order. The first group is CONVERGED
        and EXACT; the key is the distance to ``goal.near`` in units of the region, or their order
        by coordinates. With ``goal.near``, other CONVERGED ones follow by that distance. Then come
        all others by residual. If residuals cannot be trusted, those flagged EXTRAPOLATED follow
        by residual, converged or not. After a polish, copies of CONVERGED solutions follow,
        EXACT ones first. INVALID ones come last.

        The status is the first of these that holds: INVALID (target, x or residual not finite; the
        residual is then inf, and for a target that is not finite x is NaN and the anchor -1),
        CONVERGED (the goal allows its residual and errors; if it asks for roots, flagged ROOT and
        allowed, or EXACT), UNREACHABLE (of the whole row), OUT_OF_BOUNDS (clipped), EXTRAPOLATED,
        APPROXIMATE.
        """
        ...

    def native(self) -> _core.Pipeline | None:
        """The compiled pipeline, for calls that skip Python's layers; None if there is
        none or f runs in Python only."""
        ...


class Search(Protocol):
    """Every solution of a problem. Immutable and safe to share."""

    @property
    def problem(self) -> Problem: ...

    def polish(self, goal: Goal, x: Float64Array, *, n_threads: int = 1) -> Polished:
        """Polish starts `x` ``(n, p)`` within the bounds, one for each target."""
        ...

    def jacobians(self, x: Float64Array) -> Float64Array:
        """dy_i/dx_j ``(n, q, p)`` at points `x` ``(n, p)`` within the bounds."""
        ...

    def assess(self, goal: Goal, x: Float64Array, *, n_threads: int = 1) -> Assessed:
        """How sharply the roots near points `x` ``(n, p)``, one for each target, are determined;
        x may be NaN."""
        ...

    def solve_all(
        self, goal: Goal, *, k: int, n_starts: int, n_threads: int = 1, out: Found | None = None
    ) -> Found:
        """Up to `k` distinct solutions of each target.

        They are sorted by residual (rounding counts as 0) and then by coordinates;
        the rest is NaN, ``inf``, -1 and INVALID. What f cannot tell apart is one solution; a set of
        solutions that are not isolated is represented by a few members. A target without any has
        count 0, and its first place holds the nearest attainable point found, UNREACHABLE
        (APPROXIMATE if evaluations ran out). `n_starts` anchors are tried. If `out` is given, it is
        filled and returned; if the call is interrupted, its rows that are not finished are marked
        as by :meth:`Found.clear`.
        """
        ...

    def solve_path(
        self, goal: Goal, start: Float64Array, *, n_starts: int, out: Track | None = None
    ) -> Track:
        """The solution that begins at `start` ``(p,)``, followed along the targets.

        If its branch ends, it jumps to the solution nearest to its last point. If there is
        none, it stays there, UNREACHABLE. `out` is as in :meth:`solve_all`; `start` may not be a
        part of it.
        """
        ...
