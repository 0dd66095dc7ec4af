"""The search for all solutions of the reference, rule by rule, and the compiled one against it."""

import numpy as np
import pytest
from chains import BACKENDS, CPP, REFERENCE, Setup
from parabola import square

import fastinv as fi
from fastinv import _core
from fastinv.functions import SearchStatus, Status

INF, NAN = np.inf, np.nan
ENDED = SearchStatus.ENDED
C, A, U, I = Status.CONVERGED, Status.APPROXIMATE, Status.UNREACHABLE, Status.INVALID  # noqa: E741


@fi.forward(n_inputs=1, n_outputs=2)
def circle(x, y):
    y[0] = np.cos(x[0])
    y[1] = np.sin(x[0])


@fi.forward(n_inputs=2, n_outputs=2)
def elbow(x, y):
    """A planar arm: two solutions inside its reach, none outside."""
    y[0] = np.cos(x[0]) + 0.7 * np.cos(x[0] + x[1])
    y[1] = np.sin(x[0]) + 0.7 * np.sin(x[0] + x[1])


def search_setup(f, bounds, *, n_anchors=80, **changes):
    p = f.n_inputs
    lower, upper = bounds
    anchors_x = np.random.default_rng(70).uniform([lower] * p, [upper] * p, size=(n_anchors, p))
    given = {"lower": lower, "upper": upper, "tol": 1e-9, "max_evaluations": 400} | changes
    return Setup(anchors_x, f(anchors_x), f, **given)


def solve_all(backend, setup, targets, *, k=4, n_starts=80):
    return setup.search(backend).solve_all(setup.goal(targets), k=k, n_starts=n_starts)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_solution_once_in_order_and_the_padding(name):
    setup = search_setup(square, (-2.0, 3.0))
    targets = [[1.0], [-1.0], [6.25], [9.5], [NAN], [0.0]]
    found, n_found, ended = solve_all(BACKENDS[name], setup, targets, k=3)
    assert n_found.tolist() == [2, 0, 1, 0, 0, 1]
    assert ended.tolist() == [ENDED, ENDED, ENDED, ENDED, SearchStatus.INVALID, ENDED]
    np.testing.assert_allclose(
        found.x[:5, :, 0],
        [[-1, 1, NAN], [0, NAN, NAN], [2.5, NAN, NAN], [3, NAN, NAN], [NAN] * 3], atol=1e-5,
    )  # fmt: skip
    np.testing.assert_allclose(
        found.residual[:5],
        [[0, 0, INF], [1, INF, INF], [0, INF, INF], [0.5, INF, INF], [INF] * 3], atol=1e-9,
    )  # fmt: skip
    assert found.status[:5].tolist() == [[C, C, I], [U, I, I], [C, I, I], [U, I, I], [I, I, I]]
    assert ((found.anchor >= 0) == np.isfinite(found.residual)).all()
    assert abs(found.x[5, 0, 0]) < 1e-7  # a double root


@pytest.mark.parametrize("name", BACKENDS)
def test_no_more_than_k(name):
    setup = search_setup(square, (-2.0, 3.0))
    found, n_found, ended = solve_all(BACKENDS[name], setup, [[1.0], [6.25]], k=1)
    assert n_found.tolist() == [1, 1]
    assert ended.tolist() == [SearchStatus.CUT, ENDED]
    assert abs(found.x[0, 0, 0]) == pytest.approx(1.0)


@pytest.mark.parametrize("name", BACKENDS)
def test_what_the_cap_cut_short_is_approximate(name):
    setup = search_setup(square, (-2.0, 3.0), max_evaluations=1)
    found, n_found, ended = solve_all(BACKENDS[name], setup, [[1.2345]])
    assert (n_found.tolist(), ended.tolist()) == ([0], [ENDED])
    assert found.status[0].tolist() == [A, I, I, I]


@pytest.mark.parametrize("name", BACKENDS)
def test_solutions_are_one_modulo_the_period(name):
    """With bounds of two turns each angle is there once where the period is known, else twice."""
    setup = search_setup(circle, (-2 * np.pi, 2 * np.pi))
    targets = [[np.cos(3.0), np.sin(3.0)]]
    found, n_found, _ = solve_all(BACKENDS[name], setup, targets)
    assert n_found.tolist() == [2]
    np.testing.assert_allclose(found.x[0, :2, 0], [3.0 - 2 * np.pi, 3.0], atol=1e-12)
    setup = search_setup(circle, (-2 * np.pi, 2 * np.pi), periods=2 * np.pi)
    found, n_found, _ = solve_all(BACKENDS[name], setup, targets)
    assert n_found.tolist() == [1]
    assert found.x[0, 0, 0] == pytest.approx(3.0, abs=1e-12)


@pytest.fixture(scope="module")
def elbow_oracle():
    """What the reference finds for 33 targets, the first four likely out of reach."""
    setup = search_setup(elbow, (-np.pi, np.pi), periods=2 * np.pi, n_anchors=30)
    targets = elbow(np.random.default_rng(71).uniform(-3, 3, size=(33, 2)))
    targets[:4] *= 3.0
    found = solve_all(REFERENCE, setup, targets)
    assert set(found.n_found) == {0, 2}
    return setup, targets, found


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("n", [0, 1, 7, 33])
def test_the_compiled_search_finds_what_the_reference_does(elbow_oracle, isa, n):
    setup, targets, (exact, *wanted) = elbow_oracle
    found, *counted = solve_all(CPP[isa], setup, targets[:n], n_starts=24)
    for one, other in zip(counted, wanted, strict=True):
        np.testing.assert_array_equal(one, other[:n])
    np.testing.assert_array_equal(found.status, exact.status[:n])
    np.testing.assert_allclose(found.x, exact.x[:n], atol=1e-6)
    np.testing.assert_allclose(found.residual, exact.residual[:n], atol=1e-12)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_path_keeps_to_its_branch(name):
    """For more than one turn; of the reference, which is slow, only across the bounds."""
    setup = search_setup(elbow, (-np.pi, np.pi), periods=2 * np.pi)
    angles = np.stack([np.linspace(-2, 8, 50), np.full(50, 1.0)], axis=1)
    angles = angles[22:30] if name == "reference" else angles
    targets = elbow(angles)
    targets[5] = NAN
    path = setup.search(BACKENDS[name]).solve_path(setup.goal(targets), angles[0], n_starts=24)
    usable = np.arange(len(angles)) != 5
    assert (path.status[usable] == C).all()
    assert path.status[5] == I
    assert np.isnan(path.x[5]).all()
    assert not path.jumped.any()
    turns = np.round((path.x - angles) / (2 * np.pi))
    np.testing.assert_allclose((path.x - 2 * np.pi * turns)[usable], angles[usable], atol=1e-9)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_path_jumps_where_its_branch_ends(name):
    """x = -sqrt(y) leaves the bounds at y = 1; the other branch goes on; at y = 9 all ends."""
    setup = search_setup(square, (-1.0, 3.0))
    goal = setup.goal([0.25, 0.81, 1.21, 1.44, 9.61, 0.25])
    path = setup.search(BACKENDS[name]).solve_path(goal, np.array([-0.4]), n_starts=24)
    assert path.jumped.tolist() == [False, False, True, False, False, False]
    assert path.status.tolist() == [C, C, C, C, U, C]
    np.testing.assert_allclose(path.x[:, 0], [-0.5, -0.9, 1.1, 1.2, 1.2, 0.5], atol=1e-12)
    np.testing.assert_allclose(path.residual, [0, 0, 0, 0, 9.61 - 1.44, 0], atol=1e-12)
