"""The chain in Python: runs the links of a pipeline one by one.

Native code runs the same chain in one call. This form is its reference, and it also serves an f
that only Python can evaluate.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.backends.distances import distance
from fastinv.backends.solving import Candidates, Pipeline, Ranked
from fastinv.functions.goal import Goal

# Steps of NumPy with so many end soon, so that Ctrl-C does.
_CANDIDATES_AT_ONCE = 2**16


def run_chain(
    pipeline: Pipeline,
    goal: Goal,
    n_candidates: int,
    k: int,
    n_threads: int = 1,
    out: Ranked | None = None,
) -> Ranked:
    """Run every link: the best `k` of `n_candidates` for each target, a block of them at a time.

    `out` is as in :meth:`Pipeline.solve`.
    """
    n = len(goal)
    if out is None:
        out = Ranked.empty(n, k, pipeline.problem.n_inputs)
    elif goal.near is not None:
        goal = replace(goal, near=goal.near.copy())  # it may lie in `out`
    out.clear()
    n_at_once = max(1, _CANDIDATES_AT_ONCE // n_candidates)
    for begin in range(0, n, n_at_once):
        block = goal.part(begin, begin + n_at_once)
        ranked = _run_links(pipeline, block, n_candidates, k, n_threads)
        ranked.copied_into(out.part(begin, begin + n_at_once))
        goal.report(begin + len(block))
    return out


def _run_links(pipeline: Pipeline, goal: Goal, n_candidates: int, k: int, n_threads: int) -> Ranked:
    proposed = pipeline.propose(goal, n_candidates, n_threads=n_threads)
    corrected = pipeline.correct(goal, proposed, n_threads=n_threads)
    evaluated = pipeline.evaluate(goal, corrected, n_threads=n_threads)
    n_further = pipeline.options.n_passes - 1 if pipeline.twin is not None else 0
    return finish(pipeline, goal, evaluated, k, n_passes=n_further, n_threads=n_threads)


def finish(
    pipeline: Pipeline,
    goal: Goal,
    candidates: Candidates,
    k: int,
    *,
    n_passes: int = 0,
    n_threads: int = 1,
) -> Ranked:
    """The rest of the chain, for candidates with images: `n_passes` of the twin network, each kept
    if it brings a candidate closer, then polish, verify and rank."""
    for _ in range(n_passes):
        corrected = pipeline.correct(goal, candidates, n_threads=n_threads)
        corrected = pipeline.evaluate(goal, corrected, n_threads=n_threads)
        candidates = closer(goal, candidates, corrected, pipeline.problem.y_weight)
    if pipeline.options.polish:
        candidates = pipeline.polish(goal, candidates, n_threads=n_threads)
    candidates = pipeline.verify(goal, candidates, n_threads=n_threads)
    return pipeline.rank(goal, candidates, k)


def closer(goal: Goal, before: Candidates, after: Candidates, weight: Float64Array) -> Candidates:
    """Each candidate of `after`, or of `before` if `after` is not closer to its target.

    A candidate without a finite image cannot start a pass and stays as it is.
    """
    y = goal.targets[:, None, :]
    usable = np.isfinite(before.fx).all(axis=2)
    better = usable & (distance(after.fx, y, weight) < distance(before.fx, y, weight))
    return replace(
        after,
        x=np.where(better[:, :, None], after.x, before.x),
        fx=np.where(better[:, :, None], after.fx, before.fx),
        flags=np.where(better, after.flags, before.flags),
    )
