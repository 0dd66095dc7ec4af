"""`solve_path`: one branch while it lasts, and the truth where it does not."""

import numpy as np
import pytest
from residuals import residuals

import fastinv as fi

ARM = fi.problems.two_link_arm
CUBIC = fi.problems.cubic
TOP = 1 / np.sqrt(3)


@fi.forward(n_inputs=1, n_outputs=1)
def waves(x, y):
    y[0] = np.sin(20 * x[0])


@pytest.fixture(scope="module")
def arm():
    return fi.NearestSolver(ARM.forward, bounds=ARM.bounds, random_state=0).fit()


@pytest.fixture(scope="module")
def turning():
    full = [(-np.pi, np.pi)] * 2
    return fi.NearestSolver(ARM.forward, bounds=full, periods=2 * np.pi, random_state=0).fit()


@pytest.fixture(scope="module")
def cubic():
    return fi.NearestSolver(CUBIC.forward, bounds=CUBIC.bounds, random_state=0).fit()


def loop(n):
    """A closed path of joint angles that crosses no fold and no bound."""
    turn = np.linspace(0, 2 * np.pi, n)
    return np.stack([0.2 + 0.5 * np.cos(turn), 0.8 + 0.5 * np.sin(turn)], axis=1)


def assert_true(path, solver):
    """Residuals are f's, and decide the status."""
    finite = np.isfinite(path.targets).all(axis=1)
    again = residuals(solver, solver.forward_(path.x[finite]), path.targets[finite])
    np.testing.assert_allclose(path.residual[finite], again, rtol=1e-12, atol=1e-15)
    assert (path.status[~finite] == fi.Status.INVALID).all()
    allowed = {fi.Status.CONVERGED, fi.Status.UNREACHABLE}
    assert set(path.status[finite].tolist()) <= allowed
    converged = path.status[finite] == fi.Status.CONVERGED
    assert (again[converged] < 1e-8).all()
    assert (again[~converged] > 1e-12).all()


@pytest.mark.parametrize("n", [33, 10_000])
def test_a_closed_path_is_followed(arm, n):
    x = loop(n)
    path = arm.solve_path(ARM.forward(x), x[0])
    assert len(path) == n
    assert (path.n_jumps, path.jumped.any()) == (0, False)
    np.testing.assert_allclose(path.x, x, atol=1e-10)
    assert_true(path, arm)
    steps = np.abs(np.diff(path.x, axis=0)).max()
    assert steps <= 1.01 * np.abs(np.diff(x, axis=0)).max()
    assert repr(path) == f"SolutionPath: {n} targets, {n} reached, 0 jumps, x in R^2"


def test_the_branch_is_that_of_the_start(turning):
    x = loop(200)
    targets = ARM.forward(x)
    both = turning.solve_all(targets[0])
    assert both.count[0] == 2
    for start in both.x[0, :2]:
        path = turning.solve_path(targets, start)
        assert np.abs(path.x[[0, -1]] - start).max() < 1e-6
        assert path.n_jumps == 0
        assert_true(path, turning)


def test_the_same_path_twice_has_the_same_bits(arm):
    x = loop(50)
    targets = ARM.forward(x)
    first, again = arm.solve_path(targets, x[0]), arm.solve_path(targets, x[0])
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.residual, again.residual)


def test_angles_go_on_beyond_their_bounds(turning):
    turn = np.linspace(0, 4 * np.pi, 400)
    targets = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    path = turning.solve_path(targets, turning.solve_all(targets[0]).best[0])
    assert path.n_jumps == 0
    assert_true(path, turning)
    np.testing.assert_allclose(path.x[-1] - path.x[0], [4 * np.pi, 0.0], atol=1e-8)


def test_a_fold_ends_a_branch(cubic):
    """From the left branch of x³ - x upwards, beyond its top, only the right one is left."""
    x = np.linspace(-1.2, 1.4, 500)
    targets = np.linspace(CUBIC.forward([[-1.2]])[0, 0], CUBIC.forward([[1.4]])[0, 0], 500)
    path = cubic.solve_path(targets, x[:1])
    assert_true(path, cubic)
    assert (path.status == fi.Status.CONVERGED).all()
    assert path.n_jumps == 1
    at = int(np.flatnonzero(path.jumped)[0])
    top = CUBIC.forward([[-TOP]])[0, 0]
    assert targets[at - 1] <= top < targets[at]
    assert (path.x[:at, 0] <= -TOP).all()
    assert (path.x[at:, 0] >= TOP).all()


def test_a_bound_ends_a_branch():
    """The arm's outward elbow leaves its bounds; the inward one does not."""
    narrow = [(-np.pi, np.pi), (-2.0, 1.0)]
    solver = fi.NearestSolver(ARM.forward, bounds=narrow, random_state=0).fit()
    bend = np.linspace(0.5, 1.5, 201)
    targets = ARM.forward(np.stack([np.zeros(201), bend], axis=1))
    path = solver.solve_path(targets, [0.0, 0.5])
    assert_true(path, solver)
    assert (path.status == fi.Status.CONVERGED).all()
    assert path.n_jumps == 1
    at = int(np.flatnonzero(path.jumped)[0])
    assert bend[at - 1] <= 1.0 < bend[at]
    np.testing.assert_allclose(path.x[:at, 1], bend[:at], atol=1e-8)
    np.testing.assert_allclose(path.x[at:, 1], -bend[at:], atol=1e-8)


