"""`verbose` of solvers shows how far a long call is, and nothing of a short one."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ctrl_c import usleep

import fastinv as fi
from fastinv.backends import get_backend
from fastinv.functions import Goal
from fastinv.training import progress

CUBE = np.linspace(-1.0, 1.0, 30)[:, None]


@fi.forward(n_inputs=1, n_outputs=1)
def slow_cube(x, y):
    usleep(10)
    y[0] = x[0] ** 3 + x[0]


def slow_in_python(x):
    time.sleep(1e-3)
    return x**3 + x


@pytest.fixture(scope="module")
def solver():
    setting = {"random_state": 0, "n_threads": 2, "verbose": 1}
    return fi.NearestSolver(slow_cube, **setting).fit(anchors=CUBE)


@pytest.fixture
def patience(monkeypatch):
    """Calls are long after a moment, so that tests are not."""
    monkeypatch.setattr(progress, "_SHORT_CALL", 0.02)


CALLS = {
    "solve": lambda solver: solver.solve(np.full((40, 1), 0.5)),
    "solve_all": lambda solver: solver.solve_all(np.full((40, 1), 0.5)),
    "solve_path": lambda solver: solver.solve_path(np.linspace(0, 1, 40)[:, None], [0.0], effort=2),
}


@pytest.mark.parametrize("name", CALLS)
def test_long_calls_show_how_far_they_are(solver, name, patience, capsys):
    CALLS[name](solver)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "40/40 targets" in shown.err


def test_samples_show_how_far_they_are(patience, capsys):
    @fi.forward(n_inputs=2, n_outputs=1)
    def slow_radius(x, y):
        usleep(10)
        y[0] = x[0] ** 2 + x[1] ** 2

    anchors = np.random.default_rng(0).uniform(-2, 2, (30, 2))
    solver = fi.NearestSolver(slow_radius, random_state=0, verbose=1).fit(anchors=anchors)
    solver.sample_solutions([1.0], 20, n_steps=10, random_state=0)
    assert "200/200 steps" in capsys.readouterr().err


def test_an_f_in_python_shows_how_far_it_is(patience, capsys, monkeypatch):
    monkeypatch.setattr("fastinv.backends.chain._CANDIDATES_AT_ONCE", 2)
    solver = fi.NearestSolver(slow_in_python, n_candidates=2, verbose=1).fit(anchors=CUBE)
    solver.solve(np.full((150, 1), 0.5))
    assert "150/150 targets" in capsys.readouterr().err


@pytest.mark.parametrize("verbose", [0, 1])
def test_short_calls_show_nothing(verbose, capsys):
    solver = fi.NearestSolver(lambda x: x**2, verbose=verbose).fit(CUBE)
    solver.solve(np.full((5, 1), 0.5))
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_quiet_solvers_show_nothing_of_long_calls(patience, capsys):
    solver = fi.NearestSolver(slow_cube, random_state=0, n_threads=2).fit(anchors=CUBE)
    solver.solve_all(np.full((40, 1), 0.5))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["cpp", "reference"])
def test_what_progress_raises_ends_the_call(solver, name):
    told = []

    def progress(n_done):
        told.append(n_done)
        if len(told) == 2:
            raise RuntimeError("enough")

    backend = get_backend(name)
    anchors = backend.anchors(solver.anchors_x_, solver.anchors_y_, solver.y_scale_)
    search = backend.search(solver.problem_, anchors, solver.options_)
    goal = Goal(np.full((3000, 1), 0.5), 1e-9, progress=progress)
    with pytest.raises(RuntimeError, match="enough"):
        search.solve_all(goal, k=2, n_starts=4)
    assert told == sorted(told)
    assert len(told) == 2


def test_parts_of_a_goal_count_on():
    told = []
    goal = Goal(np.zeros((9, 1)), 0.1, np.arange(9.0)[:, None], progress=told.append)
    part = goal.part(4, 20)
    assert (len(part), part.near[0, 0]) == (5, 4.0)
    part.report(2)
    Goal(np.zeros((1, 1)), 0.1).report(1)
    assert told == [6]
