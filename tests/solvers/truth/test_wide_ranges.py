"""Functions over many decades: small images are found like large ones, and none is made up."""

import numpy as np
import pytest

import fastinv as fi


@fi.forward(n_inputs=2, n_outputs=2)
def two_exponentials(x, y):
    """Over 22 decades each."""
    y[0] = np.exp(20.0 * (x[0] + 0.3 * x[1]))
    y[1] = np.exp(20.0 * (x[1] - 0.3 * x[0]))


@fi.forward(n_inputs=2, n_outputs=2)
def one_exponential(x, y):
    """Over 52 decades, beside the other input itself."""
    y[0] = np.exp(60.0 * x[0])
    y[1] = x[1]


@fi.forward(n_inputs=1, n_outputs=2)
def up_and_down(x, y):
    """Two outputs of one input: y0^46 y1^27 = 1."""
    y[0] = np.exp(27.0 * x[0])
    y[1] = np.exp(-46.0 * x[0])


def solver_of(f):
    return fi.NearestSolver(f, bounds=[(-1, 1)] * f.n_inputs, random_state=0).fit()


@pytest.mark.parametrize("f", [two_exponentials, one_exponential], ids=lambda f: f.name)
def test_all_that_can_be_reached_is_found(f):
    x = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    found = solver_of(f).solve_all(f(x))
    right = (found.count == 1) & (np.abs(found.x[:, 0] - x).max(axis=1) < 1e-9)
    assert right.mean() >= 0.99
    assert not (found.status[:, 0] == fi.Status.UNREACHABLE).any()


@pytest.mark.parametrize("target", [1e-20, 1e-5, 1.0, 1e5, 1e10, 1e20])
def test_a_small_image_beside_another_output(target):
    solver = solver_of(one_exponential)
    found = solver.solve_all([target, 0.3])
    assert found.count.tolist() == [1]
    np.testing.assert_allclose(found.x[0, 0], [np.log(target) / 60.0, 0.3], atol=1e-13)
    assert found.x_error[0, 0] < 1e-12
    assert solver.solve([target, 0.3]).status[0, 0] == fi.Status.CONVERGED


@pytest.mark.parametrize(
    "target", [(np.exp(27 * 0.52), -1.0), (np.exp(27 * 0.52), 1e5), (2.0, 3.0), (1.0, 1.0 + 1e-9)]
)
def test_outputs_that_contradict_each_other_are_no_image(target):
    solver = solver_of(up_and_down)
    assert solver.solve_all(target).count.tolist() == [0]
    assert not (solver.solve(target).status == fi.Status.CONVERGED).any()


@pytest.mark.parametrize("x", [-0.9, -0.4, 0.0, 0.52, 1.0])
def test_outputs_that_agree_are_one(x):
    solver = solver_of(up_and_down)
    found = solver.solve_all(up_and_down([x]))
    assert found.count.tolist() == [1]
    assert found.x[0, 0, 0] == pytest.approx(x, abs=1e-12)


@pytest.mark.parametrize("target", [(-1e5, 0.3), (-1e-5, 0.3), (1e5, 1.01), (1e30, 0.3)])
def test_what_cannot_be_reached_beside_an_output_that_can(target):
    solver = solver_of(one_exponential)
    assert solver.solve_all(target).count.tolist() == [0]
    assert not (solver.solve(target).status == fi.Status.CONVERGED).any()