def test_a_jump_goes_to_the_nearest_solution():
    sine = fi.problems.sine
    solver = fi.NearestSolver(sine.forward, bounds=sine.bounds, random_state=0).fit()
    # The target falls from one branch's height to the other side of its folds in one step.
    path = solver.solve_path([0.5, 5.0, -0.9], [np.arcsin(0.5) / 5])
    assert path.status.tolist() == [0, fi.Status.UNREACHABLE, 0]
    assert path.x[2, 0] == pytest.approx(np.arcsin(-0.9) / 5)
    assert_true(path, solver)


def test_out_of_reach_and_back(arm):
    x = np.stack([np.zeros(30), np.full(30, 0.4)], axis=1)
    targets = ARM.forward(x) * np.linspace(1.0, 1.2, 30)[:, None]
    targets = np.concatenate([targets, targets[::-1]])
    path = arm.solve_path(targets, x[0])
    assert_true(path, arm)
    out = np.linalg.norm(targets, axis=1) > 2.0
    assert 0 < out.sum() < 60
    np.testing.assert_array_equal(path.status == fi.Status.UNREACHABLE, out)
    assert not path.jumped[out].any()
    last = int(np.flatnonzero(out)[0]) - 1
    np.testing.assert_array_equal(path.x[out], np.broadcast_to(path.x[last], (out.sum(), 2)))
    np.testing.assert_allclose(path.x[-1], x[0], atol=1e-8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_target_that_is_not_finite_is_passed_over(arm, bad):
    x = loop(33)
    targets = ARM.forward(x)
    clean = arm.solve_path(np.delete(targets, 7, axis=0), x[0])
    targets[7, 1] = bad
    path = arm.solve_path(targets, x[0])
    assert path.status[7] == fi.Status.INVALID
    assert np.isnan(path.x[7]).all()
    assert np.isinf(path.residual[7])
    assert not path.jumped.any()
    np.testing.assert_array_equal(np.delete(path.x, 7, axis=0), clean.x)


def test_a_start_that_is_no_solution_leads_to_one(arm):
    path = arm.solve_path(ARM.forward(loop(33)), [0.3, 0.3])
    assert (path.status == fi.Status.CONVERGED).all()
    assert_true(path, arm)


def test_more_inputs_than_outputs():
    problem = fi.problems.three_link_arm
    solver = fi.NearestSolver(problem.forward, bounds=problem.bounds, random_state=0).fit()
    turn = np.linspace(0, 2 * np.pi, 300)
    targets = np.stack([1.8 + 0.3 * np.cos(turn), 0.4 + 0.3 * np.sin(turn)], axis=1)
    path = solver.solve_path(targets, solver.solve_all(targets[0]).best[0])
    assert_true(path, solver)
    assert (path.status == fi.Status.CONVERGED).all()
    moved = np.linalg.norm(np.diff(targets, axis=0), axis=1).max()
    assert np.abs(np.diff(path.x, axis=0))[~path.jumped[1:]].max() < 5 * moved


def test_no_targets(arm):
    path = arm.solve_path(np.zeros((0, 2)), [0.0, 0.0])
    assert (path.x.shape, path.n_jumps, len(path)) == ((0, 2), 0, 0)
    assert repr(path) == "SolutionPath: 0 targets, 0 reached, 0 jumps, x in R^2"


@pytest.mark.parametrize(
    ("start", "options", "message"),
    [
        ([0.0], {}, r"start must have shape \(2,\), got \(1,\)"),
        ([np.nan, 0.0], {}, "start must be finite"),
        ([3.0, 0.0], {}, r"start must lie inside the bounds, got \[3. 0.\]"),
        ([0.0, 0.0], {"residual_tol": -1.0}, "residual_tol must be finite and at least 0"),
        ([0.0, 0.0], {"effort": 0.0}, "effort must be finite and greater than 0"),
        ("ab", {}, "start must hold real numbers"),
    ],
)
def test_wrong_arguments(arm, start, options, message):
    with pytest.raises(ValueError, match=message):
        arm.solve_path([[1.4, 0.9]], start, **options)


def test_wrong_targets(arm):
    with pytest.raises(ValueError, match=r"targets must have shape \(n, 2\)"):
        arm.solve_path([[1.0, 2.0, 3.0]], [0.0, 0.0])


@pytest.mark.parametrize("backend", ["cpp", "reference"])
def test_a_step_that_lands_on_another_branch_is_not_taken_for_its_own(backend):
    """From 0.0735 the derivative of sin(20 x) points at -0.177, which happens to be close to a
    solution beyond three folds; the branch leads to 0.026."""
    solver = fi.NearestSolver(
        waves, bounds=[(-1.0, 1.0)], n_anchors=200, backend=backend, random_state=0
    ).fit()
    path = solver.solve_path([[0.995], [0.5]], [(np.pi / 2 - 0.1) / 20])
    assert path.n_jumps == 0
    np.testing.assert_allclose(20 * path.x[:, 0], np.arcsin([0.995, 0.5]), atol=1e-9)
