"""What is rare in solves, searches and paths: odd functions, units, seams, and shared memory."""

import numpy as np
import pytest

import fastinv as fi
from fastinv.functions import Goal

TURN = 2 * np.pi
ARM = fi.problems.two_link_arm


@fi.forward(n_inputs=1, n_outputs=1)
def steps(x, y):
    """Its derivative is zero wherever there is one."""
    y[0] = np.floor(x[0])


@fi.forward(n_inputs=1, n_outputs=1)
def cosine(x, y):
    y[0] = np.cos(x[0])


@fi.forward(n_inputs=1, n_outputs=1)
def sine_of_a_seam(x, y):
    y[0] = np.sin(x[0] - 0.1)


@fi.forward(n_inputs=1, n_outputs=1)
def tiny(x, y):
    y[0] = 1e-200 * x[0] ** 2


@fi.forward(n_inputs=1, n_outputs=1)
def huge(x, y):
    y[0] = 1e200 * x[0] ** 2


@fi.forward(n_inputs=1, n_outputs=1)
def quadratic(x, y):
    y[0] = x[0] ** 2


def fitted(forward, *bounds, **options):
    return fi.NearestSolver(forward, bounds=bounds, random_state=0, **options).fit()


@pytest.fixture(scope="module")
def arm():
    return fitted(ARM.forward, *ARM.bounds)


@pytest.mark.parametrize("backend", ["cpp", "reference"])
def test_a_derivative_of_zero_hides_no_anchor_that_solves(backend):
    with pytest.warns(UserWarning, match="differences of steps along input 0 do not agree"):
        solver = fitted(steps, (-5, 5), backend=backend, n_anchors=60)
    values = np.unique(solver.anchors_y_)
    found = solver.solve_all(values[:, None])
    assert (found.count > 0).all()
    assert (found.residual[:, 0] == 0).all()
    between = solver.solve_all(values[:, None] + 0.25)
    assert (between.count == 0).all()
    np.testing.assert_array_equal(between.residual[:, 0], 0.25 * (1 / solver.y_scale_[0]))
    assert (between.status[:, 0] == fi.Status.UNREACHABLE).all()


@pytest.mark.parametrize("backend", ["cpp", "reference"])
@pytest.mark.parametrize("low", [0.3, -1e3, 1e6])
def test_a_box_far_from_zero(backend, low):
    solver = fitted(cosine, (low, low + TURN), backend=backend, n_anchors=40)
    found = solver.solve_all([[0.3], [-0.8]])
    assert found.count.tolist() == [2, 2]
    images = np.cos(found.x[:, :2, 0])
    np.testing.assert_allclose(images, np.repeat([[0.3], [-0.8]], 2, axis=1), atol=1e-9)


def test_samples_of_a_circle_far_from_zero():
    @fi.forward(n_inputs=2, n_outputs=1)
    def radius(x, y):
        y[0] = (x[0] - 1e6) ** 2 + (x[1] + 1e6) ** 2

    solver = fitted(radius, (1e6 - 2, 1e6 + 2), (-1e6 - 2, -1e6 + 2))
    points = solver.sample_solutions([1.0], 60, random_state=0) - [1e6, -1e6]
    np.testing.assert_allclose((points**2).sum(axis=1), 1.0, atol=1e-8)
    assert len(np.unique(np.round(points, 6), axis=0)) == 60


@pytest.mark.parametrize("backend", ["cpp", "reference"])
@pytest.mark.parametrize("short_by", [0.0, 5e-13, -1e-12])
def test_a_solution_on_the_seam_is_inside_the_bounds(backend, short_by):
    low, high = 0.1, 0.1 + TURN * (1 - short_by)
    solver = fitted(sine_of_a_seam, (low, high), periods=TURN, backend=backend, n_anchors=40)
    found = solver.solve_all([[0.0], [1e-13], [-1e-13]])
    assert found.count.tolist() == [2, 2, 2]
    for x in (found.x[:, :2], solver.solve([[0.0], [1e-13], [-1e-13]]).x):
        assert ((x >= low) & (x <= high)).all()


