"""`out=` of solve, solve_all and solve_path: the same bits as without, and after Ctrl-C what was
found until then."""

from __future__ import annotations

import os
from dataclasses import fields

import numpy as np
import pytest
from ctrl_c import interrupted, usleep
from numpy.testing import assert_array_equal

import fastinv as fi
from fastinv.backends import chain

ARM = fi.problems.two_link_arm
CTRL_C = pytest.mark.skipif(os.name == "nt", reason="os.kill ends a process there")
RNG = np.random.default_rng(2401)
TARGETS = ARM.forward(RNG.uniform(*np.asarray(ARM.bounds).T, size=(100_000, 2)))
FEW = np.vstack([TARGETS[:33], [[np.nan, 0.0], [9.0, 0.0]]])
LINE = np.linspace([1.4, 0.9], [-0.5, 1.2], 20_000)


@fi.forward(n_inputs=2, n_outputs=2)
def slow_arm(x, y):
    usleep(20)
    y[0] = np.cos(x[0]) + np.cos(x[0] + x[1])
    y[1] = np.sin(x[0]) + np.sin(x[0] + x[1])


@pytest.fixture(scope="module")
def solver():
    return fi.NearestSolver(ARM.forward, bounds=ARM.bounds, random_state=0, n_threads=2).fit()


@pytest.fixture(scope="module")
def slow():
    setting = {"n_candidates": 3, "random_state": 0, "n_threads": 2}
    return fi.NearestSolver(slow_arm, **setting).fit(anchors=RNG.uniform(-1.5, 1.5, (50, 2)))


def arrays(result):
    """By name."""
    found = {field.name: getattr(result, field.name) for field in fields(result)}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def assert_same(found, wanted):
    assert arrays(found).keys() == arrays(wanted).keys()
    for name, array in arrays(wanted).items():
        assert_array_equal(getattr(found, name), array, err_msg=name)


def assert_not_computed(found):
    assert (found.status == fi.Status.INVALID).all()
    assert np.isnan(found.x).all()
    assert np.isinf(found.residual).all()


@pytest.mark.parametrize("setting", [{}, {"max_solutions": 5}, {"cost": lambda x: x[:, 1]}])
def test_all_solutions_have_the_same_bits_in_out(solver, setting):
    wanted = solver.solve_all(FEW, **{"max_solutions": 5, **setting})
    out = solver.solve_all(np.ones_like(FEW), max_solutions=5)
    assert solver.solve_all(FEW, out=out, **setting) is out
    assert_same(out, wanted)
    assert_array_equal(out.error, wanted.error)


def test_near_may_be_a_part_of_out(solver):
    out = solver.solve_all(FEW, max_solutions=3)
    near = np.where(np.isfinite(out.x[:, 0]), out.x[:, 0], 0.0)
    out.x[:, 0] = near
    wanted = solver.solve_all(FEW, max_solutions=3, near=near, within=0.5)
    assert_same(solver.solve_all(FEW, near=out.x[:, 0], within=0.5, out=out), wanted)


def test_a_path_has_the_same_bits_in_out(solver):
    line, back = LINE[::1000], LINE[::-1000]
    start = solver.solve_all(line[0]).best[0]
    out = solver.solve_path(line, start)
    wanted = solver.solve_path(back, out.x[-1])
    assert solver.solve_path(back, out.x[-1], out=out) is out  # `start` is a part of it
    assert_same(out, wanted)


def refused(call, out, error, message):
    before = {name: array.copy() for name, array in arrays(out).items()}
    with pytest.raises(error, match=message):
        call(out)
    for name, array in before.items():
        assert_array_equal(getattr(out, name), array)


def test_what_does_not_fit_is_refused_and_left_alone(solver):
    def solve_all(out, **setting):
        return solver.solve_all(TARGETS[:3], out=out, **setting)

    some = solver.solve_all(TARGETS[3:6], max_solutions=2)
    plain = solver.solve(TARGETS[3:6], k=2)
    refused(solve_all, plain, ValueError, "count and search_status")
    refused(solve_all, some[:2], ValueError, r"out\.x must have shape \(3, 2, 2\), got \(2, 2, 2\)")
    refused(lambda out: solve_all(out, max_solutions=3), some, ValueError, "None or that of out, 2")
    refused(lambda out: solve_all(out, effort=0), some, ValueError, "effort")
    refused(lambda out: solve_all(out, within=1.0), some, ValueError, "within needs near")
    twice = fi.Solutions(
        some.targets, some.x, some.residual, some.anchor, some.status, some.count,
        search_status=some.count.view(np.int8)[:3],
    )  # fmt: skip
    refused(solve_all, twice, ValueError, r"out\.count and out\.search_status must not overlap")
    with pytest.raises(TypeError, match="must be a Solutions, got tuple"):
        solve_all((1, 2))
    path = solver.solve_path(LINE[:3], [0.0, 1.0])
    with pytest.raises(TypeError, match="must be a SolutionPath, got Solutions"):
        solver.solve_path(LINE[:3], [0.0, 1.0], out=some)
    refused(lambda out: solver.solve_path(LINE[:4], [0, 1], out=out), path, ValueError, "shape")
    refused(lambda out: solver.solve_path(LINE[:3], [9, 1], out=out), path, ValueError, "bounds")


