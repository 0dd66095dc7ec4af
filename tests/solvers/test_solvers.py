"""The solvers end to end: truth of what they report, both kinds of input, and bad input."""

import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from residuals import residual_after_newton, residual_after_scipy, residuals
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastinv as fi
from fastinv import _core

FIELDS = ("x", "residual", "anchor", "status")
EXACT = 1e-12  # residuals below this are rounding
QUICK = {
    "network": fi.TwinNetwork((48, 48), max_iter=15),
    "pairs": fi.SolvedPairs(n_pairs=12800, pairs_per_epoch=6400),
}
SMALL = fi.MLPRegressor(
    (16,),
    max_iter=40,
    learning_rate="cosine",
    learning_rate_init=0.02,
    early_stopping=False,
    random_state=0,
)


def assert_same(a, b, rows=slice(None)):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field)[rows])


def rmse(residuals, n_outputs):
    """Over targets and components."""
    return float(np.sqrt(np.mean(residuals**2) / n_outputs))


@pytest.fixture(scope="module")
def arm():
    return fi.problems.two_link_arm


@pytest.fixture(scope="module")
def twin(arm):
    return fi.TwinSolver(
        arm.forward, bounds=arm.bounds, network=fi.TwinNetwork(max_iter=60), random_state=0
    ).fit()


@parametrize_with_checks(
    [
        fi.NearestSolver(SMALL, n_candidates=1),
        fi.TwinSolver(SMALL, n_candidates=1, network=fi.TwinNetwork((4,), max_iter=2)),
        fi.MixtureSolver(
            SMALL, density=fi.MixtureDensityNetwork(2, hidden_layer_sizes=(4,), max_iter=2)
        ),
        fi.DirectSolver(SMALL, network=fi.MLPRegressor((4,), max_iter=2, n_iter_no_change=None)),
    ]
)
def test_scikit_learn_compatible(estimator, check):
    check(estimator)