@pytest.mark.parametrize("forward", [tiny, huge])
def test_units_whose_squares_leave_the_range_are_refused(forward):
    with pytest.raises(ValueError, match=r"the anchors' y must vary by .* choose other units"):
        fitted(forward, (-1, 2))


def test_a_path_of_turning_joints_goes_on_where_it_ended():
    solver = fitted(ARM.forward, (-np.pi, np.pi), (-np.pi, np.pi), periods=TURN)
    turn = np.linspace(0, 2 * TURN, 120)
    circle = 1.5 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    first = solver.solve_path(circle, solver.solve_all(circle[0]).best[0])
    again = solver.solve_path(circle, first.x[-1])
    assert (first.n_jumps, again.n_jumps) == (0, 0)
    np.testing.assert_allclose(again.x - first.x, [[2 * TURN, 0]] * 120, atol=1e-8)
    with pytest.raises(ValueError, match="start must lie inside the bounds"):
        fitted(ARM.forward, *ARM.bounds).solve_path(circle, first.x[-1])


def test_the_distance_to_a_huge_target_is_finite(arm):
    far = 1e200 / arm.y_scale_[0]
    path = arm.solve_path([[1e200, 0.0]], [0.5, 0.5])
    assert path.status.tolist() == [fi.Status.UNREACHABLE]
    np.testing.assert_allclose(path.residual, far)
    found = arm.solve_all([[1e200, 0.0]])
    assert found.status[0, 0] == fi.Status.UNREACHABLE
    np.testing.assert_allclose(found.residual[0, 0], far)


@pytest.mark.parametrize("part", ["target", "best"])
def test_a_frozen_solver_reads_near_before_it_writes(part):
    hot = fitted(ARM.forward, (-3, 3), (-3, 3)).freeze()
    target, state = np.array([0.3, 1.1]), np.array([1.2, -0.9])
    wanted = hot(target, near=state)
    assert not (wanted.x == hot(target, near=target).x).all()  # the state matters
    out = hot.empty()
    getattr(out, part)[:] = state
    np.testing.assert_array_equal(hot(target, near=getattr(out, part), out=out).x, wanted.x)
    np.testing.assert_array_equal(out.target, target)


def test_nearest_neighbours_are_not_written_over_each_other():
    tree = fi.KDTree(np.arange(12.0).reshape(6, 2))
    distances = np.empty((3, 2))
    with pytest.raises(ValueError, match="must not share memory"):
        tree.query(np.ones((3, 2)), 2, out=(distances, distances.view(np.int64)))


@pytest.mark.parametrize("target", [0.01, 0.04, 0.09])
def test_the_partner_across_a_fold_is_found_from_anchors_on_one_side(target):
    solver = fi.NearestSolver(quadratic, bounds=[(-1, 1)], random_state=0)
    solver.fit(anchors=np.linspace(0.2, 0.9, 8)[:, None])
    found = solver.solve_all([[target]])
    root = np.sqrt(target)
    np.testing.assert_allclose(found.x[0, : found.count[0], 0], [-root, root], atol=1e-9)


def test_of_two_copies_of_a_solution_the_better_is_kept():
    solver = fitted(quadratic, (-1, 1))
    starts = solver.anchors_x_[np.abs(solver.anchors_x_[:, 0]).argsort()[:12]]
    ends = solver.search().polish(Goal(np.zeros((12, 1)), 1e-9), np.ascontiguousarray(starts))
    found = solver.solve_all([[0.0]])
    assert found.count.tolist() == [1]
    assert found.residual[0, 0] <= np.median(ends.residual)


def test_the_first_anchor_fills_up_like_any_other():
    @fi.forward(n_inputs=1, n_outputs=1)
    def identity(x, y):
        y[0] = x[0]

    solver = fi.NearestSolver(
        identity, bounds=[(-1, 1)], n_candidates=3, anchor_choice="spread", refine=False
    ).fit(anchors=[[0.1], [0.0], [0.2], [0.3]])
    assert solver.solve([[0.0]]).anchor.tolist() == [[1, 0, 3]]