def check_rows(found, wanted_of, done):
    """The rows that are done are right, the others marked; neither are all."""
    assert 0 < done.sum() < len(done)
    assert_not_computed(found[~done])
    rows = np.flatnonzero(done)
    rows = np.unique(np.concatenate([rows[:20], rows[-20:]]))
    wanted = wanted_of(rows)
    assert_array_equal(found.x[rows], wanted.x)
    assert_array_equal(found.status[rows], wanted.status)
    assert_array_equal(found.targets, TARGETS[: len(found)])


@CTRL_C
def test_solutions_found_before_ctrl_c_are_in_out(slow):
    y = TARGETS[:30_000]
    out = slow.freeze().empty(len(y))
    out.x[:] = 7.0  # also where nothing will be computed
    near = out.x[:, 0]
    interrupted(lambda: slow.solve(y, near=near, out=out), after=0.5)
    done = out.status[:, 0] != fi.Status.INVALID
    check_rows(out, lambda rows: slow.solve(y[rows], near=np.full((len(rows), 2), 7.0)), done)


@CTRL_C
def test_all_solutions_found_before_ctrl_c_are_in_out(slow):
    y = TARGETS[:20_000]
    out = slow.solve_all(y[:1], max_solutions=4)[np.zeros(len(y), dtype=int)]
    cost = {"cost": lambda x: -x[:, 0]}
    interrupted(lambda: slow.solve_all(y, out=out, **cost), after=0.7)
    done = out.status[:, 0] != fi.Status.INVALID
    assert (out.count[~done] == 0).all()
    check_rows(out, lambda rows: slow.solve_all(y[rows], max_solutions=4, **cost), done)


@CTRL_C
def test_the_path_before_ctrl_c_is_in_out(slow):
    out = slow.solve_path(np.repeat(LINE[:1], len(LINE), axis=0)[:1], [0.0, 1.0])
    out = fi.SolutionPath(
        LINE * 0, np.zeros((len(LINE), 2)), np.zeros(len(LINE)), np.zeros(len(LINE), np.int8),
        np.ones(len(LINE), bool),
    )  # fmt: skip
    interrupted(lambda: slow.solve_path(LINE, [0.0, 1.0], out=out), after=0.5)
    n = int((out.status != fi.Status.INVALID).argmin())
    assert 0 < n < len(LINE)
    wanted = slow.solve_path(LINE[: min(n, 50)], [0.0, 1.0])
    assert_array_equal(out.x[: len(wanted)], wanted.x)
    assert_array_equal(out.targets, LINE)
    assert (out.status[n:] == fi.Status.INVALID).all()
    assert np.isnan(out.x[n:]).all()
    assert not out.jumped[n:].any()


class Interrupting:
    """A callable that ends its call number `at`, counted from 0."""

    def __init__(self):
        self.n_calls, self.at = 0, -1

    def __call__(self, x):
        self.n_calls += 1
        if self.n_calls > self.at >= 0:
            raise KeyboardInterrupt
        return x**2


@pytest.mark.parametrize("kind", ["nearest", "direct"])
def test_rows_of_an_f_in_python_are_kept(kind, monkeypatch):
    f = Interrupting()
    if kind == "nearest":
        monkeypatch.setattr(chain, "_CANDIDATES_AT_ONCE", 30)
        solver = fi.NearestSolver(f, n_candidates=3).fit(np.linspace(-2, 2, 50)[:, None])
    else:
        monkeypatch.setattr("fastinv.solvers.base._TARGETS_AT_ONCE", 10)
        network = fi.MLPRegressor((4,), max_iter=2, n_iter_no_change=None)
        solver = fi.DirectSolver(f, network=network, random_state=0)
        solver.fit(np.linspace(-2, 2, 50)[:, None])
    y = np.linspace(0.1, 3, 45)[:, None]
    out, wanted = solver.solve(y[::-1]), solver.solve(y)
    f.n_calls = 0
    solver.solve(y[:20])
    f.at, f.n_calls = f.n_calls, 0
    with pytest.raises(KeyboardInterrupt):
        solver.solve(y, out=out)
    f.at = -1
    assert_array_equal(out.x[:20], wanted.x[:20])
    assert_not_computed(out[20:])
    assert_array_equal(out.targets, y)
    assert_same(solver.solve(y, out=out), wanted)