@pytest.mark.parametrize("problem", fi.problems.ALL, ids=lambda p: p.name)
@pytest.mark.parametrize("refine", [False, True])
def test_what_is_reported_is_true(problem, refine):
    """Residuals and statuses recomputed with f, on every problem."""
    solver = fi.TwinSolver(
        problem.forward, bounds=problem.bounds, n_anchors=200, random_state=1,
        network=fi.TwinNetwork((32,), max_iter=3), pairs=fi.SolvedPairs(pairs_per_epoch=2560),
        refine=refine,
    ).fit()  # fmt: skip
    _, y = problem.sample(100, random_state=2, noise=0)
    solutions = solver.solve(y)
    images = problem.forward(solutions.x.reshape(-1, problem.n_inputs))
    images = images.reshape(100, 5, -1)
    again = residuals(solver, images, y[:, None])
    np.testing.assert_allclose(solutions.residual, again, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(solutions.error, images - y[:, None])
    # What is exact comes first, by coordinates, then the others by residual; but a solution that
    # is there already comes after all of them.
    places = solutions.x / solver.problem_.region.scale
    for row in range(100):
        first = np.array([
            all(np.linalg.norm(places[row, j] - places[row, i]) > 1e-6 for j in range(i))
            for i in range(5)
        ])  # fmt: skip
        fresh = first | (solutions.status[row] != fi.Status.CONVERGED)
        assert (np.diff(fresh.astype(int)) <= 0).all()
        inexact = np.where(again[row] <= EXACT, 0.0, solutions.residual[row])
        assert (np.diff(inexact[fresh]) >= 0).all()
        exact = solutions.x[row][fresh & (again[row] <= EXACT)].round(9).tolist()
        assert exact == sorted(exact) or not refine
    converged = solutions.status == fi.Status.CONVERGED
    within = again <= solver.residual_tol_
    assert not (converged & ~within).any()
    assert converged[again <= EXACT].all()
    # The others within the tolerance are near no root, or, without polish, so near to a fold that
    # a Newton step does not show one.
    for row, k in np.argwhere(within & ~converged):
        x, least = solutions.x[row, k], 0.12 * again[row, k]
        near_fold = not refine and residual_after_newton(solver, y[row], x) > least
        assert near_fold or residual_after_scipy(solver, y[row], x) > 1e-9
    for row, k in np.argwhere(converged & (again > EXACT))[:20]:
        assert residual_after_scipy(solver, y[row], solutions.x[row, k]) < 1e-9
    low, high = problem.bounds.T
    assert ((solutions.x >= low) & (solutions.x <= high)).all()
    # Never worse than looking the target up.
    lookup = fi.NearestSolver(problem.forward, bounds=problem.bounds, refine=False)
    nearest = lookup.fit(anchors=solver.anchors_x_).solve(y, 1)
    assert (solutions.residual[:, 0] <= nearest.residual[:, 0] * (1 + 1e-12)).all()


def test_twin_beats_lookup_tenfold(arm, twin):
    _, y = arm.sample(500, random_state=3)
    alone = {"bounds": arm.bounds, "random_state": 0, "refine": False}
    lookup = fi.NearestSolver(arm.forward, **alone).fit()
    direct = fi.DirectSolver(arm.forward, **alone).set_params(network__max_iter=30).fit()
    network = fi.TwinSolver(arm.forward, network=fi.TwinNetwork(max_iter=60), **alone).fit()
    np.testing.assert_array_equal(network.twin_.parameters, twin.twin_.parameters)
    best = rmse(network.solve(y).residual[:, 0], 2)
    nearest = rmse(lookup.solve(y).residual[:, 0], 2)
    averaged = rmse(direct.solve(y).residual[:, 0], 2)
    assert best <= nearest / 10
    assert averaged > 3 * nearest


@pytest.mark.parametrize("solver_class", [fi.TwinSolver, fi.NearestSolver, fi.DirectSolver])
def test_polish_leaves_rounding_errors(arm, solver_class):
    options = {"network__max_iter": 2} if solver_class is not fi.NearestSolver else {}
    _, y = arm.sample(200, random_state=3)
    polished, alone = (
        solver_class(arm.forward, bounds=arm.bounds, random_state=0, refine=refine)
        .set_params(**options)
        .fit()
        .solve(y)
        for refine in (None, False)
    )
    assert rmse(alone.residual[:, 0], 2) > 1e-4
    assert rmse(polished.residual[:, 0], 2) < 1e-12
    assert (polished.status[:, 0] == fi.Status.CONVERGED).all()


def test_where_polish_is_on(arm):
    """By default where f is exact and runs natively; any other f is polished when asked."""
    X, y = arm.sample(200, random_state=5)
    for solver, refined in [
        (fi.NearestSolver(arm.forward), True),
        (fi.NearestSolver(arm.forward, refine=True), True),
        (fi.NearestSolver(arm.forward, refine=False), False),
        (fi.NearestSolver(lambda x: arm.forward(x)), False),
        (fi.NearestSolver(lambda x: arm.forward(x), refine=True), True),
        (fi.NearestSolver(SMALL), False),
        (fi.NearestSolver(SMALL, refine=True), True),
    ]:
        assert solver.fit(X, y).options_.polish == refined
    learned, polished = (
        fi.NearestSolver(SMALL, refine=refine).fit(X, y) for refine in (False, True)
    )
    _, targets = arm.sample(50, random_state=6)
    better = polished.solve(targets)
    again = residuals(polished, polished.predict(better.best), targets)
    np.testing.assert_allclose(better.residual[:, 0], again, atol=1e-6)
    assert (better.residual[:, 0] <= learned.solve(targets).residual[:, 0] + 1e-6).all()
    assert np.median(again) < 1e-5


@pytest.mark.parametrize("anchor_choice", ["spread", "nearest"])
def test_which_anchors_are_tried(arm, anchor_choice):
    """The nearest two may lie on one branch; those that are far apart in x do not."""
    solver = fi.NearestSolver(
        arm.forward, bounds=arm.bounds, anchor_choice=anchor_choice, n_candidates=2, refine=False,
        random_state=0,
    ).fit()  # fmt: skip
    _, y = arm.sample(300, random_state=8)
    solutions, exact = solver.solve(y), arm.preimages(y)
    near = [
        (np.abs(x[:, None] - found[None]).max(axis=2).min(axis=1) < 0.3).mean()
        for x, found in zip(exact, solutions.x, strict=True)
    ]
    if anchor_choice == "nearest":
        order = np.argsort(residuals(solver, solver.anchors_y_, y[:1]))[:2]
        assert set(solutions.anchor[0]) == set(order)
        assert np.mean(near) < 0.9
    else:
        assert np.mean(near) > 0.95


BAD_PARAMETERS = {
    "refine, a word": ({"refine": "yes"}, TypeError, "refine must be True, False or None, got"),
    "periods, zero": ({"periods": 0.0}, ValueError, "periods must be positive, infinite where"),
    "periods, negative": ({"periods": [1.0, -1.0]}, ValueError, "periods must be positive"),
    "periods, NaN": ({"periods": np.nan}, ValueError, "periods must be positive"),
    "periods, shape": (
        {"periods": [1.0] * 3}, ValueError, r"periods must be a number or of shape \(2,\), got"),
    "periods, words": ({"periods": "year"}, ValueError, "periods must hold real numbers"),
    "anchor_choice": (
        {"anchor_choice": "far"}, ValueError, "anchor_choice must be 'spread' or 'nearest', got"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_PARAMETERS)
def test_bad_parameters(arm, case):
    parameters, error, message = BAD_PARAMETERS[case]
    solver = fi.NearestSolver(arm.forward, bounds=arm.bounds).set_params(**parameters)
    with pytest.raises(error, match=message):
        solver.fit()


def test_every_branch_is_among_the_solutions(arm, twin):
    x, y = arm.sample(200, random_state=4)
    x, y = x[np.abs(x[:, 1]) > 0.5], y[np.abs(x[:, 1]) > 0.5]
    solutions = twin.solve(y, 30)
    found = total = 0
    for row, exact in zip(solutions, arm.preimages(y), strict=True):
        for solution in exact:
            total += 1
            found += np.abs(row.x[0] - solution).max(axis=1).min() < 0.05
    assert found / total > 0.95


def test_from_data_with_a_learned_forward_function(arm):
    X, y = arm.sample(600, random_state=5)
    solver = fi.TwinSolver(network=fi.TwinNetwork(max_iter=60), random_state=0).fit(X, y)
    assert not solver.forward_.exact
    assert not solver.options_.polish
    X_new, y_new = arm.sample(200, random_state=6)
    solutions = solver.solve(y_new)
    predicted = solver.predict(solutions.best)
    again = residuals(solver, predicted, y_new)
    np.testing.assert_allclose(solutions.residual[:, 0], again, atol=1e-5)
    true = residuals(solver, arm.forward(solutions.best), y_new)
    lookup = fi.NearestSolver(arm.forward, refine=False, y_scale=solver.y_scale_).fit(X)
    nearest = lookup.solve(y_new, 1).residual[:, 0]
    assert rmse(true, 2) < rmse(nearest, 2) / 2
    assert solver.score(X_new, y_new) > 0.99


def test_from_data_with_a_known_forward_function(arm):
    X, y = arm.sample(400, random_state=7, noise=0.01)
    solver = fi.TwinSolver(arm.forward, bounds=arm.bounds, random_state=0)
    solver.set_params(network__max_iter=30).fit(X, y)
    solutions = solver.solve(y[:50])
    true = residuals(solver, arm.forward(solutions.best), y[:50])
    np.testing.assert_allclose(solutions.residual[:, 0], true, rtol=1e-13)


@pytest.mark.parametrize("kind", ["callable", "regressor", "unfitted regressor"])
def test_forward_functions_that_only_python_evaluates(kind):
    rng = np.random.default_rng(60)
    X = rng.uniform(-1, 1, size=(300, 2))
    matrix = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
    y = X @ matrix
    forward = {
        "callable": lambda x: x @ matrix,
        "regressor": LinearRegression().fit(X, y),
        "unfitted regressor": LinearRegression(),
    }[kind]
    solver = fi.TwinSolver(forward, network=fi.TwinNetwork(max_iter=20), random_state=0).fit(X, y)
    assert solver.problem_.function.code is None
    targets = np.vstack([y[:20], [[np.nan, 0, 0]]])
    solutions = solver.solve(targets)
    images = solutions.x[:20] @ matrix
    again = residuals(solver, images, y[:20, None])
    np.testing.assert_allclose(solutions.residual[:20], again, atol=1e-12)
    assert (solutions.status[20] == fi.Status.INVALID).all()
    assert rmse(solutions.residual[:20, 0], 3) < 0.02


@pytest.mark.parametrize("pairs", [fi.NearPairs(pairs_per_epoch=6400), QUICK["pairs"]])
def test_a_callable_gives_what_the_compiled_formula_gives(arm, pairs):
    options = {"bounds": arm.bounds, "random_state": 0, "refine": False, **QUICK, "pairs": pairs}
    called = fi.TwinSolver(lambda x: arm.forward(x), **options).fit()
    compiled = fi.TwinSolver(arm.forward, **options).fit()
    _, y = arm.sample(50, random_state=8)
    if isinstance(pairs, fi.NearPairs):
        assert_same(called.solve(y), compiled.solve(y))
    else:  # the pairs were polished by NumPy and by the extension, which round differently
        found, expected = called.solve(y), compiled.solve(y)
        np.testing.assert_allclose(found.x, expected.x, rtol=0, atol=1e-8)
        np.testing.assert_array_equal(found.anchor, expected.anchor)


@pytest.mark.parametrize("solver_class", [fi.TwinSolver, fi.NearestSolver, fi.DirectSolver])
def test_backends_agree(arm, solver_class):
    small = {"n_anchors": 60, "random_state": 0, "refine": False}
    if solver_class is not fi.DirectSolver:
        small["anchor_choice"] = "nearest"
    if solver_class is fi.TwinSolver:
        small["network"] = fi.TwinNetwork((8,), max_iter=2)
        small["pairs"] = fi.SolvedPairs(pairs_per_epoch=512)
    if solver_class is fi.DirectSolver:
        small["network"] = fi.MLPRegressor((8,), max_iter=3, n_iter_no_change=None)
    _, y = arm.sample(30, random_state=9)
    y[4] = np.nan
    fitted = [
        solver_class(arm.forward, bounds=arm.bounds, backend=backend, **small).fit()
        for backend in ("cpp", "reference")
    ]
    compiled, reference = (solver.solve(y) for solver in fitted)
    np.testing.assert_allclose(compiled.residual, reference.residual, rtol=0.05, atol=2e-3)


def test_anchors_given_separately(arm):
    X, y = arm.sample(200, random_state=10)
    more, images = arm.sample(50, random_state=11)
    options = {
        "random_state": 0,
        "network": fi.TwinNetwork(max_iter=2),
        "pairs": fi.SolvedPairs(pairs_per_epoch=512),
    }
    known = fi.TwinSolver(arm.forward, bounds=arm.bounds, **options).fit(anchors=more)
    np.testing.assert_array_equal(known.anchors_x_, more)
    np.testing.assert_allclose(known.anchors_y_, images)
    learned = fi.TwinSolver(SMALL, **options).fit(X, y, anchors=(more, images))
    np.testing.assert_array_equal(learned.anchors_y_, images)
    assert learned.solve(y[:5]).anchor.max() < 50


def test_anchors_outside_the_bounds_are_no_solutions(arm):
    X, _ = arm.sample(300, random_state=12)
    half = np.array([[0.0, np.pi / 2]] * 2)
    solver = fi.NearestSolver(arm.forward, bounds=half).fit(X)
    assert 0 < len(solver.anchors_x_) < 300
    assert (solver.anchors_x_ >= 0).all()
    with pytest.raises(ValueError, match="bounds must contain anchors, got none of 300 inside"):
        fi.NearestSolver(arm.forward, bounds=half + 10).fit(X)


def test_near_prefers_the_branch_of_a_state(arm, twin):
    x, y = arm.sample(300, random_state=13)
    chosen = np.abs(x[:, 1]) > 0.6
    x, y = x[chosen], y[chosen]
    solutions = twin.solve(y, 3, near=x)
    assert solutions.x.shape == (len(y), 3, 2)
    first = solutions.status[:, 0] == fi.Status.CONVERGED
    assert first.mean() > 0.9
    with_state = np.abs(solutions.best - x)[first].max(axis=1) < 0.1
    without = np.abs(twin.solve(y, 3).best - x)[first].max(axis=1) < 0.1
    assert with_state.mean() > 0.9 > without.mean() + 0.1
    for state in ([0.9, -1.2], [-0.3, 1.2]):  # the same target, by symmetry
        one = twin.solve(arm.forward([[-0.3, 1.2]]), near=state)
        assert np.abs(one.best - state).max() < 0.05


def test_shapes_of_targets(arm, twin):
    _, y = arm.sample(4, random_state=14)
    assert twin.solve(y).x.shape == (4, 5, 2)
    assert twin.solve(y[0]).x.shape == (1, 5, 2)
    assert_same(twin.solve(y[0]), twin.solve(y), slice(0, 1))
    assert twin.solve(y, 9).x.shape == (4, 9, 2)
    assert twin.solve(y[:0]).x.shape == (0, 5, 2)
    cubic = fi.problems.cubic
    lookup = fi.NearestSolver(cubic.forward, bounds=cubic.bounds, random_state=0).fit()
    assert lookup.solve([0.1, 0.2, 0.3]).x.shape == (3, 5, 1)
    assert lookup.solve(0.1).x.shape == (1, 5, 1)


@settings(max_examples=25, deadline=None)
@given(
    n=st.sampled_from([1, 7, 33]),
    bad=st.sampled_from([np.nan, np.inf, -np.inf, 1e300, 1e9]),
    seed=st.integers(0, 99),
)
def test_a_bad_target_marks_its_own_row_alone(twin, arm, n, bad, seed):
    _, y = arm.sample(n, random_state=seed)
    clean = twin.solve(y)
    row = seed % n
    y[row, seed % 2] = bad
    solutions = twin.solve(y)
    others = np.arange(n) != row
    assert_same(solutions[others], clean, others)
    expected = fi.Status.UNREACHABLE if np.isfinite(bad) else fi.Status.INVALID
    assert (solutions.status[row] == expected).all()
    if expected == fi.Status.INVALID:
        assert np.isnan(solutions.x[row]).all()
        assert np.isinf(solutions.residual[row]).all()
        assert (solutions.anchor[row] == -1).all()


def test_unreachable_targets_of_the_arm(twin):
    solutions = twin.solve([[2.5, 0.0], [0.0, -3.0], [1.5, 0.6]])
    assert (solutions.status[:2] == fi.Status.UNREACHABLE).all()
    assert solutions.status[2, 0] == fi.Status.CONVERGED
    assert (solutions.residual[0] >= 0.5).all()


def test_the_seed_decides_and_threads_do_not(arm):
    _, y = arm.sample(100, random_state=15)
    options = {"bounds": arm.bounds, **QUICK, "network": fi.TwinNetwork((48, 48), max_iter=3)}
    first = fi.TwinSolver(arm.forward, random_state=3, n_threads=1, **options).fit().solve(y)
    again = fi.TwinSolver(arm.forward, random_state=3, n_threads=2, **options).fit().solve(y)
    assert_same(first, again)
    other = fi.TwinSolver(arm.forward, random_state=4, **options).fit().solve(y)
    assert (other.x != first.x).any()


@pytest.mark.parametrize("isa", _core.isas())
def test_a_forced_instruction_set_serves_the_whole_solver(isa, arm):
    script = (
        "import fastinv as fi; from fastinv import _core; p = fi.problems.cubic;"
        "s = fi.TwinSolver(p.forward, bounds=p.bounds, random_state=0,"
        "network=fi.TwinNetwork(max_iter=3),"
        "pairs=fi.SolvedPairs(pairs_per_epoch=2560)).fit();"
        "print(_core.default_isa(), s.solve(0.2).residual[0, 0] < 0.05)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"FASTINV_ISA": isa}, capture_output=True, text=True
    )
    assert done.stdout.split() == [isa, "True"], done.stderr


def test_an_unknown_instruction_set_is_refused():
    script = "import fastinv as fi; fi.KDTree([[0.0]])"
    done = subprocess.run(
        [sys.executable, "-c", script], env={"FASTINV_ISA": "mmx"}, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "instruction set 'mmx' is not available; this machine has: baseline" in done.stderr


def test_eight_threads_at_once_give_the_answers_of_one(arm, twin):
    batches = [arm.sample(40, random_state=20 + i)[1] for i in range(8)]
    expected = [twin.solve(y) for y in batches]
    found = [[] for _ in batches]
    together = threading.Barrier(8)

    def work(i):
        together.wait()
        for _ in range(20):
            found[i].append(twin.solve(batches[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answers, right in zip(found, expected, strict=True):
        assert len(answers) == 20
        for answer in answers:
            assert_same(answer, right)


def test_pickle_and_clone(arm, twin):
    _, y = arm.sample(10, random_state=30)
    again = pickle.loads(pickle.dumps(twin))
    assert_same(again.solve(y), twin.solve(y))
    fresh = clone(twin)
    assert fresh.get_params().keys() == twin.get_params().keys()
    assert fresh.forward is twin.forward
    with pytest.raises(NotFittedError, match="this TwinSolver is not fitted yet"):
        fresh.solve(y)


def test_solutions_by_row(twin, arm):
    _, y = arm.sample(6, random_state=32)
    solutions = twin.solve(y)
    assert len(solutions) == 6
    assert solutions.n_solutions == 5
    np.testing.assert_array_equal(solutions.best, solutions.x[:, 0])
    np.testing.assert_array_equal(solutions[2].x[0], solutions.x[2])
    np.testing.assert_array_equal(solutions[-1].targets[0], y[5])
    assert [len(row) for row in solutions] == [1] * 6
    assert repr(solutions).startswith("Solutions: 6 targets, 5 each, x in R^2\nbest: ")
    assert repr(solutions[:0]) == "Solutions: 0 targets, 5 each, x in R^2"
    with pytest.raises(IndexError, match="target 6 is out of range for 6 targets"):
        solutions[6]
    y[:] = 0.0
    assert (solutions.targets != 0.0).any()


def test_every_status_says_what_it_means():
    assert [status.value for status in fi.Status] == list(range(6))
    assert all(len(status.description) > 20 for status in fi.Status)


X2, Y2 = np.random.default_rng(61).normal(size=(2, 20, 2))
BAD_FITS = {
    "nothing known": (fi.TwinSolver(), (), {}, "fit requires y to be passed, but the target y"),
    "no bounds": (fi.TwinSolver(lambda x: x), (), {}, "bounds must be given where fit gets no"),
    "y without X": (fi.TwinSolver(), (None, Y2), {}, "X must be given together with y"),
    "bounds of another shape": (
        fi.TwinSolver(bounds=[(0, 1)]), (X2, Y2), {}, r"bounds must have shape \(2, 2\)"),
    "lengths": (fi.TwinSolver(), (X2, Y2[:5]), {}, "20 and 5 rows"),
    "empty": (fi.TwinSolver(), (X2[:0], Y2[:0]), {}, "0 sample"),
    "NaN in X": (
        fi.TwinSolver(), (np.where(X2[3, 0] == X2, np.nan, X2), Y2), {},
        "X must be finite, got NaN or infinity .inf. in 1 of 20 rows, the first is row 3"),
    "infinity in y": (
        fi.TwinSolver(), (X2, np.where(Y2[7, 1] == Y2, np.inf, Y2)), {},
        "y must be finite, got NaN or infinity .inf. in 1 of 20 rows, the first is row 7"),
    "n < k": (
        fi.TwinSolver(n_candidates=50), (X2, Y2), {},
        "n_candidates must be at most the number of anchors, 20, got 50"),
    "anchors without y": (
        fi.TwinSolver(), (X2, Y2), {"anchors": X2}, r"anchors must be a tuple \(X, y\)"),
    "anchors of other columns": (
        fi.TwinSolver(), (X2, Y2), {"anchors": (X2[:, :1], Y2)},
        "anchors must have 2 inputs each, got 1"),
    "f undefined at an anchor": (
        fi.TwinSolver(lambda x: np.where(x > 1.0, np.nan, x)), (np.eye(2) * [[1], [2]],), {},
        "must be finite at every anchor, got NaN or infinity in 1 of 2 rows, the first is row 1"),
    "f undefined everywhere": (
        fi.TwinSolver(lambda x: x * np.nan, bounds=[(0, 1)]), (), {},
        "must be finite inside bounds"),
    "residual_tol": (
        fi.TwinSolver(residual_tol=-1.0), (X2, Y2), {}, "residual_tol must be .*got -1.0"),
    "error_tol": (
        fi.TwinSolver(error_tol=[1.0, 1.0, 1.0]), (X2, Y2), {},
        r"error_tol must be one number or one per output, of shape \(2,\), got \(3,\)"),
    "negative error_tol": (
        fi.TwinSolver(error_tol=-0.1), (X2, Y2), {}, "error_tol must be at least 0 .*got -0.1"),
    "y_scale": (
        fi.TwinSolver(y_scale=0.0), (X2, Y2), {}, "y_scale must be positive and finite, got 0"),
    "radius": (
        fi.TwinSolver(lambda x: x, bounds=[(0, 1)], pairs=fi.SolvedPairs(radius=0.0)), (), {},
        "radius must be positive and finite"),
    "pairs_per_epoch": (
        fi.TwinSolver(lambda x: x, bounds=[(0, 1)], pairs=fi.SolvedPairs(pairs_per_epoch=0)),
        (), {},
        "pairs_per_epoch must be .*got 0"),
    "n_anchors": (
        fi.TwinSolver(lambda x: x, bounds=[(0, 1)], n_anchors=0), (), {}, "n_anchors must be"),
    "backend": (
        fi.TwinSolver(backend="cuda"), (X2, Y2), {}, "cuda"),
    "n_threads": (fi.TwinSolver(n_threads=0), (X2, Y2), {}, "n_threads must be"),
    "checkpoint without a seed": (
        fi.TwinSolver(network=fi.TwinNetwork(checkpoint="x")), (X2, Y2), {},
        "checkpoint needs a random_state"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FITS)
def test_bad_input_to_fit(name):
    solver, arguments, options, message = BAD_FITS[name]
    with pytest.raises(ValueError, match=message):
        solver.fit(*arguments, **options)


def test_constant_columns_warn():
    X = np.column_stack([X2, np.ones(20)])
    with pytest.warns(UserWarning, match="X is constant in column 2: nothing can be learned"):
        solver = fi.TwinSolver(SMALL, network=fi.TwinNetwork(max_iter=2), random_state=0).fit(X, Y2)
    assert np.isfinite(solver.solve(Y2[:3]).x).all()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([[1.0, 2.0, 3.0]],), {}, r"y must have shape \(n, 2\) or \(2,\), got shape \(1, 3\)"),
        ((1.0,), {}, r"y must have shape \(n, 2\)"),
        (([1.0, 1.0], 0), {}, "k must be"),
        (([1.0, 1.0], 5000), {}, "k must be at most the number of anchors, 1000, got 5000"),
        (([1.0, 1.0],), {"near": [1.0]}, r"near must have shape \(2,\) or \(1, 2\), got \(1,\)"),
    ],
)
def test_bad_input_to_solve(twin, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        twin.solve(*arguments, **options)


def test_a_direct_network_has_one_solution(arm):
    direct = fi.DirectSolver(arm.forward, bounds=arm.bounds, random_state=0)
    direct.set_params(network__max_iter=5).fit()
    _, y = arm.sample(7, random_state=33)
    y[3] = np.nan
    solutions = direct.solve(y)
    assert solutions.x.shape == (7, 1, 2)
    assert (solutions.anchor == -1).all()
    assert (solutions.status[3] == fi.Status.INVALID).all()
    finite = np.arange(7) != 3
    true = residuals(direct, arm.forward(solutions.best[finite]), y[finite])
    np.testing.assert_allclose(solutions.residual[finite, 0], true, rtol=1e-13)
    with pytest.raises(ValueError, match="k must be 1: a direct network has one candidate"):
        direct.solve(y, 2)


def parabola(x):
    return x**2


LINE = np.linspace(-2.0, 2.0, 41)[:, None]


@pytest.mark.parametrize("backend", ["cpp", "reference"])
def test_residuals_are_those_of_f_whatever_y_was_given(backend):
    wrong = LINE**2 + 0.5
    solvers = [
        fi.NearestSolver(parabola, backend=backend).fit(anchors=(LINE, wrong)),
        fi.NearestSolver(parabola, backend=backend).fit(LINE, wrong),
        fi.TwinSolver(
            parabola, backend=backend, network=fi.TwinNetwork(max_iter=1), random_state=0
        ).fit(LINE, wrong),
    ]
    for solver in solvers:
        solutions = solver.solve([0.9, 2.3])
        again = residuals(solver, solutions.x**2, [[[0.9]], [[2.3]]])
        np.testing.assert_allclose(solutions.residual, again, atol=1e-14)


@pytest.mark.parametrize("backend", ["cpp", "reference"])
def test_the_solver_keeps_its_own_anchors(backend):
    X = LINE.copy()
    solver = fi.NearestSolver(parabola, backend=backend).fit(X)
    before = solver.solve(1.0)
    X[:] = 7.0
    assert_same(solver.solve(1.0), before)
    with pytest.raises(ValueError, match="read-only"):
        solver.anchors_x_[0] = 7.0


def test_fewer_solutions_are_the_best_of_all_candidates(arm, twin):
    _, y = arm.sample(50, random_state=40)
    all_of_them, one = twin.solve(y), twin.solve(y, 1)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(one, field), getattr(all_of_them, field)[:, :1])


def test_coverage_is_how_far_attainable_targets_are_from_anchors():
    grid = np.linspace(0.0, 1.0, 11)[:, None]
    by_formula = fi.NearestSolver(lambda x: x, bounds=[(0, 1)], random_state=0).fit(grid)
    assert 0.045 < by_formula.options_.coverage * by_formula.y_scale_[0] / 1.5 <= 0.05
    data = np.array([[0.0], [0.1], [0.3], [0.7]])
    for repeated in (data, np.repeat(data, 2, axis=0)):
        solver = fi.NearestSolver(SMALL, n_candidates=1).fit(repeated, repeated)
        assert solver.options_.coverage * data.std() == pytest.approx(1.5 * 0.4)
    assert (by_formula.solve([0.5, 0.55]).status[:, 0] != fi.Status.UNREACHABLE).all()
    assert (by_formula.solve([1.2, -3.0]).status == fi.Status.UNREACHABLE).all()


def test_near_is_measured_in_the_units_of_each_input():
    """x = (1, 0.01) or (1.2, 0): the first input varies over 10, the second over 0.01."""
    X = np.array([[1.0, 0.01], [1.2, 0.0], [-5.0, 0.0], [5.0, 0.005]])
    solver = fi.NearestSolver(lambda x: 0 * x[:, :1], n_candidates=4).fit(X)
    assert solver.solve(0.0, near=[1.0, 0.001]).best.tolist() == [[1.2, 0.0]]
    constant = np.column_stack([[-1.011, 1.014, 3.0], [0.1, 0.1, 0.1]])
    solver = fi.NearestSolver(lambda x: 0 * x[:, :1], n_candidates=3).fit(constant)
    assert solver.solve(0.0, near=[1.0, 0.2]).best.tolist() == [[1.014, 0.1]]


def test_an_extrapolation_is_trusted_only_where_its_residual_is_exact(arm, twin):
    """How ranking treats it is tested with the pipeline."""
    X, y = arm.sample(50, random_state=41)
    learned = fi.TwinSolver(LinearRegression(), random_state=0)
    learned.set_params(network__max_iter=3).fit(X, y)
    assert not learned.options_.trust_residual
    assert twin.options_.trust_residual


def test_a_prediction_beyond_the_bounds_is_marked():
    X = np.linspace(0.0, 1.0, 50)[:, None]
    solver = fi.DirectSolver(lambda x: 2 * x, bounds=[(0, 1)], random_state=0)
    solver.set_params(network__hidden_layer_sizes=(), network__max_iter=60).fit(X)
    solutions = solver.solve([1.0, 2.019])
    assert solutions.status[1, 0] == fi.Status.OUT_OF_BOUNDS
    assert solutions.x[1, 0, 0] == 1.0
    assert solutions.status[0, 0] != fi.Status.OUT_OF_BOUNDS


def test_tolerances_follow_tiny_targets():
    solver = fi.NearestSolver(
        lambda x: 1e-170 * x, bounds=[(-1, 1)], anchor_choice="nearest", random_state=0
    ).fit()
    assert 5e-171 < solver.y_scale_[0] < 6.5e-171
    assert solver.residual_tol_ == 1e-3
    found = solver.solve([3.3e-171, 1e-169], 1)
    assert found.status.ravel().tolist() == [fi.Status.CONVERGED, fi.Status.UNREACHABLE]
    np.testing.assert_allclose(
        found.residual[:, 0], np.abs(found.error[:, 0, 0]) / solver.y_scale_[0], rtol=1e-12
    )


def test_many_inputs():
    solver = fi.TwinSolver(
        lambda x: x[:, :2], bounds=[(0, 1)] * 400, n_anchors=30, random_state=0,
        network=fi.TwinNetwork((4,), max_iter=1),
        pairs=fi.SolvedPairs(n_pairs=256, pairs_per_epoch=256),
    ).fit()  # fmt: skip
    assert np.isfinite(solver.solve([0.5, 0.5]).residual).all()


@pytest.mark.parametrize("backend", ["cpp", "reference"])
@pytest.mark.parametrize("near", [None, [0.2, 0.9]])
def test_solutions_are_written_to(arm, backend, near):
    solver = fi.NearestSolver(arm.forward, bounds=arm.bounds, backend=backend, random_state=0).fit()
    out = solver.solve(arm.sample(7, random_state=50)[1])
    arrays = [getattr(out, field) for field in ("targets", *FIELDS)]
    _, y = arm.sample(7, random_state=51)
    y[2] = np.nan
    assert solver.solve(y, near=near, out=out) is out
    assert_same(out, solver.solve(y, near=near))
    np.testing.assert_array_equal(out.targets, y)
    kept = [getattr(out, field) for field in ("targets", *FIELDS)]
    assert all(a is b for a, b in zip(arrays, kept, strict=True))


def test_solutions_that_cannot_be_written_to(arm, twin):
    _, y = arm.sample(4, random_state=52)
    good = twin.solve(y)

    def other(**changes):
        arrays = {field: getattr(good, field) for field in ("targets", *FIELDS)}
        return fi.Solutions(**{**arrays, **changes})

    refused = [
        (TypeError, "out must be a Solutions, got ndarray", good.x),
        (ValueError, r"out.targets must have shape \(4, 2\), got \(3, 2\)", good[:3]),
        (ValueError, r"out.x must have shape \(4, 5, 2\), got \(4, 3, 2\)", twin.solve(y, 3)),
        (TypeError, "out.anchor must have dtype int64, got int32",
         other(anchor=good.anchor.astype(np.int32))),
        (TypeError, "out.residual must be a NumPy array, got list",
         other(residual=good.residual.tolist())),
        (ValueError, "out.x must be C-contiguous, aligned and writeable",
         other(x=np.asfortranarray(good.x))),
        (ValueError, "out.targets must be C-contiguous, aligned and writeable",
         other(targets=np.broadcast_to(good.targets[:1], (4, 2)))),
    ]  # fmt: skip
    for error, message, out in refused:
        with pytest.raises(error, match=message):
            twin.solve(y, out=out)


def test_solutions_are_frozen(arm, twin):
    solutions = twin.solve(arm.forward([0.3, 0.7]))
    with pytest.raises(AttributeError, match="cannot assign to field 'x'"):
        solutions.x = solutions.x
