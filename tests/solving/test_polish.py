"""Polishing by damped Gauss-Newton, on both backends: against SciPy, and what it promises."""

import numpy as np
import pytest
from chains import CPP, REFERENCE, Setup, assert_same_bits, code_of, surface
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from fastinv.backends import get_backend

BACKENDS = {"reference": REFERENCE, "cpp": get_backend("cpp")}
ROUNDING, STATIONARY, EVALUATIONS = 0, 1, 2


def setup_of(function, p, q, **changes):
    """For a search that is only asked to polish."""
    given = {"tol": 1e-9, "max_evaluations": 400} | changes
    return Setup(np.zeros((1, p)), np.zeros((1, q)), function, **given)


def polish(backend, function, targets, starts, *, jacobian=None, **changes):
    """`function` of one x polished from `starts` ``(n, p)`` towards `targets` ``(n, q)``."""
    targets, starts = np.asarray(targets, dtype=float), np.asarray(starts, dtype=float)
    p, q = starts.shape[1], targets.shape[1]
    setup = setup_of(code_of(function, p, q, jacobian), p, q, **changes)
    return setup.search(backend).polish(setup.goal(targets), starts)


def smooth(rng, p, q, bend=0.2):
    """A random smooth f, ``A x + bend B sin(C x + d)`` with singular values of A about 1, and its
    Jacobian."""
    u, _, vt = np.linalg.svd(rng.normal(size=(q, p)), full_matrices=False)
    a = (u * rng.uniform(0.7, 1.5, size=min(p, q))) @ vt
    b, c = rng.normal(size=(q, 4)) / 2, rng.normal(size=(4, p)) / np.sqrt(p)
    d = rng.normal(size=4)

    def f(x):
        return a @ x + bend * b @ np.sin(c @ x + d)

    def jacobian(x):
        return a + bend * (b * np.cos(c @ x + d)) @ c

    return f, jacobian


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (7, 7), (2, 5), (3, 33), (5, 2), (33, 3)])
@pytest.mark.parametrize("with_jacobian", [False, True])
@pytest.mark.parametrize("bounded", [False, True])
def test_against_scipy(name, shape, with_jacobian, bounded):
    """The same least residual; at bounds, where targets lie outside of what can be reached."""
    p, q = shape
    limit = 1.0 if bounded else np.inf
    n_active = 0
    for seed in range(4):
        rng = np.random.default_rng([50, seed])
        f, jacobian = smooth(rng, p, q)
        start = rng.uniform(-0.9, 0.9, size=p)
        y = f(rng.uniform(-1.7, 1.7, size=p)) + (0.5 * rng.normal(size=q) if p < q else 0.0)
        exact = least_squares(
            lambda x, f=f, y=y: f(x) - y, start, jacobian, bounds=(-limit, limit), method="trf",
            xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=2000,
        )  # fmt: skip
        found = polish(
            BACKENDS[name], f, [y], [start], lower=-limit, upper=limit,
            jacobian=jacobian if with_jacobian else None,
        )  # fmt: skip
        least = np.sqrt(2 * exact.cost)
        assert found.residual[0] == pytest.approx(least, rel=1e-12, abs=2e-14)
        if p <= q:
            np.testing.assert_allclose(found.x[0], exact.x, atol=2e-7)
        assert found.end[0] == (ROUNDING if least < 1e-13 else STATIONARY)
        n_active += (np.abs(found.x) == limit).sum()
    assert not bounded or p == 33 or n_active > 0  # so that bounds have been put to the test


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("shape", [(2, 1), (5, 2), (33, 7)])
def test_with_more_unknowns_the_step_is_the_shortest_in_units_of_x(name, shape):
    p, q = shape
    rng = np.random.default_rng([51, p])
    a, scale = rng.normal(size=(q, p)), rng.uniform(0.2, 5.0, size=p)
    start, y = rng.normal(size=p), rng.normal(size=q)
    found = polish(BACKENDS[name], lambda x: a @ x, [y], [start], scale=scale)
    shortest = start + scale * (np.linalg.pinv(a * scale) @ (y - a @ start))
    np.testing.assert_allclose(found.x[0], shortest, rtol=0, atol=1e-8)
    assert found.residual[0] < 1e-13


