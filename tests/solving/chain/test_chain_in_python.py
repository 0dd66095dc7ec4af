"""An f that only Python can evaluate goes through the same links as one that is compiled."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from chains import (
    BACKENDS,
    CPP,
    assert_same_bits,
    folded,
    polished_setup,
    random_setup,
    surface,
    targets_near,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinv as fi
from fastinv import _core
from fastinv.backends import Ranked, get_backend
from fastinv.functions import CallableFunction

SETUPS = {
    "lookup": random_setup(with_twin=False),
    "twin": random_setup(),
    "passes": random_setup(n_passes=3, branch_distance=0.3),
}
POLISHED = {
    "polish": polished_setup(),
    "polish, periods": polished_setup(periods=2.0),
    "polish, twin": polished_setup(twin=random_setup(0, 2, 2).twin, n_passes=2),
    "polish, noisy anchors": polished_setup(anchors_exact=False, branch_distance=0.0),
}


class Watched:
    """A formula as a callable that remembers what it was asked."""

    def __init__(self, function):
        self.function, self.rows_of_calls, self.all_finite = function, [], True

    def __call__(self, X):
        self.rows_of_calls.append(len(X))
        self.all_finite &= bool(np.isfinite(X).all())
        return self.function(X)


def in_python(setup):
    """The same chain with f behind a Python call, and what watches it."""
    watched = Watched(setup.function)
    return replace(setup, function=CallableFunction(watched, setup.p, setup.q)), watched


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("case", SETUPS)
@pytest.mark.parametrize("with_near", [False, True])
def test_without_a_polish_it_gives_the_bits_of_the_compiled_chain(isa, case, with_near):
    setup = SETUPS[case]
    targets = targets_near(setup, 33)
    near = np.random.default_rng(48).normal(size=(33, 2)) if with_near else None
    call = {"n_candidates": 7, "k": 5, "near": near}
    slow, watched = in_python(setup)
    wanted = setup.solve(CPP[isa], targets, **call)
    assert_same_bits(slow.solve(CPP[isa], targets, **call), wanted)
    assert watched.all_finite
    assert watched.rows_of_calls == [33 * 7] * setup.n_passes
    out = Ranked.empty(33, 5, 2)
    assert slow.solve(CPP[isa], targets, **call, n_threads=2, out=out) is out
    assert_same_bits(out, wanted)


@settings(max_examples=40, deadline=None)
@given(
    isa=st.sampled_from(_core.isas()),
    case=st.sampled_from(list(POLISHED)),
    n=st.sampled_from([0, 1, 7, 33]),
    n_candidates=st.sampled_from([1, 5, 16]),
    with_near=st.booleans(),
    seed=st.integers(0, 50),
)
def test_with_a_polish_it_gives_the_same_solutions(isa, case, n, n_candidates, with_near, seed):
    setup = POLISHED[case]
    rng = np.random.default_rng([49, seed])
    targets = folded(rng.uniform(-1.1, 1.1, size=(n, 2))).reshape(n, 2)
    targets[rng.random(n) < 0.2] = np.nan
    near = rng.normal(size=(n, 2)) if with_near else None
    call = {"n_candidates": n_candidates, "k": n_candidates, "near": near}
    slow, watched = in_python(setup)
    found, wanted = slow.solve(CPP[isa], targets, **call), setup.solve(CPP[isa], targets, **call)
    assert watched.all_finite
    finite = np.isfinite(targets).all(axis=1)
    for field in Ranked._fields:
        one, other = getattr(found, field)[~finite], getattr(wanted, field)[~finite]
        np.testing.assert_array_equal(one, other)
    for row in np.flatnonzero(finite):
        assert_alike(found, wanted, row)
        assert_alike(wanted, found, row)
        assert n_distinct_first(setup, found, row) == n_distinct_first(setup, wanted, row)


def assert_alike(found, wanted, row):
    """Each solution of a row of `found` is in that of `wanted`, in whatever place: residuals that
    are rounding decide that."""
    for x, residual, status in zip(
        found.x[row], found.residual[row], found.status[row], strict=True
    ):
        same = np.abs(wanted.x[row] - x).max(axis=1).argmin()
        np.testing.assert_allclose(wanted.x[row, same], x, rtol=0, atol=2e-7)
        assert wanted.residual[row, same] == pytest.approx(residual, rel=1e-9, abs=1e-13)
        assert wanted.status[row, same] == status


def n_distinct_first(setup, found, row):
    """How many solutions of a row come before a copy of one of them."""
    x = found.x[row][found.status[row] == fi.Status.CONVERGED]
    copies = np.triu(setup.region.distance(x[:, None], x) <= setup.separation, 1).any(axis=0)
    return int(np.argmax([*copies, True]))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("case", POLISHED)
def test_f_is_called_for_many_rows_at_a_time(name, case):
    """About as often as for one start alone."""
    setup, watched = in_python(POLISHED[case])
    targets = folded(np.random.default_rng(50).uniform(-1, 1, size=(33, 2)))
    setup.solve(BACKENDS[name], targets, n_candidates=16, k=16)
    assert watched.rows_of_calls[0] == 33 * 16
    assert len(watched.rows_of_calls) < 150
    assert sum(watched.rows_of_calls) > 50 * len(watched.rows_of_calls)


@pytest.mark.parametrize("name", BACKENDS)
def test_where_f_has_no_image_a_candidate_is_invalid_or_its_anchor(name):
    def with_a_hole(X):
        return np.where(X[:, :1] > 0, np.nan, surface(X))

    setup = replace(SETUPS["twin"], function=CallableFunction(with_a_hole, 2, 3))
    targets = setup.anchors_y[:20] + 0.1
    found = setup.solve(BACKENDS[name], targets, n_candidates=5, k=5)
    assert np.isfinite(found.residual).all()
    noisy = replace(setup, anchors_exact=False)
    found = noisy.solve(BACKENDS[name], targets, n_candidates=5, k=5)
    inside = found.x[:, :, 0] > 0
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(found.status == fi.Status.INVALID, inside)
    np.testing.assert_array_equal(np.isinf(found.residual), inside)


@pytest.mark.parametrize("name", BACKENDS)
def test_what_f_raises_reaches_the_caller(name):
    def broken(X):
        raise ZeroDivisionError("of f")

    setup = replace(SETUPS["twin"], function=CallableFunction(broken, 2, 3))
    with pytest.raises(ZeroDivisionError, match="of f"):
        setup.solve(BACKENDS[name], setup.anchors_y[:3], n_candidates=5, k=5)


def test_threads_may_share_a_chain():
    setup, _ = in_python(polished_setup())
    pipeline = setup.pipeline(get_backend("cpp"))
    goals = [setup.goal(targets_near(setup, 5, seed)) for seed in range(4)]
    wanted = [pipeline.solve(goal, n_candidates=4, k=4) for goal in goals]
    found = [None] * 4

    def work(i):
        found[i] = pipeline.solve(goals[i], n_candidates=4, k=4)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, wanted, strict=True):
        assert_same_bits(one, other)


def test_there_is_no_native_pipeline_for_it():
    setup, _ = in_python(SETUPS["twin"])
    cpp = get_backend("cpp")
    assert setup.pipeline(cpp).native() is None
    assert SETUPS["twin"].pipeline(cpp).native() is not None
    assert SETUPS["twin"].pipeline(BACKENDS["reference"]).native() is None
