"""A list that is not complete is marked."""

import numpy as np
import pytest

import fastinv as fi


@fi.forward(n_inputs=1, n_outputs=1)
def waves(x, y):
    y[0] = np.sin(20.0 * x[0])


@fi.forward(n_inputs=2, n_outputs=2)
def two_waves(x, y):
    y[0] = np.sin(5.0 * x[0])
    y[1] = np.sin(5.0 * x[1])


def roots_of_waves(level, frequency, limit):
    """All x in ±limit with sin(frequency x) = level."""
    turns = 2 * np.pi * np.arange(-60, 61)
    x = np.concatenate([turns + np.arcsin(level), turns + np.pi - np.arcsin(level)]) / frequency
    return np.sort(x[np.abs(x) <= limit])


@pytest.fixture(scope="module")
def solver():
    return fi.NearestSolver(waves, bounds=[(-2, 2)], random_state=0).fit()


def test_there_is_no_limit_unless_one_is_given(solver):
    roots = roots_of_waves(0.3, 20.0, 2.0)
    assert len(roots) == 25
    found = solver.solve_all(0.3, effort=8)
    assert found.count.tolist() == [len(roots)]
    np.testing.assert_allclose(np.sort(found.x[0, : len(roots), 0]), roots, atol=1e-12)
    assert found.search_status[0] == fi.SearchStatus.ENDED


def test_a_list_that_is_not_complete_is_marked(solver):
    found = solver.solve_all(0.3)
    complete = found.count[0] == len(roots_of_waves(0.3, 20.0, 2.0))
    assert found.search_status[0] == (fi.SearchStatus.ENDED if complete else fi.SearchStatus.CUT)
    few = solver.solve_all([0.3, np.nan, 5.0], max_solutions=3)
    assert few.count.tolist() == [3, 0, 0]
    assert few.search_status.tolist() == [
        fi.SearchStatus.CUT, fi.SearchStatus.INVALID, fi.SearchStatus.ENDED,
    ]  # fmt: skip
    assert "max_solutions" in few.explain(0)
    assert "max_solutions" not in few.explain(2)


def test_as_many_as_there_are_is_not_cut():
    quartic = fi.problems.quartic
    solver = fi.NearestSolver(quartic.forward, bounds=quartic.bounds, random_state=0).fit()
    for limit, status in ((3, "CUT"), (4, "ENDED"), (5, "ENDED"), (None, "ENDED")):
        found = solver.solve_all(-1.0, max_solutions=limit)
        assert fi.SearchStatus(found.search_status[0]).name == status


def test_many_in_the_plane():
    level, limit = [0.3, -0.2], 2.0
    solver = fi.NearestSolver(two_waves, bounds=[(-limit, limit)] * 2, random_state=0).fit()
    n = np.prod([len(roots_of_waves(one, 5.0, limit)) for one in level])
    found = solver.solve_all(level, effort=16)
    assert n == 36 or n == 42 or n == 49
    complete = found.count[0] == n
    assert found.count[0] > 0.9 * n
    assert found.search_status[0] == (fi.SearchStatus.ENDED if complete else fi.SearchStatus.CUT)


@pytest.mark.parametrize("limit", [None, 2])
def test_an_empty_batch(solver, limit):
    found = solver.solve_all(np.empty((0, 1)), max_solutions=limit)
    assert found.search_status.shape == (0,)
    assert len(found) == 0