@settings(max_examples=80, deadline=None)
@given(
    name=st.sampled_from(list(BACKENDS)),
    shape=st.sampled_from([(1, 1), (2, 2), (3, 2), (2, 3), (7, 7), (1, 7)]),
    bend=st.sampled_from([0.0, 1.0, 10.0]),
    cap=st.sampled_from([1, 2, 7, 33, 400]),
    with_jacobian=st.booleans(),
    reach=st.sampled_from([0.0, 1.0, 100.0]),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    seed=st.integers(0, 1000),
)
def test_what_every_polish_promises(name, shape, bend, cap, with_jacobian, reach, scale, seed):
    """Never worse than the start, inside the bounds, within the cap, x and fx of each other."""
    p, q = shape
    rng = np.random.default_rng([52, seed])
    f, jacobian = smooth(rng, p, q, bend)
    starts = rng.uniform(-1, 1, size=(3, p))
    starts[0] = np.sign(starts[0])  # in a corner
    targets = reach * rng.normal(size=(3, q))
    found = polish(
        BACKENDS[name], f, targets, starts, lower=-1.0, upper=1.0, max_evaluations=cap, scale=scale,
        jacobian=jacobian if with_jacobian else None,
    )  # fmt: skip
    before = np.linalg.norm([f(x) for x in starts] - targets, axis=1)
    assert (found.residual <= before * (1 + 1e-14)).all()
    assert (np.abs(found.x) <= 1.0).all()
    np.testing.assert_allclose(found.fx, [f(x) for x in found.x], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        found.residual, np.linalg.norm(found.fx - targets, axis=1), rtol=1e-12
    )
    one_step = (1 if with_jacobian else 2 * p) + 1
    assert (found.n_evaluations < cap + one_step).all()
    assert (found.n_evaluations >= cap)[found.end == EVALUATIONS].all()
    # Rounding of f(x) and of y, and what rounding of an x within the bounds changes on the way.
    ways = zip(starts, found.x, strict=True)
    by_x = [(np.abs(jacobian(a)) + np.abs(jacobian(b))).sum(axis=1) for a, b in ways]
    rounding = 2.3e-16 * (2 * np.abs(targets) + 2 * np.abs(found.fx) + by_x)
    within = (np.abs(found.fx - targets) <= rounding).all(axis=1)
    assert within[found.end == ROUNDING].all()


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("cap", [1, 2])
def test_without_evaluations_to_spend_a_row_stays_where_it_is(name, cap):
    """Two differences are all that the cap allows."""
    found = polish(BACKENDS[name], lambda x: x**3, [[8.0]], [[1.0]], max_evaluations=cap)
    assert found.x.tolist() == [[1.0]]
    assert found.end.tolist() == [EVALUATIONS]
    assert found.n_evaluations.tolist() == [2]


@pytest.mark.parametrize("name", BACKENDS)
def test_a_start_that_solves_costs_nothing(name):
    found = polish(BACKENDS[name], lambda x: x**2, [[4.0]], [[2.0]])
    assert [field.tolist() for field in found] == [[[2.0]], [[4.0]], [0.0], [0], [ROUNDING]]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("spoils", ["target", "start"])
def test_a_row_that_is_not_finite_leaves_the_others_alone(name, bad, spoils):
    rng = np.random.default_rng(53)
    f, _ = smooth(rng, 2, 2)
    targets, starts = rng.normal(size=(7, 2)), rng.normal(size=(7, 2))
    whole = polish(BACKENDS[name], f, targets, starts)
    assert (whole.residual < 1e-14).all()
    (targets if spoils == "target" else starts)[3, 1] = bad
    spoiled = polish(BACKENDS[name], f, targets, starts)
    others = np.arange(7) != 3
    for field in whole._fields:
        before, after = getattr(whole, field), getattr(spoiled, field)
        assert before[others].tobytes() == after[others].tobytes()
    np.testing.assert_array_equal(spoiled.x[3], starts[3])
    assert not np.isfinite(spoiled.residual[3])
    assert (spoiled.n_evaluations[3], spoiled.end[3]) == (0, STATIONARY)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    ("function", "start", "solution"),
    [
        (np.log, 3.0, 1e-4),  # the first step goes where the logarithm is NaN
        (lambda x: np.sqrt(x - 1), 5.0, 1.01),
        (lambda x: np.where(x < 1, np.inf, x**2), 9.0, 1.001),
        (np.exp, 1.0, 20.0),  # the first step goes where it overflows
    ],
)
def test_f_may_be_defined_in_a_part_of_the_box(name, function, start, solution):
    found = polish(BACKENDS[name], function, [function(np.array([solution]))], [[start]])
    np.testing.assert_allclose(found.x, [[solution]], rtol=1e-9)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_start_where_f_is_not_defined_stays(name):
    found = polish(BACKENDS[name], np.log, [[0.0], [0.0]], [[-1.0], [3.0]])
    assert found.x[0].tolist() == [-1.0]
    assert np.isnan(found.residual[0])
    assert found.n_evaluations[0] == 0
    assert found.x[1, 0] == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("start", [1.0, -3.0])
def test_double_roots(name, start):
    found = polish(BACKENDS[name], lambda x: x**2, [[0.0]], [[start]])
    assert found.residual[0] < 1e-14
    assert abs(found.x[0, 0]) < 1e-7
    unattainable = polish(BACKENDS[name], lambda x: x**2, [[-1.0]], [[start]])
    assert unattainable.residual[0] == pytest.approx(1.0, rel=1e-9)
    assert unattainable.end[0] == STATIONARY


@pytest.mark.parametrize("name", BACKENDS)
def test_a_fold_in_the_plane(name):
    found = polish(
        BACKENDS[name], lambda x: np.array([x[0] ** 2, x[0] + x[1]]), [[0.0, 1.0]], [[0.7, -0.3]]
    )
    assert found.residual[0] < 1e-14
    np.testing.assert_allclose(found.x, [[0.0, 1.0]], atol=1e-7)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (7, 7), (2, 5), (5, 2)])
