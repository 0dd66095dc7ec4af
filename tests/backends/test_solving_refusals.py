"""Every backend refuses the same input in the same words: anchors, chains, searches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from chains import Setup, candidates_of

from fastinv.backends import BACKENDS, Ranked, TwinModel, get_backend
from fastinv.functions import CallableFunction, Goal, NetworkCode, NetworkSpec

TWIN = TwinModel(
    NetworkSpec((4, 2)), np.zeros(10), dy_scale=np.ones(1), y_mean=np.zeros(1), y_scale=np.ones(1),
    x_mean=np.zeros(2), x_scale=np.ones(2), dx_scale=np.ones(2), reach=1.0,
)  # fmt: skip
LEARNED = NetworkCode(
    NetworkSpec((2, 3, 1)), np.zeros(13), np.zeros(2), np.ones(2), np.zeros(1), np.ones(1)
)
SETUP = Setup(np.zeros((7, 2)), np.zeros((7, 1)), LEARNED, TWIN, lower=-1.0, upper=1.0, tol=0.0,
              max_evaluations=10)  # fmt: skip
CANDIDATES = candidates_of(np.zeros((3, 4, 2)), np.zeros((3, 4, 1)), anchor=0)
TARGETS, STARTS = np.zeros((3, 1)), np.zeros((3, 2))


def goal_of(targets=TARGETS, tol=0.1, near=None):
    return Goal(targets, tol, near)


def solve(backend, goal=None, n_candidates=4, k=2, n_threads=1, out=None, **changes):
    pipeline = replace(SETUP, **changes).pipeline(backend)
    goal = goal or goal_of()
    pipeline.solve(goal, n_candidates=n_candidates, k=k, n_threads=n_threads, out=out)


def in_python(backend, goal=None, n_candidates=4, k=2, n_threads=1):
    function = CallableFunction(lambda X: X[:, :1], 2, 1)
    solve(backend, goal, n_candidates, k, n_threads, function=function)


def into(backend, goal=None, **changes):
    solve(backend, goal, out=Ranked.empty(3, 2, 2)._replace(**changes))


def propose(backend, goal=None, n_candidates=4, **options):
    SETUP.pipeline(backend).propose(goal or goal_of(), n_candidates, **options)


def link(backend, name, goal=None, **changes):
    call = getattr(SETUP.pipeline(backend), name)
    candidates = replace(CANDIDATES, **changes)
    return call(goal or goal_of(), candidates, *([2] if name == "rank" else []))


def rank(backend, k=2, goal=None, **changes):
    SETUP.pipeline(backend).rank(goal or goal_of(), replace(CANDIDATES, **changes), k)


def search(backend, **changes):
    return replace(SETUP, twin=None, **changes).search(backend)


def polish(backend, targets=TARGETS, starts=STARTS, **options):
    search(backend).polish(goal_of(targets), starts, **options)


def assess(backend, targets=TARGETS, points=STARTS, **options):
    search(backend).assess(goal_of(targets), points, **options)


def solve_all(backend, goal=None, k=2, n_starts=3, n_threads=1):
    search(backend).solve_all(goal or goal_of(), k=k, n_starts=n_starts, n_threads=n_threads)


def solve_path(backend, goal=None, start=STARTS[0], n_starts=3):
    search(backend).solve_path(goal or goal_of(), start, n_starts=n_starts)


def anchors(backend, x=SETUP.anchors_x, y=SETUP.anchors_y):
    return backend.anchors(x, y)


ANCHORS_AND_FUNCTIONS = {
    "anchors, none": (
        lambda b: anchors(b, np.zeros((0, 2)), np.zeros((0, 1))),
        ValueError, "x of anchors must not be empty"),
    "anchors, rows": (
        lambda b: anchors(b, y=np.zeros((6, 1))),
        ValueError, r"y of anchors must have shape \(7, n\), got \(6, 1\)"),
    "anchors, infinite": (
        lambda b: anchors(b, y=np.full((7, 1), np.inf)),
        ValueError, "y of anchors must be finite"),
    "anchors, NaN": (
        lambda b: anchors(b, x=np.full((7, 2), np.nan)),
        ValueError, "x of anchors must be finite, got 14 entries"),
    "anchors, dtype": (
        lambda b: anchors(b, x=np.zeros((7, 2), dtype=np.float32)),
        TypeError, "x of anchors must have dtype float64, got float32"),
    "nearest, columns": (
        lambda b: anchors(b).nearest(STARTS, 1),
        ValueError, r"targets must have shape \(n, 1\), got \(3, 2\)"),
    "nearest, NaN": (
        lambda b: anchors(b).nearest(np.full((2, 1), np.nan), 1),
        ValueError, "targets must be finite"),
    "nearest, k": (
        lambda b: anchors(b).nearest(TARGETS, 8),
        ValueError, "k must be at most the number of anchors = 7, got 8"),
    "nearest, n_threads": (
        lambda b: anchors(b).nearest(TARGETS, 1, n_threads=0),
        ValueError, "n_threads must be at least 1, got 0"),
    "bounds, crossed": (
        lambda b: solve(b, lower=2.0), ValueError, "lower must be at most upper"),
    "bounds, NaN": (
        lambda b: solve(b, upper=np.nan), ValueError, "lower must be at most upper"),
    "bounds, shape": (
        lambda b: solve(b, upper=np.ones(3)), ValueError, r"upper must be float64 of shape \(2,\)"),
    "scale": (
        lambda b: solve(b, scale=0.0), ValueError, "scale must be positive"),
    "periods, shape": (
        lambda b: solve(b, periods=np.ones(3)),
        ValueError, r"periods must be float64 of shape \(2,\)"),
    "periods, zero": (
        lambda b: solve(b, periods=[1.0, 0.0]), ValueError, "periods must be positive"),
    "periods, NaN": (
        lambda b: solve(b, periods=[1.0, np.nan]), ValueError, "periods must be positive"),
    "twin, sizes": (
        lambda b: solve(b, twin=replace(TWIN, spec=NetworkSpec((3, 2)))),
        ValueError, "twin.spec must have 4 inputs and 2 outputs, got 3 and 2"),
    "twin, parameters": (
        lambda b: solve(b, twin=replace(TWIN, parameters=np.zeros(9))),
        ValueError, r"twin.parameters must have shape \(10,\), got \(9,\)"),
    "twin, scale": (
        lambda b: solve(b, twin=replace(TWIN, dy_scale=np.zeros(1))),
        ValueError, "twin.dy_scale must be positive and finite"),
    "twin, reach": (
        lambda b: solve(b, twin=replace(TWIN, reach=0.0)), ValueError, "twin.reach must be posit"),
    "function, inputs": (
        lambda b: solve(b, function=CallableFunction(np.sin, 3, 1)),
        ValueError, "function must have as many inputs as region, 2, got 3"),
    "function, outputs": (
        lambda b: solve(b, function=CallableFunction(np.sin, 2, 2)),
        ValueError, r"y_scale must be float64 of shape \(2,\), got float64 of \(1,\)"),
    "anchors, outputs": (
        lambda b: b.pipeline(SETUP.problem, b.anchors(np.zeros((7, 2)), np.zeros((7, 2)))),
        ValueError, "anchors must have 2 inputs and 1 outputs, got 2 and 2"),
    "anchors, units, shape": (
        lambda b: b.anchors(np.zeros((7, 2)), np.zeros((7, 1)), np.ones(2)),
        ValueError, r"y_scale must have shape \(1,\), got \(2,\)"),
    "anchors, units, dtype": (
        lambda b: b.anchors(np.zeros((7, 2)), np.zeros((7, 1)), np.ones(1, dtype=int)),
        TypeError, "y_scale must have dtype float64, got int64"),
    "anchors, units, zero": (
        lambda b: b.anchors(np.zeros((7, 2)), np.zeros((7, 1)), np.zeros(1)),
        ValueError, "y_scale must be positive and finite"),
    "units, zero": (
        lambda b: solve(b, y_scale=0.0), ValueError, "y_scale must be positive and finite"),
    "units, too small": (
        lambda b: solve(b, y_scale=1e-310), ValueError, "y_scale must be positive and finite"),
    "units, NaN": (
        lambda b: solve(b, y_scale=np.nan), ValueError, "y_scale must be positive and finite"),
    "tol": (
        lambda b: solve(b, goal_of(tol=-1.0)), ValueError, "tol must be at least 0, got -1.0"),
    "coverage": (
        lambda b: solve(b, coverage=np.nan), ValueError, "coverage must be .*at least 0.*got nan"),
    "branch_distance": (
        lambda b: solve(b, branch_distance=-1.0), ValueError, "branch_distance must be .*got -1.0"),
    "pool_factor": (
        lambda b: solve(b, pool_factor=0), ValueError, "pool_factor must be positive, got 0"),
    "n_passes": (
        lambda b: solve(b, n_passes=0), ValueError, "n_passes must be positive, got 0"),
    "max_evaluations": (
        lambda b: solve(b, max_evaluations=0), ValueError, "max_evaluations must be positive"),
    "separation": (
        lambda b: solve(b, separation=-1.0), ValueError, "separation must be .*got -1.0"),
}  # fmt: skip

# What solve refuses whether the extension checks it, Python does, or f is evaluated in Python.
SOLVES = {
    f"{way.__name__}, {case}": (lambda b, way=way, call=call: call(b, way), error, words)
    for way in (solve, in_python)
    for case, (call, error, words) in {
        "targets, columns": (
            lambda b, way: way(b, goal_of(np.zeros((3, 2)))),
            ValueError, r"targets must have shape \(n, 1\), got \(3, 2\)"),
        "targets, dimensions": (
            lambda b, way: way(b, goal_of(np.zeros(3))),
            ValueError, r"targets must have shape \(n, 1\), got \(3,\)"),
        "targets, dtype": (
            lambda b, way: way(b, goal_of(TARGETS.astype(np.float32))),
            TypeError, "targets must have dtype float64, got float32"),
        "targets, list": (
            lambda b, way: way(b, goal_of([[0.0]])),
            TypeError, "targets must be a NumPy array, got list"),
        "tol": (
            lambda b, way: way(b, goal_of(tol=-1.0)), ValueError, "tol must be at least 0, got -1"),
        "tol, NaN": (
            lambda b, way: way(b, goal_of(tol=np.nan)),
            ValueError, "tol must be at least 0, got -?nan"),
        "error_tol, outputs": (
            lambda b, way: way(b, Goal(TARGETS, 0.1, error_tol=np.ones(2))),
            ValueError, r"error_tol must have (shape \(1,\), got \(2,\)|length 1, got 2)"),
        "error_tol, dtype": (
            lambda b, way: way(b, Goal(TARGETS, 0.1, error_tol=np.ones(1, dtype=int))),
            TypeError, "error_tol must (have|be of) dtype float64, got int64"),
        "near, rows": (
            lambda b, way: way(b, goal_of(near=np.zeros((2, 2)))),
            ValueError, r"near must have shape \(3, 2\), got \(2, 2\)"),
        "near, NaN": (
            lambda b, way: way(b, goal_of(near=np.full((3, 2), np.nan))),
            ValueError, "near must be finite"),
        "near, dtype": (
            lambda b, way: way(b, goal_of(near=np.zeros((3, 2), dtype=int))),
            TypeError, "near must have dtype float64, got int64"),
        "n_candidates": (
            lambda b, way: way(b, n_candidates=8),
            ValueError, "n_candidates must be at most the number of anchors = 7, got 8"),
        "n_candidates, zero": (
            lambda b, way: way(b, n_candidates=0),
            ValueError, "n_candidates must be at least 1, got 0"),
        "k": (
            lambda b, way: way(b, k=5), ValueError, "k must be at most n_candidates = 4, got 5"),
        "k, zero": (
            lambda b, way: way(b, k=0), ValueError, "k must be at least 1, got 0"),
        "n_threads": (
            lambda b, way: way(b, n_threads=0),
            ValueError, "n_threads must be (at least 1|from 1 to 1024), got 0"),
    }.items()
}  # fmt: skip

LINKS = {
    "out, shape": (
        lambda b: into(b, x=np.empty((3, 3, 2))),
        ValueError, r"out.x must have shape \(3, 2, 2\), got \(3, 3, 2\)"),
    "out, dtype": (
        lambda b: into(b, status=np.empty((3, 2))),
        TypeError, "out.status must have dtype int8, got float64"),
    "out, strides": (
        lambda b: into(b, residual=np.empty((3, 4))[:, ::2]),
        ValueError, "out.residual must be C-contiguous, aligned and writeable"),
    "out, targets": (
        lambda b: into(b, goal_of(np.zeros((3, 2)))), ValueError, r"targets must have shape"),
    "propose, n_candidates": (
        lambda b: propose(b, n_candidates=0), ValueError, "n_candidates must be at least 1"),
    "propose, too many": (
        lambda b: propose(b, n_candidates=8),
        ValueError, "n_candidates must be at most the number of anchors = 7, got 8"),
    "propose, targets": (
        lambda b: propose(b, goal_of(STARTS)), ValueError, r"targets must have shape \(n, 1\)"),
    "propose, n_threads": (
        lambda b: propose(b, n_threads=0), ValueError, "n_threads must be at least 1"),
    "verify, targets": (
        lambda b: link(b, "verify", goal=goal_of(STARTS)),
        ValueError, r"targets must have shape \(n, 1\)"),
    "rank, images": (
        lambda b: rank(b, fx=np.zeros((3, 5, 1))),
        ValueError, r"candidates.fx must have shape \(3, 4, 1\)"),
    "rank, rows": (
        lambda b: rank(b, goal=goal_of(np.zeros((2, 1)))),
        ValueError, r"candidates.x must have shape \(2, n, 2\), got \(3, 4, 2\)"),
    "rank, flags": (
        lambda b: rank(b, flags=np.zeros((3, 4), dtype=np.int64)),
        TypeError, "candidates.flags must have dtype uint8, got int64"),
    "rank, distances": (
        lambda b: rank(b, anchor_distance=np.zeros(4)),
        ValueError, r"candidates.anchor_distance must have shape \(3,\)"),
    "rank, anchors": (
        lambda b: rank(b, anchor=np.full((3, 4), 7)),
        ValueError, "candidates.anchor must hold indices from 0 to 6, got 7 to 7"),
    "rank, no anchor": (
        lambda b: rank(b, anchor=np.full((3, 4), -1)), ValueError, "0 to 6, got -1 to -1"),
    "rank, k": (
        lambda b: rank(b, k=5), ValueError, "k must be at most the number of candidates = 4"),
    "rank, near": (
        lambda b: rank(b, goal=goal_of(near=np.full((3, 2), np.inf))),
        ValueError, "near must be finite"),
}  # fmt: skip

SEARCHES = {
    "search, anchors": (
        lambda b: b.search(SETUP.problem, b.anchors(np.zeros((7, 2)), np.zeros((7, 2)))),
        ValueError, "anchors must have 2 inputs and 1 outputs, got 2 and 2"),
    "polish, rows": (
        lambda b: polish(b, starts=STARTS[:2]),
        ValueError, r"x must have shape \(3, 2\), got \(2, 2\)"),
    "polish, columns": (
        lambda b: polish(b, np.zeros((3, 2))),
        ValueError, r"targets must have shape \(n, 1\)"),
    "polish, dtype": (
        lambda b: polish(b, starts=STARTS.astype(np.float32)),
        TypeError, "x must have dtype float64, got float32"),
    "polish, n_threads": (
        lambda b: polish(b, n_threads=0), ValueError, "n_threads must be at least 1"),
    "assess, rows": (
        lambda b: assess(b, points=STARTS[:2]),
        ValueError, r"x must have shape \(3, 2\), got \(2, 2\)"),
    "assess, dtype": (
        lambda b: assess(b, points=STARTS.astype(np.float32)),
        TypeError, "x must have dtype float64, got float32"),
    "assess, n_threads": (
        lambda b: assess(b, n_threads=0), ValueError, "n_threads must be at least 1"),
    "solve_all, k": (lambda b: solve_all(b, k=0), ValueError, "k must be at least 1, got 0"),
    "solve_all, n_starts": (
        lambda b: solve_all(b, n_starts=0), ValueError, "n_starts must be at least 1, got 0"),
    "solve_all, tol": (
        lambda b: solve_all(b, goal_of(tol=np.nan)),
        ValueError, "tol must be at least 0, got nan"),
    "solve_all, targets": (
        lambda b: solve_all(b, goal_of(STARTS)), ValueError, r"targets must have shape \(n, 1\)"),
    "solve_path, start": (
        lambda b: solve_path(b, start=np.zeros(3)), ValueError, r"start must have shape \(2,\)"),
    "solve_path, start, NaN": (
        lambda b: solve_path(b, start=np.full(2, np.nan)), ValueError, "start must be finite"),
    "solve_path, targets": (
        lambda b: solve_path(b, goal_of(STARTS)), ValueError, r"targets must have shape \(n, 1\)"),
    "solve_path, n_starts": (
        lambda b: solve_path(b, n_starts=0), ValueError, "n_starts must be at least 1, got 0"),
}  # fmt: skip

REFUSALS = {**ANCHORS_AND_FUNCTIONS, **SOLVES, **LINKS, **SEARCHES}


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("case", REFUSALS)
def test_every_backend_refuses_the_same_input(name, case):
    call, error, words = REFUSALS[case]
    with pytest.raises(error, match=words):
        call(get_backend(name))


BROKEN = {
    "x, rows": {"x": np.zeros((2, 4, 2))},
    "fx, columns": {"fx": np.zeros((3, 4, 2))},
    "flags, dtype": {"flags": np.zeros((3, 4))},
    "anchor, shape": {"anchor": np.zeros((3, 5), dtype=np.int64)},
    "anchor, too high": {"anchor": np.full((3, 4), 7)},
    "anchor, negative": {"anchor": np.full((3, 4), -1)},
    "distances": {"anchor_distance": np.zeros(2)},
}


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("which", ["correct", "polish", "verify", "rank"])
@pytest.mark.parametrize("case", BROKEN)
def test_links_refuse_candidates_that_do_not_fit(name, which, case):
    """Native code must not read beyond them."""
    with pytest.raises((TypeError, ValueError, IndexError), match="candidates"):
        link(get_backend(name), which, **BROKEN[case])


@pytest.mark.parametrize("name", BACKENDS)
def test_what_the_refusals_start_from_is_accepted(name):
    backend = get_backend(name)
    anchors(backend).nearest(TARGETS, 7)
    solve(backend)
    in_python(backend)
    into(backend)
    propose(backend)
    for which in ("correct", "evaluate", "polish", "verify", "rank"):
        link(backend, which)
    polish(backend)
    assess(backend)
    solve_all(backend)
    solve_path(backend)


@pytest.mark.parametrize("name", BACKENDS)
def test_targets_and_states_need_not_be_contiguous(name):
    pipeline = SETUP.pipeline(get_backend(name))
    wide = np.arange(24.0).reshape(6, 4)
    strided = Goal(wide[::2, 1:2], 0.1, wide[::2, ::2])
    plain = Goal(strided.targets.copy(), 0.1, strided.near.copy())
    found, wanted = (pipeline.solve(goal, n_candidates=4, k=2) for goal in (strided, plain))
    for one, other in zip(found, wanted, strict=True):
        assert one.tobytes() == other.tobytes()
