"""Every distinct solution of each target."""

from __future__ import annotations

from math import ceil

from fastinv._common.threads import threads_that_pay
from fastinv._common.validation import check_integer, check_number
from fastinv.backends.protocol import Search
from fastinv.functions.goal import Goal
from fastinv.solutions import Solutions
from fastinv.solutions.explanation import Circumstances
from fastinv.solvers.enumeration.preferences import Preference, prefer

_STARTS = 24  # per target at effort 1
_MOST_STARTS = 2.0**31
_FLOPS_PER_START = 20_000.0


def starts_of(effort: float) -> int:
    """How many starts an `effort` allows; above 0."""
    check_number(effort, "effort", above=0.0)
    return ceil(min(effort * _STARTS, _MOST_STARTS))  # there are fewer anchors


def all_solutions(
    search: Search,
    goal: Goal,
    *,
    max_solutions: int,
    effort: float,
    preference: Preference,
    known: Circumstances,
    n_threads: int | None,
) -> Solutions:
    """Up to `max_solutions` distinct solutions of each target, as `preference` orders them.

    Parameters
    ----------
    search : Search
    goal : Goal
    max_solutions : int
    effort : float
    preference : Preference
    known : Circumstances
        Facts for explaining the solutions.
    n_threads : int or None
    """
    k = check_integer(max_solutions, "max_solutions")
    keys = preference.checked(len(goal), search.problem.region)
    n_starts = starts_of(effort)
    threads = threads_that_pay(n_threads, _FLOPS_PER_START * n_starts * len(goal))
    ranked, count = search.solve_all(goal, k=k, n_starts=n_starts, n_threads=threads)
    found = Solutions(goal.targets, *ranked, count=count, circumstances=known)
    return prefer(found, keys)