@pytest.mark.parametrize("attainable", [True, False])
def test_jacobians_of_less_than_full_rank(name, shape, attainable):
    p, q = shape
    rng = np.random.default_rng([54, p, q])
    a = np.outer(rng.normal(size=q), rng.normal(size=p))
    y = a @ rng.normal(size=p) + (0.0 if attainable else rng.normal(size=q))
    start = rng.normal(size=p)
    found = polish(BACKENDS[name], lambda x: a @ x, [y], [start], jacobian=lambda x: a)
    least = np.linalg.norm(a @ np.linalg.lstsq(a, y)[0] - y)
    assert found.residual[0] == pytest.approx(least, rel=1e-9, abs=1e-12)
    assert np.isfinite(found.x).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_constant_cannot_be_improved(name):
    found = polish(BACKENDS[name], lambda x: np.ones(2), [[0.0, 1.0]], [[0.3, 0.4, 0.5]])
    assert found.x.tolist() == [[0.3, 0.4, 0.5]]
    assert (found.residual[0], found.end[0]) == (1.0, STATIONARY)


def circle(x):
    return np.array([np.cos(x[0]), np.sin(x[0])])


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("lower", "upper"), [(-np.pi, np.pi), (0.0, 2 * np.pi), (-np.inf, np.inf)])
def test_a_period_has_no_ends(name, lower, upper):
    """From each angle to the one a little farther, in the period around the middle of the
    bounds."""
    middle = 0.0 if np.isinf(lower) else (lower + upper) / 2
    angles = middle + np.linspace(-3.1, 3.1, 33)
    found = polish(
        BACKENDS[name], circle, [circle([a + 0.3]) for a in angles], angles[:, None],
        lower=lower, upper=upper, periods=2 * np.pi,
    )  # fmt: skip
    expected = angles + 0.3
    expected[expected > middle + np.pi] -= 2 * np.pi
    np.testing.assert_allclose(found.x[:, 0], expected, atol=1e-14)
    assert (found.residual < 1e-14).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_period_that_bounds_do_not_span_keeps_them(name):
    found = polish(
        BACKENDS[name], circle, [circle([-3.0])], [[2.5]], lower=-2.0, upper=2.9, periods=2 * np.pi
    )
    assert found.x.tolist() == [[2.9]]
    assert found.end.tolist() == [STATIONARY]


@pytest.mark.parametrize("name", BACKENDS)
def test_coordinates_held_at_bounds_are_let_go_again(name):
    """The start is in the corner that the solution is farthest from."""
    f, _ = smooth(np.random.default_rng(55), 3, 3)
    inside = np.array([0.9, 0.8, 0.7])
    found = polish(BACKENDS[name], f, [f(inside)], [[-1.0, -1.0, -1.0]], lower=-1.0, upper=1.0)
    np.testing.assert_allclose(found.x[0], inside, atol=1e-13)


@pytest.mark.parametrize("name", BACKENDS)
def test_differences_are_not_taken_across_bounds(name):
    seen = []

    def f(x):
        seen.append(x.copy())
        return x**2

    polish(BACKENDS[name], f, [[4.0, 0.0]], [[1.0, 1.0]], lower=[1.0, 0.0], upper=[3.0, 1.0])
    points = np.array(seen)
    assert (points >= [1.0, 0.0]).all()
    assert (points <= [3.0, 1.0]).all()
    assert len(points) > 6


# Backends, threads and sizes


@pytest.mark.parametrize("n", [0, 1, 7, 33])
def test_all_backends_threads_and_instruction_sets_agree(n):
    setup = setup_of(surface, 2, 3, lower=-1.0, upper=1.0)
    rng = np.random.default_rng([60, n])
    starts = rng.uniform(-1, 1, size=(n, 2))
    targets = surface(rng.uniform(-1, 1, size=(n, 2))).reshape(n, 3)
    goal = setup.goal(targets)
    exact = setup.search(REFERENCE).polish(goal, starts)
    assert [field.dtype.name for field in exact] == ["float64"] * 3 + ["int64", "int8"]
    first = setup.search(CPP["baseline"]).polish(goal, starts)
    np.testing.assert_allclose(first.residual, exact.residual, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(first.x, exact.x, atol=2e-7)
    for backend in CPP.values():
        for n_threads in (1, 2):
            again = setup.search(backend).polish(goal, starts, n_threads=n_threads)
            assert_same_bits(again, first)
    for row in range(min(n, 3)):
        rows = slice(row, row + 1)
        alone = setup.search(CPP["baseline"]).polish(setup.goal(targets[rows]), starts[rows])
        assert_same_bits(alone, first, rows)


@pytest.mark.parametrize("name", BACKENDS)
def test_starts_are_not_written_to(name):
    starts = np.array([[0.5, 0.5]])
    setup = setup_of(surface, 2, 3)
    setup.search(BACKENDS[name]).polish(setup.goal([[0.1, 0.2, 0.3]]), starts)
    assert starts.tolist() == [[0.5, 0.5]]
