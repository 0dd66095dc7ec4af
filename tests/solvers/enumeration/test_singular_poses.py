"""Poses of the UR5 at which branches meet, or are curves, against the closed form."""

import numpy as np
import pytest

import fastinv as fi

UR5 = fi.robots.ur5()
POSE = UR5.forward("pose")


@pytest.fixture(scope="module")
def solver():
    bounds, periods = UR5.limits, UR5.periods
    return fi.NearestSolver(POSE, bounds=bounds, periods=periods, random_state=0).fit()


def gaps(a, b):
    """Largest difference of a joint between all of `a` and all of `b`, modulo turns."""
    return np.abs((a[:, None] - b + np.pi) % (2 * np.pi) - np.pi).max(axis=2)


def joints_with(**values):
    """Five random postures of which some joints have a value."""
    rng = np.random.default_rng(12)
    X = rng.uniform(-np.pi, np.pi, (5, 6))
    for name, value in values.items():
        X[:, int(name[1]) - 1] = value
    return X


@pytest.mark.parametrize("elbow", [0.0, 1e-12, 1e-9])
def test_a_stretched_elbow_is_one_solution(solver, elbow):
    X = joints_with(q3=elbow)
    found = solver.solve_all(POSE(X), effort=4)
    for row, x in enumerate(X):
        known = fi.robots.ur5_inverse(UR5.transform(x))
        n = found.count[row]
        assert n <= len(known)
        distance = gaps(found.x[row, :n], known)
        assert (distance.min(axis=1) < 1e-5).all()
        # None of them twice.
        assert len(set(distance.argmin(axis=1).tolist())) == n
        assert gaps(found.x[row, :n], x[None]).min() < 1e-5


@pytest.mark.parametrize("wrist", [0.0, np.pi])
def test_a_singular_wrist_is_a_set(solver, wrist):
    """Joints 4 and 6 turn against each other: of each such curve there are a few members, beside
    the solutions that are isolated."""
    X = joints_with(q5=wrist)
    found = solver.solve_all(POSE(X), effort=4)
    for row, x in enumerate(X):
        known = fi.robots.ur5_inverse(UR5.transform(x))
        fifth = np.abs(np.sin(known[:, 4]))
        n, isolated = found.count[row], found.isolated[row, : found.count[row]]
        assert found.search_status[row] == fi.SearchStatus.SET
        assert (~isolated).sum() <= 12
        single = known[fifth > 1e-3]
        distance = gaps(found.x[row, :n][isolated], single)
        assert (distance.min(axis=1, initial=np.inf) < 1e-6).all()
        assert len(set(distance.argmin(axis=1).tolist())) == isolated.sum()
        assert (np.abs(np.sin(found.x[row, :n][~isolated, 4])) < 1e-5).all()
        assert (~isolated).any()


def test_home_is_one_solution(solver):
    """Stretched upwards, elbow and wrist are singular at once: no joint can move, but to first
    order three can, so that f hardly tells where the solution is."""
    home = POSE([0.0, -np.pi / 2, 0.0, -np.pi / 2, 0.0, 0.0])
    found = solver.solve_all(home)
    assert found.status[0, 0] == fi.Status.CONVERGED
    assert found.search_status[0] == fi.SearchStatus.ENDED
    assert found.count.tolist() == [1]
    assert found.isolated[0, 0]
    assert 1e-9 < found.x_error[0, 0] < 1e-2


def test_a_pose_that_is_reached_is_converged(solver):
    target = POSE([0.3, -1.2, 0.0, 0.7, 0.0, 0.0])
    assert solver.solve_all(target).status[0, 0] == fi.Status.CONVERGED
    assert solver.solve(target, k=1).status[0, 0] == fi.Status.CONVERGED
