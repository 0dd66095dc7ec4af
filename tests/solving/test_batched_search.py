"""The search where only Python can evaluate f: against the compiled one, and its calls of f."""

from dataclasses import replace

import numpy as np
import pytest
from chains import BACKENDS, CPP, REFERENCE, Setup, assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinv as fi
from fastinv.backends import get_backend
from fastinv.functions import CallableFunction, SearchStatus, Status

TURN = 2 * np.pi


@fi.forward(n_inputs=1, n_outputs=1)
def square(x, y):
    y[0] = x[0] * x[0]


@fi.forward(n_inputs=2, n_outputs=2)
def elbow(x, y):
    y[0] = np.cos(x[0]) + 0.7 * np.cos(x[0] + x[1])
    y[1] = np.sin(x[0]) + 0.7 * np.sin(x[0] + x[1])


@fi.forward(n_inputs=2, n_outputs=2)
def swirl(x, y):
    """One to five solutions."""
    y[0] = np.sin(2.0 * x[0]) + x[1] ** 3 - x[1]
    y[1] = x[0] * x[1] + 0.5 * x[0]


@fi.forward(n_inputs=2, n_outputs=3)
def overdetermined(x, y):
    y[0] = x[0] ** 2
    y[1] = x[1]
    y[2] = x[0] ** 2 * x[1]


@fi.forward(n_inputs=3, n_outputs=2)
def underdetermined(x, y):
    y[0] = x[0] ** 2 + x[1]
    y[1] = x[2] + x[0] * x[1]


class Watched:
    """A formula as a callable that counts the rows of its calls. NumPy alone computes f: no row
    depends on how many there are."""

    def __init__(self, function):
        self.function, self.rows_of_calls = function, []

    def __call__(self, X):
        assert np.isfinite(X).all()
        self.rows_of_calls.append(len(X))
        return self.function(X)


def setup_of(f, bounds, *, n_anchors=80, seed=0, **changes):
    p = f.n_inputs
    lower, upper = bounds
    rng = np.random.default_rng([72, seed])
    anchors_x = rng.uniform([lower] * p, [upper] * p, size=(n_anchors, p))
    given = {"lower": lower, "upper": upper, "tol": 1e-9, "max_evaluations": 400} | changes
    return Setup(anchors_x, f(anchors_x), f, **given)


def in_python(setup):
    watched = Watched(setup.function)
    return replace(setup, function=CallableFunction(watched, setup.p, setup.q)), watched


def targets_of(setup, n, seed=0):
    """Most of them attainable; some are far off, some are NaN."""
    rng = np.random.default_rng([73, seed])
    y = setup.function(rng.uniform(setup.lower, setup.upper, size=(n, setup.p)))
    y[rng.random(n) < 0.1] *= 40.0
    y[rng.random(n) < 0.1] = np.nan
    return y


def solve_all(backend, setup, targets, *, k=8, n_starts=24):
    found = setup.search(backend).solve_all(setup.goal(targets), k=k, n_starts=n_starts)
    return found.ranked, found.n_found


SETUPS = {
    "square": setup_of(square, (-2.0, 3.0)),
    "elbow": setup_of(elbow, (-np.pi, np.pi), periods=TURN),
    "elbow, bounded": setup_of(elbow, (-2.0, 2.0), scale=1.2),
    "swirl": setup_of(swirl, (-1.5, 1.5), n_anchors=400, scale=0.8),
    "overdetermined": setup_of(overdetermined, (-2.0, 2.0)),
}


