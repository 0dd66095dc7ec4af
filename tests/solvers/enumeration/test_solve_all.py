"""`solve_all` and `sample_solutions`: every solution, nothing false, each counted once."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from residuals import residuals
from sklearn.exceptions import NotFittedError

import fastinv as fi

ARM = fi.problems.two_link_arm
# The experiments of the paper whose solutions are isolated points.
ISOLATED = (1, 2, 3, 5, 6, 7, 9)
FIELDS = ("x", "residual", "anchor", "status", "count", "search_status")
SOLVERS = {
    "nearest": lambda f, **o: fi.NearestSolver(f, random_state=0, **o),
    "twin": lambda f, **o: fi.TwinSolver(
        f,
        network=fi.TwinNetwork((12,), max_iter=2),
        pairs=fi.SolvedPairs(pairs_per_epoch=512),
        random_state=0,
        **o,
    ),
}


@fi.forward(n_inputs=2, n_outputs=1)
def squared_radius(x, y):
    y[0] = x[0] ** 2 + x[1] ** 2


@fi.forward(n_inputs=2, n_outputs=3)
def overdetermined(x, y):
    """Two unknowns, three equations: solutions (a, b) and (-a, b)."""
    y[0] = x[0] ** 2
    y[1] = x[1]
    y[2] = x[0] ** 2 * x[1]


@pytest.fixture(scope="module")
def arm():
    return SOLVERS["nearest"](ARM.forward, bounds=ARM.bounds).fit()


@pytest.fixture(scope="module")
def turning():
    """The arm without limits: both angles may have all values."""
    full = [(-np.pi, np.pi)] * 2
    options = {"bounds": full, "periods": 2 * np.pi, "y_scale": 0.7}
    return SOLVERS["nearest"](ARM.forward, **options).fit()


@pytest.fixture(scope="module")
def circle():
    return SOLVERS["nearest"](squared_radius, bounds=[(-2, 2)] * 2).fit()


def assert_same(a, b, rows=slice(None)):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field)[rows])


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("number", ISOLATED)
def test_every_exact_solution_is_found_and_nothing_else(number, name):
    problem = fi.problems.experiment(number)
    solver = SOLVERS[name](problem.forward, bounds=problem.bounds).fit()
    _, y = problem.sample(100, random_state=100 + number)
    found, exact = solver.solve_all(y), problem.preimages(y)
    n_found, left = 0, []
    for i in range(len(y)):
        x = found.x[i, : found.count[i]]
        again = residuals(solver, problem.forward(x), y[i])
        np.testing.assert_allclose(found.residual[i, : found.count[i]], again, rtol=0, atol=1e-15)
        left.extend(again)
        gaps = np.abs(exact[i][:, None] - x[None]).max(axis=2)
        n_found += int((gaps.min(axis=1, initial=np.inf) < 1e-6).sum())
        assert (gaps.min(axis=0, initial=np.inf) < 1e-6).all()  # nothing that is not exact
        assert len(x) <= len(exact[i])  # and nothing twice
    assert n_found >= 0.995 * sum(len(x) for x in exact)
    assert max(left) <= 1e-9
    assert np.median(left) <= 1e-12
    low, high = problem.bounds.T
    given_x = found.x[np.isfinite(found.residual)]
    assert ((given_x >= low) & (given_x <= high)).all()


@pytest.mark.parametrize("number", range(1, 10))
def test_the_best_of_a_polished_solve_is_exact(number):
    problem = fi.problems.experiment(number)
    solver = SOLVERS["twin"](problem.forward, bounds=problem.bounds).fit()
    _, y = problem.sample(100, random_state=200 + number)
    errors = problem.forward(solver.solve(y).best) - y
    assert np.sqrt((errors**2).mean()) <= 1e-9


def test_padding_and_order(arm):
    found = arm.solve_all([ARM.forward([0.2, 0.9]), [3.0, 0.0], [np.nan, 0.0]])
    assert found.count.tolist() == [2, 0, 0]
    assert (found.status[0, :2] == fi.Status.CONVERGED).all()
    assert found.x[0, 0, 0] < found.x[0, 1, 0]
    for row, n_used in enumerate((2, 1, 0)):
        assert np.isnan(found.x[row, n_used:]).all()
        assert np.isinf(found.residual[row, n_used:]).all()
        assert (found.anchor[row, n_used:] == -1).all()
        assert (found.status[row, n_used:] == fi.Status.INVALID).all()


@pytest.mark.parametrize(
    ("target", "distance"), [([3.0, 0.0], 1.0), ([0.0, 3.5], 1.5), ([2.0, -2.0], 8**0.5 - 2)]
)
def test_the_residual_of_an_unreachable_target_is_its_distance(turning, target, distance):
    found = turning.solve_all(target)
    assert found.count[0] == 0
    assert found.status[0, 0] == fi.Status.UNREACHABLE
    nearest = 2 * np.array(target) / np.linalg.norm(target)
    np.testing.assert_allclose(ARM.forward(found.best[0]), nearest, atol=1e-6)
    np.testing.assert_allclose(found.error[0, 0], nearest - target, atol=1e-6)
    assert np.linalg.norm(found.error[0, 0]) == pytest.approx(distance, rel=1e-9)
    error = residuals(turning, found.error[0, 0], 0)
    assert found.residual[0, 0] == pytest.approx(error, rel=1e-12)


def test_solutions_that_are_a_period_apart_are_one(turning):
    rng = np.random.default_rng(3)
    x = rng.uniform(-np.pi, np.pi, size=(200, 2))
    x[:20, 0] = np.pi * (1 - 1e-12)  # at the seam, where both ends are the same angle
    found = turning.solve_all(ARM.forward(x))
    assert (found.count == 2).all()
    for solutions, exact in zip(found.x[:, :2], x, strict=True):
        turns = (solutions - exact) / (2 * np.pi)
        assert np.abs(turns - turns.round()).max(axis=1).min() < 1e-8
    assert (np.abs(found.x[:, :2]) <= np.pi).all()
    # Without periods the same state appears at both ends.
    unaware = SOLVERS["nearest"](ARM.forward, bounds=[(-np.pi, np.pi)] * 2).fit()
    end = ARM.forward([np.pi, 1.0])
    assert unaware.solve_all(end).count[0] == 3
    assert turning.solve_all(end).count[0] == 2


def test_at_a_fold_two_solutions_are_one(arm):
    cubic = fi.problems.cubic
    solver = SOLVERS["nearest"](cubic.forward, bounds=cubic.bounds).fit()
    top = 1 / np.sqrt(3)
    peak = cubic.forward([[-top]])[0, 0]
    below, above = solver.solve_all([peak * (1 - 1e-6), peak * (1 + 1e-6)])
    assert (below.count[0], above.count[0]) == (3, 1)
    assert arm.solve_all([2.0, 0.0]).count[0] == 1


def test_more_equations_than_unknowns():
    solver = SOLVERS["nearest"](overdetermined, bounds=[(-2, 2)] * 2).fit()
    found = solver.solve_all([[1.0, 0.5, 0.5], [1.0, 0.5, 0.6]])
    assert found.count.tolist() == [2, 0]
    np.testing.assert_allclose(found.x[0, :2], [[-1, 0.5], [1, 0.5]], atol=1e-9)
    assert 0 < found.residual[1, 0] < 0.1


@settings(max_examples=25, deadline=None)
@given(
    n=st.sampled_from([1, 7, 33]),
    bad=st.sampled_from([np.nan, np.inf, -np.inf, 1e100, 1e9]),
    seed=st.integers(0, 99),
)
def test_a_bad_target_leaves_the_other_rows_alone(arm, n, bad, seed):
    _, y = ARM.sample(n, random_state=seed)
    clean, row = arm.solve_all(y, max_solutions=8), seed % n
    y[row, seed % 2] = bad
    found = arm.solve_all(y, max_solutions=8)
    others = np.arange(n) != row
    assert_same(found[others], clean, others)
    assert found.count[row] == 0
    expected = fi.Status.UNREACHABLE if np.isfinite(bad) else fi.Status.INVALID
    assert found.status[row, 0] == expected
    if np.isfinite(bad):
        missed = abs(bad) / arm.y_scale_[seed % 2]
        assert found.residual[row, 0] == pytest.approx(missed, rel=1e-6)


@pytest.mark.parametrize("n", [0, 1, 7, 33])
def test_the_bits_do_not_depend_on_threads_or_batches(n):
    y = ARM.sample(n, random_state=n)[1]
    one, many = (
        SOLVERS["nearest"](ARM.forward, bounds=ARM.bounds, n_threads=n_threads).fit()
        for n_threads in (1, 8)
    )
    found = one.solve_all(y)
    assert found.x.shape == (n, found.count.max(initial=1), 2)
    assert_same(many.solve_all(y), found)
    # There are as many places as the row with most solutions has, unless they are given.
    found = one.solve_all(y, max_solutions=5)
    for row in range(n):
        assert_same(one.solve_all(y[row], max_solutions=5), found, slice(row, row + 1))


def test_no_more_than_max_solutions():
    quartic = fi.problems.quartic
    solver = SOLVERS["nearest"](quartic.forward, bounds=quartic.bounds).fit()
    every = solver.solve_all(-1.0)
    assert (every.x.shape, every.count[0]) == ((1, 4, 1), 4)
    assert every.search_status.tolist() == [fi.SearchStatus.ENDED]
    few = solver.solve_all(-1.0, max_solutions=3)
    assert (few.x.shape, few.count[0]) == ((1, 3, 1), 3)
    assert (few.residual < 1e-9).all()
    assert few.search_status.tolist() == [fi.SearchStatus.CUT]
    four = solver.solve_all(-1.0, max_solutions=4)
    assert (four.x.shape, four.search_status[0]) == ((1, 4, 1), fi.SearchStatus.ENDED)
    assert solver.solve_all(-1.0, max_solutions=9).x.shape == (1, 9, 1)


@fi.forward(n_inputs=1, n_outputs=1)
def teeth(x, y):
    y[0] = np.sin(100 * np.pi * x[0]) if x[0] > 0 else 3.0 - x[0]


@pytest.fixture(scope="module")
def comb():
    return SOLVERS["nearest"](teeth, bounds=[(-1.0, 1.0)], n_anchors=4000).fit()


def test_there_may_be_many_solutions(comb):
    """All are kept, and rows with few of them are padded."""
    found = comb.solve_all([0.5, 3.5, np.nan], effort=20)
    assert found.count.tolist() == [100, 1, 0]
    assert found.x.shape == (3, 100, 1)
    k = np.arange(50)
    expected = np.concatenate([2 * k + 1 / 6, 2 * k + 5 / 6]) / 100
    np.testing.assert_allclose(np.sort(found.x[0, :, 0]), np.sort(expected), atol=1e-12)
    assert np.isnan(found.x[1, 1:]).all()
    assert found.search_status[1:].tolist() == [fi.SearchStatus.ENDED, fi.SearchStatus.INVALID]


def test_solutions_close_to_each_other_are_isolated(comb):
    found = comb.solve_all(0.5, effort=20)
    assert found.isolated.all()
    assert found.search_status[0] == fi.SearchStatus.ENDED


def test_what_counts_as_a_solution(arm):
    beyond = np.array([2.0 + 1e-4, 0.0])
    assert arm.solve_all(beyond).count[0] == 0
    # A relative tolerance is for solutions, which the arm has none of: it is 2 long.
    assert arm.solve_all(beyond, residual_tol=1e-3).count[0] == 0
    found = arm.solve_all(beyond, error_tol=1e-3)
    assert found.count[0] == 1
    assert found.status[0, 0] == fi.Status.CONVERGED
    assert found.residual[0, 0] == pytest.approx(1e-4 / arm.y_scale_[0], rel=1e-6)
    np.testing.assert_allclose(found.error[0, 0], [-1e-4, 0.0], atol=1e-8)
    assert arm.solve_all(beyond, error_tol=1.01e-4).count[0] == 1
    assert arm.solve_all(beyond, error_tol=0.99e-4).count[0] == 0
    # Of each output by itself, in the units of y; both tolerances hold where both are given.
    assert arm.solve_all(beyond, error_tol=[1.01e-4, 1e-7]).count[0] == 1
    assert arm.solve_all(beyond, error_tol=[1e-7, 1.01e-4]).count[0] == 0
    residual = 1e-4 / arm.y_scale_[0]
    assert arm.solve_all(beyond, error_tol=1.0, residual_tol=1.01 * residual).count[0] == 1
    assert arm.solve_all(beyond, error_tol=1.0, residual_tol=0.99 * residual).count[0] == 0


def test_the_tolerance_of_errors_is_the_solvers_unless_another_is_given():
    options = {"bounds": ARM.bounds, "error_tol": 1e-3}
    solver = SOLVERS["nearest"](ARM.forward, **options).fit()
    beyond = [2.0 + 1e-4, 0.0]
    assert solver.solve_all(beyond).count[0] == 1
    assert solver.solve_all(beyond, error_tol=1e-5).count[0] == 0
    assert solver.solve_all(beyond, residual_tol=1e-3).count[0] == 0
    assert solver.solve(beyond).status[0, 0] == fi.Status.CONVERGED


def test_what_is_known_of_solutions(arm, circle):
    """Their errors, how far the true roots are, and whether those are isolated."""
    exact = np.array([0.2, 0.9])
    found = arm.solve_all([ARM.forward(exact), [np.nan, 0.0]])
    np.testing.assert_array_equal(found.error[0], ARM.forward(found.x[0]) - found.targets[0])
    assert np.isnan(found.error[1]).all()
    off = np.abs((found.x[0] - exact) / arm.problem_.region.scale).max(axis=1)
    assert off.min() <= found.x_error[0, off.argmin()] < 1e-14
    assert found.isolated[0].all()
    assert np.isinf(found.x_error[1]).all()
    assert not found.isolated[1].any()
    around = circle.solve_all(1.0)
    assert not around.isolated[0].any()
    assert around.search_status[0] == fi.SearchStatus.SET
    np.testing.assert_array_equal(around[0].error, around.error)


def test_more_effort_finds_no_less():
    problem = fi.problems.experiment(9)
    solver = SOLVERS["nearest"](problem.forward, bounds=problem.bounds).fit()
    _, y = problem.sample(100, random_state=105)
    efforts = (1 / 24, 1.0, 4.0, 1e308)
    counts = [solver.solve_all(y, effort=effort).count.sum() for effort in efforts]
    assert counts == sorted(counts)
    assert counts[0] < counts[1]


def test_a_learned_forward_function():
    X, y = ARM.sample(400, random_state=5)
    network = fi.MLPRegressor(
        (32, 32), max_iter=60, learning_rate="cosine", early_stopping=False, random_state=0
    )
    solver = fi.NearestSolver(network, bounds=ARM.bounds).fit(X, y)
    # The anchors themselves too: f does not give there what was measured.
    targets = np.vstack([y[:50], ARM.sample(50, random_state=6)[1]])
    found = solver.solve_all(targets)
    for row in range(100):
        x = found.x[row, : found.count[row]]
        again = residuals(solver, solver.predict(x).reshape(-1, 2), targets[row])
        np.testing.assert_allclose(found.residual[row, : len(x)], again, rtol=0, atol=1e-12)
        assert (again <= 1e-5).all()
        gaps = np.abs(x[:, None] - x[None]).max(axis=2) + 10 * np.eye(len(x))
        assert gaps.min(initial=10) > 1e-4
    assert (found.count > 0).mean() > 0.8
    assert "noise of the data" in found.explain(0)


@pytest.mark.parametrize("solver_class", [fi.DirectSolver, fi.MixtureSolver])
def test_other_solvers_enumerate_too(solver_class, arm):
    part = "network" if solver_class is fi.DirectSolver else "density"
    solver = solver_class(ARM.forward, bounds=ARM.bounds, random_state=0)
    solver.set_params(**{f"{part}__hidden_layer_sizes": (8,), f"{part}__max_iter": 2}).fit()
    _, y = ARM.sample(20, random_state=12)
    found, expected = solver.solve_all(y), arm.solve_all(y)
    np.testing.assert_array_equal(found.count, expected.count)
    np.testing.assert_allclose(found.x, expected.x, atol=1e-6)


def test_pickle(arm):
    _, y = ARM.sample(7, random_state=13)
    again = pickle.loads(pickle.dumps(arm))
    assert_same(again.solve_all(y), arm.solve_all(y))
    assert_same(pickle.loads(pickle.dumps(arm.solve_all(y))), arm.solve_all(y))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"residual_tol": -1}, ValueError, "residual_tol must be finite and at least 0.0, got -1"),
        ({"residual_tol": np.nan}, ValueError, "residual_tol must be finite"),
        ({"residual_tol": "a"}, TypeError, "residual_tol must be a number"),
        ({"error_tol": -1}, ValueError, "error_tol must be at least 0 for each output, got -1"),
        ({"error_tol": [1.0]}, ValueError, r"error_tol must be one number .*, got \(1,\)"),
        ({"effort": 0}, ValueError, "effort must be finite and greater than 0.0, got 0"),
        ({"effort": np.inf}, ValueError, "effort must be finite"),
        ({"max_solutions": 0}, ValueError, "max_solutions must be positive, got 0"),
        ({"max_solutions": 1.5}, TypeError, "max_solutions must be an integer, got 1.5"),
    ],
)
def test_wrong_options(arm, options, error, message):
    with pytest.raises(error, match=message):
        arm.solve_all([1.0, 1.0], **options)


def test_what_it_needs(arm):
    with pytest.raises(ValueError, match=r"y must have shape \(n, 2\)"):
        arm.solve_all([1.0, 1.0, 1.0])
    with pytest.raises(NotFittedError, match="this NearestSolver is not fitted yet"):
        fi.NearestSolver().solve_all(1.0)


# Infinitely many solutions


def test_samples_cover_the_circle(circle):
    x = circle.sample_solutions(1.0, 400, random_state=0)
    assert x.shape == (400, 2)
    np.testing.assert_allclose((x**2).sum(axis=1), 1.0, atol=1e-12)
    counts, _ = np.histogram(np.arctan2(x[:, 1], x[:, 0]), 16, (-np.pi, np.pi))
    assert (counts > 0).all()


def test_samples_stay_inside_the_bounds():
    quarter = SOLVERS["nearest"](squared_radius, bounds=[(0, 2), (0.3, 2)]).fit()
    x = quarter.sample_solutions(1.0, 200, random_state=1)
    np.testing.assert_allclose((x**2).sum(axis=1), 1.0, atol=1e-12)
    assert (x >= [0.0, 0.3]).all()
    assert np.ptp(np.arctan2(x[:, 1], x[:, 0])) > 1.0  # of 1.27 rad inside the bounds


@pytest.mark.parametrize("number", [4, 8])
def test_samples_of_the_papers_curves(number):
    problem = fi.problems.experiment(number)
    solver = SOLVERS["nearest"](problem.forward, bounds=problem.bounds).fit()
    _, y = problem.sample(1, random_state=3)
    x = solver.sample_solutions(y[0], 100, random_state=0)
    distances = problem.distance_to_solutions(x, np.repeat(y, 100, axis=0))
    assert distances.max() < 1e-6
    assert ((x >= problem.bounds[:, 0]) & (x <= problem.bounds[:, 1])).all()
    assert np.abs(x[:, None] - x[None]).max() > 0.3


def test_the_seed_decides_the_samples(circle):
    first, again = (circle.sample_solutions(1.0, 7, random_state=5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (circle.sample_solutions(1.0, 7, random_state=6) != first).any()
    assert circle.sample_solutions(1.0, 0, random_state=0).shape == (0, 2)
    still = circle.sample_solutions(1.0, 7, n_steps=0, random_state=5)
    known = circle.solve_all(1.0, max_solutions=64, effort=4.0)
    assert {x.tobytes() for x in still} <= {x.tobytes() for x in known.x[0]}


def test_listed_solutions_of_a_circle_are_solutions(circle):
    found = circle.solve_all([1.0, 2.0])
    x = found.x[np.isfinite(found.residual)]
    radius = np.repeat([1.0, 2.0], found.count)
    np.testing.assert_allclose((x**2).sum(axis=1), radius, atol=1e-9)
    assert (found.count > 3).all()
    assert (found.count <= 8).all()  # which stand for all
    assert (found.search_status == fi.SearchStatus.SET).all()
    assert "search SET: some solutions are not isolated" in found.explain(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (100.0,),
            r"y must be attainable, got \[100.\]; the nearest point found has residual .*, "
            r"tolerance 1e-09; error \(-92\), tolerated \(1.*e-09\)",
        ),
        (([1.0, 2.0],), "y must be one target, got 2"),
        ((np.nan,), r"y must be finite, got \[nan\]"),
        ((1.0, -1), "n_samples must be at least 0"),
    ],
)
def test_samples_that_cannot_be_had(circle, arguments, message):
    with pytest.raises(ValueError, match=message):
        circle.sample_solutions(*arguments)


def test_isolated_solutions_are_not_sampled(arm):
    with pytest.raises(ValueError, match=r"not isolated, got one .*: use solve_all"):
        arm.sample_solutions([1.0, 1.0])
