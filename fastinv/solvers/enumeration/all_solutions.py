"""Every distinct solution of each target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np

from fastinv._common.threads import threads_that_pay
from fastinv._common.validation import check_integer, check_number
from fastinv.backends.checks.common import FLOAT64, INT64
from fastinv.backends.checks.solving import INT8, check_apart, check_out, check_written
from fastinv.backends.protocol import Found, Ranked, Search
from fastinv.functions.goal import Goal
from fastinv.solutions import SearchStatus, Solutions, Status
from fastinv.solutions.explanation import Circumstances
from fastinv.solvers.enumeration.judge import Judge
from fastinv.solvers.enumeration.preferences import Keys, Preference, prefer

_STARTS = 24  # per target at effort 1
_MOST_STARTS = 2.0**31
_FLOPS_PER_START = 20_000.0
_FEW = 64  # places, before those for targets with more solutions
_PLACES_AT_ONCE = 2**18  # for solutions, before what is empty is dropped


def starts_of(effort: float) -> int:
    """How many starts an `effort` allows; above 0."""
    check_number(effort, "effort", above=0.0)
    return ceil(min(effort * _STARTS, _MOST_STARTS))  # there are fewer anchors


def all_solutions(
    search: Search,
    goal: Goal,
    *,
    max_solutions: int | None,
    effort: float,
    preference: Preference,
    known: Circumstances,
    judge: Judge,
    n_threads: int | None,
    out: Solutions | None = None,
) -> Solutions:
    """Up to `max_solutions` distinct solutions of each target, as `preference` orders them.

    Parameters
    ----------
    search : Search
    goal : Goal
    max_solutions : int or None
    effort : float
    preference : Preference
    known : Circumstances
        Facts for explaining the solutions.
    judge : Judge
        Judges them.
    n_threads : int or None
    out : Solutions or None, default=None
        To be filled; `max_solutions` is then None, or its number of places.
    """
    keys = preference.checked(len(goal), search.problem.region)
    n_starts = starts_of(effort)
    k = _FEW if max_solutions is None else check_integer(max_solutions, "max_solutions")

    def solve(part: Goal, k: int, out: Found | None = None) -> Found:
        threads = threads_that_pay(n_threads, _FLOPS_PER_START * n_starts * len(part))
        return search.solve_all(part, k=k, n_starts=n_starts, n_threads=threads, out=out)

    if out is not None:
        arrays = _arrays_of(out, goal, max_solutions, search.problem.n_inputs)
        np.copyto(out.targets, goal.targets)
        try:
            solve(goal, out.n_solutions, arrays)
        finally:  # what was found until an interruption is in order, too
            _prefer_in_place(out.refilled(known, judge, keys.ignored), keys)
        return out
    rows = max(1, _PLACES_AT_ONCE // k)
    blocks = []
    for first in range(0, max(len(goal), 1), rows):
        part = goal.part(first, first + rows)
        found = solve(part, k)
        if max_solutions is None:
            found = _with_all(found, part, solve)
        blocks.append(found)
    ranked, count, status = _joined(blocks)
    return prefer(
        Solutions(
            goal.targets,
            *ranked,
            count=count,
            circumstances=known,
            search_status=status,
            judge=judge,
            near_ignored=keys.ignored,
        ),
        keys,
    )


def _arrays_of(out: Any, goal: Goal, max_solutions: int | None, n_inputs: int) -> Found:
    """The arrays of `out`, after checks."""
    if not isinstance(out, Solutions):
        raise TypeError(f"out must be a Solutions, got {type(out).__name__}")
    if out.count is None or out.search_status is None:
        raise ValueError("out must have count and search_status, like what solve_all returns")
    n, k = len(goal), check_integer(out.n_solutions, "the number of solutions of out")
    if max_solutions not in (None, k):
        raise ValueError(f"max_solutions must be None or that of out, {k}, got {max_solutions}")
    ranked = Ranked(out.x, out.residual, out.anchor, out.status)
    check_out(ranked, n, k, n_inputs)
    check_written("out.targets", out.targets, goal.targets.shape, FLOAT64)
    check_written("out.count", out.count, (n,), INT64)
    check_written("out.search_status", out.search_status, (n,), INT8)
    arrays = {**ranked._asdict(), "targets": out.targets, "count": out.count}
    arrays["search_status"] = out.search_status
    check_apart({f"out.{name}": array for name, array in arrays.items()})
    return Found(ranked, out.count, out.search_status)


def _prefer_in_place(found: Solutions, keys: Keys) -> None:
    preferred = prefer(found, keys)
    if preferred is found:
        return
    for name in ("x", "residual", "anchor", "status", "count"):
        np.copyto(getattr(found, name), getattr(preferred, name))


def _with_all(found: Found, goal: Goal, solve: Callable[[Goal, int], Found]) -> Found:
    """`found`, with the solutions that had no place, and without the places that none fills."""
    k = found.ranked.x.shape[1]
    while len(cut := np.flatnonzero(found.ended == SearchStatus.CUT)):
        k *= 4
        again = solve(replace(goal, targets=goal.targets[cut], progress=None), k)
        found = found._replace(ranked=_with_places(found.ranked, k))
        whole, part = found.ranked, again.ranked
        whole.x[cut], whole.residual[cut] = part.x, part.residual
        whole.anchor[cut], whole.status[cut] = part.anchor, part.status
        found.n_found[cut], found.ended[cut] = again.n_found, again.ended
    return found._replace(ranked=_with_places(found.ranked, max(1, found.n_found.max(initial=0))))


def _with_places(ranked: Ranked, k: int) -> Ranked:
    """`ranked` with `k` places for each target; the others were, or are, padding."""
    n, kept, p = len(ranked.x), min(k, ranked.x.shape[1]), ranked.x.shape[2]
    wide = Ranked(
        np.full((n, k, p), np.nan),
        np.full((n, k), np.inf),
        np.full((n, k), -1, dtype=np.int64),
        np.full((n, k), Status.INVALID, dtype=np.int8),
    )
    _places(ranked, kept).copied_into(_places(wide, kept))
    return wide


def _places(ranked: Ranked, k: int) -> Ranked:
    """The first `k` places of each target, not copied."""
    return Ranked(
        ranked.x[:, :k], ranked.residual[:, :k], ranked.anchor[:, :k], ranked.status[:, :k]
    )


def _joined(blocks: list[Found]) -> Found:
    """The rows of all blocks."""
    if len(blocks) == 1:
        return blocks[0]
    k = max(block.ranked.x.shape[1] for block in blocks)
    wide = [_with_places(block.ranked, k) for block in blocks]
    ranked = Ranked(*(np.concatenate(arrays) for arrays in zip(*wide, strict=True)))
    return Found(
        ranked,
        np.concatenate([block.n_found for block in blocks]),
        np.concatenate([block.ended for block in blocks]),
    )