def assert_alike(found, count, wanted, wanted_count):
    np.testing.assert_array_equal(count, wanted_count)
    np.testing.assert_array_equal(found.status, wanted.status)
    solved = count > 0
    np.testing.assert_allclose(found.x[solved], wanted.x[solved], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.residual, wanted.residual, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("case", SETUPS)
def test_it_finds_what_the_compiled_search_finds(case):
    setup = SETUPS[case]
    targets = targets_of(setup, 200)
    slow, _ = in_python(setup)
    backend = get_backend("cpp")
    found, wanted = (solve_all(backend, which, targets) for which in (slow, setup))
    assert_alike(*found, *wanted)
    assert (found[1] > 0).mean() > 0.5
    assert (found[1] == 0).any()
    assert ((found[0].anchor >= 0) == np.isfinite(found[0].residual)).all()


@pytest.mark.parametrize("case", ["square", "elbow"])
def test_the_reference_searches_too(case):
    setup = SETUPS[case]
    targets = targets_of(setup, 7)
    slow, _ = in_python(setup)
    found, wanted = (solve_all(REFERENCE, which, targets) for which in (slow, setup))
    assert_alike(*found, *wanted)


def test_of_sets_it_finds_as_many_members_as_the_compiled_search():
    setup = setup_of(underdetermined, (-1.0, 1.0))
    slow, _ = in_python(setup)
    goal = setup.goal(targets_of(setup, 20))
    found, wanted = (
        which.search(get_backend("cpp")).solve_all(goal, k=16, n_starts=24)
        for which in (slow, setup)
    )
    np.testing.assert_array_equal(found.n_found, wanted.n_found)
    np.testing.assert_array_equal(found.ended, wanted.ended)
    assert found.n_found.max() == 8
    assert (found.ended[found.n_found > 0] == SearchStatus.SET).all()
    solved = np.arange(16) < found.n_found[:, None]
    targets = np.repeat(goal.targets[:, None], 16, axis=1)[solved]
    np.testing.assert_allclose(underdetermined(found.ranked.x[solved]), targets, atol=1e-9)


@fi.forward(n_inputs=1, n_outputs=1)
def fifth_power(x, y):
    y[0] = x[0] ** 5


@fi.forward(n_inputs=2, n_outputs=2)
def line_of_roots(x, y):
    y[0] = (x[0] - 0.3) * (x[0] + 0.6)
    y[1] = (x[0] - 0.3) * x[1]


@pytest.mark.parametrize(
    ("f", "target", "status", "x"),
    [
        (fifth_power, [0.0], SearchStatus.ENDED, [[0.0]]),
        (fifth_power, [2.0**5], SearchStatus.ENDED, [[2.0]]),
        (square, [0.0], SearchStatus.ENDED, [[0.0]]),
        (square, [1e-10], SearchStatus.ENDED, [[-1e-5], [1e-5]]),
        (line_of_roots, [0.0, 0.0], SearchStatus.SET, None),
        (line_of_roots, [1.0, 2.0], SearchStatus.ENDED, None),
    ],
)
def test_multiple_roots_and_sets_are_what_they_are_to_the_compiled_search(f, target, status, x):
    setup = setup_of(f, (-3.0, 3.0), n_anchors=200)
    slow, _ = in_python(setup)
    goal = setup.goal([target])
    found, wanted = (
        which.search(get_backend("cpp")).solve_all(goal, k=16, n_starts=24)
        for which in (slow, setup)
    )
    assert found.ended.tolist() == wanted.ended.tolist() == [status]
    if status == SearchStatus.ENDED:
        assert found.n_found.tolist() == wanted.n_found.tolist()
        atol = 1e-3 if f is fifth_power else 1e-7
        count = found.n_found[0]
        np.testing.assert_allclose(found.ranked.x[0, :count], wanted.ranked.x[0, :count], atol=atol)
        if x is not None:
            np.testing.assert_allclose(found.ranked.x[0, :count], x, atol=atol)
    else:
        assert 1 < found.n_found[0] <= 9


def test_errors_that_the_user_allows_need_no_root():
    setup = SETUPS["square"]
    slow, _ = in_python(setup)
    goal = replace(setup.goal([[-0.01], [-0.2], [1.0]]), tol=np.inf, error_tol=np.array([0.1]))
    goal.root = False
    found, wanted = (
        which.search(get_backend("cpp")).solve_all(goal, k=4, n_starts=24)
        for which in (slow, setup)
    )
    np.testing.assert_array_equal(found.n_found, wanted.n_found)
    assert found.n_found.tolist() == [1, 0, 2]


def test_no_more_than_k():
    slow, _ = in_python(SETUPS["square"])
    found, count = solve_all(get_backend("cpp"), slow, np.array([[1.0], [2.0]]), k=1)
    assert count.tolist() == [1, 1]
    assert found.x.shape == (2, 1, 1)


@settings(max_examples=15, deadline=None)
@given(
    case=st.sampled_from(list(SETUPS)),
    n=st.sampled_from([0, 1, 7, 33]),
    seed=st.integers(0, 99),
)
def test_the_bits_do_not_depend_on_the_other_targets(case, n, seed):
    setup = SETUPS[case]
    targets = targets_of(setup, n, seed)
    slow, _ = in_python(setup)
    found, count = solve_all(get_backend("cpp"), slow, targets)
    for row in range(n):
        alone, alone_count = solve_all(get_backend("cpp"), slow, targets[row : row + 1])
        assert_same_bits(alone, found, slice(row, row + 1))
        assert alone_count[0] == count[row]


def test_blocks_do_not_change_the_bits(monkeypatch):
    setup = SETUPS["swirl"]
    slow, _ = in_python(setup)
    targets = targets_of(setup, 33)
    whole, count = solve_all(get_backend("cpp"), slow, targets)
    monkeypatch.setattr("fastinv.backends.batched.search._NUMBERS_AT_A_TIME", 1000)
    monkeypatch.setattr("fastinv.backends.batched.starts._NUMBERS_AT_A_TIME", 5000)
    monkeypatch.setattr("fastinv.backends.batched.starts._ROWS_AT_A_TIME", 30)
    parts, parts_count = solve_all(get_backend("cpp"), slow, targets)
    assert_same_bits(parts, whole)
    np.testing.assert_array_equal(parts_count, count)


def test_a_thousand_targets_cost_about_as_many_calls_as_one():
    setup = SETUPS["swirl"]
    slow, watched = in_python(setup)
    search = slow.search(get_backend("cpp"))
    assert watched.rows_of_calls == []  # derivatives at the anchors are for the first search
    targets = swirl(np.random.default_rng(74).uniform(-1.5, 1.5, size=(1000, 2)))
    search.solve_all(slow.goal(targets), k=8, n_starts=24)
    assert watched.rows_of_calls[0] == 2 * 2 * 400
    first, calls_of_many = watched.rows_of_calls[0], len(watched.rows_of_calls)
    watched.rows_of_calls.clear()
    search.solve_all(slow.goal(targets[:1]), k=8, n_starts=24)
    assert first not in watched.rows_of_calls  # once for all
    assert calls_of_many < 6 * len(watched.rows_of_calls)
    assert calls_of_many < 500


def test_with_a_jacobian_f_is_not_called_for_differences():
    def slopes(X):
        asked.append(len(X))
        a, b = X.T
        rows = [2 * np.cos(2 * a), 3 * b**2 - 1, b + 0.5, a]
        return np.stack(rows, axis=1).reshape(-1, 2, 2)

    asked = []
    setup = SETUPS["swirl"]
    slow, watched = in_python(setup)
    targets = targets_of(setup, 50)
    wanted = solve_all(get_backend("cpp"), slow, targets)
    n_rows = sum(watched.rows_of_calls)
    watched.rows_of_calls.clear()
    given = replace(slow, function=CallableFunction(watched, 2, 2, jacobian=slopes))
    found = solve_all(get_backend("cpp"), given, targets)
    assert_alike(*found, *wanted)
    assert asked[0] == 400
    assert sum(watched.rows_of_calls) < 0.5 * n_rows


@pytest.mark.parametrize("name", BACKENDS)
def test_a_path_keeps_to_its_branch(name):
    setup, watched = in_python(setup_of(elbow, (-np.pi, np.pi), periods=TURN))
    angles = np.stack([np.linspace(-2, 8, 50), np.full(50, 1.0)], axis=1)[22:30]
    targets = elbow(angles)
    targets[5] = np.nan
    path = setup.search(BACKENDS[name]).solve_path(setup.goal(targets), angles[0], n_starts=24)
    usable = np.arange(len(angles)) != 5
    assert (path.status[usable] == Status.CONVERGED).all()
    assert path.status[5] == Status.INVALID
    assert not path.jumped.any()
    turns = np.round((path.x - angles) / TURN)
    np.testing.assert_allclose((path.x - TURN * turns)[usable], angles[usable], atol=1e-9)
    assert 2 * 2 * 80 not in watched.rows_of_calls  # it never had to search


@pytest.mark.parametrize("name", BACKENDS)
def test_a_path_jumps_where_its_branch_ends(name):
    setup, _ = in_python(setup_of(square, (-1.0, 3.0)))
    goal = setup.goal([0.25, 0.81, 1.21, 1.44, 9.61, 0.25])
    path = setup.search(BACKENDS[name]).solve_path(goal, np.array([-0.4]), n_starts=24)
    assert path.jumped.tolist() == [False, False, True, False, False, False]
    np.testing.assert_allclose(path.x[:, 0], [-0.5, -0.9, 1.1, 1.2, 1.2, 0.5], atol=1e-12)
    compiled = setup_of(square, (-1.0, 3.0)).search(CPP["avx2" if "avx2" in CPP else "generic"])
    other = compiled.solve_path(goal, np.array([-0.4]), n_starts=24)
    np.testing.assert_array_equal(path.status, other.status)


def test_where_f_has_no_image_only_those_starts_are_lost():
    def with_a_hole(X):
        return np.where(X[:, :1] > 0.0, np.nan, X**2)

    rng = np.random.default_rng(75)
    anchors = rng.uniform(-2.0, 0.0, size=(40, 1))
    setup = Setup(
        anchors, anchors**2, CallableFunction(with_a_hole, 1, 1), lower=-2.0, upper=2.0, tol=1e-9
    )
    found, count = solve_all(get_backend("cpp"), setup, np.array([[1.0], [1e-6], [3.0]]))
    assert count.tolist() == [1, 1, 1]
    np.testing.assert_allclose(found.x[:, 0, 0], -np.sqrt([1.0, 1e-6, 3.0]), atol=1e-9)


def test_what_f_raises_reaches_the_caller_and_the_search_goes_on_later():
    class Moody:
        fails = False

        def __call__(self, X):
            if self.fails:
                raise ZeroDivisionError("of f")
            return square(X)

    setup = SETUPS["square"]
    goal = setup.goal([[1.0], [6.0]])
    for n_good in (0, 1):  # in its first search, and in a later one
        f = Moody()
        search = replace(setup, function=CallableFunction(f, 1, 1)).search(get_backend("cpp"))
        for _ in range(n_good):
            search.solve_all(goal, k=4, n_starts=24)
        f.fails = True
        for call in (
            lambda search: search.solve_all(goal, k=4, n_starts=24),
            lambda search: search.solve_path(goal, np.array([0.5]), n_starts=24),
            lambda search: search.polish(goal, np.array([[0.5], [0.6]])),
        ):
            with pytest.raises(ZeroDivisionError, match="of f"):
                call(search)
        f.fails = False
        assert search.solve_all(goal, k=4, n_starts=24).n_found.tolist() == [2, 1]
