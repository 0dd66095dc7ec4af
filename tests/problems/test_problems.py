"""The problems: their formulas, their samples, and the exactness of their inverses."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, fsolve

from fastinv import problems

SEED_SAMPLE = 301
SEED_NOISE = 302
SEED_ORACLE = 303
SEED_CURVE = 304

LISTED = [p for p in problems.ALL if p.inverse is not None]
CURVES = [p for p in problems.ALL if p.inverse is None]
SCALAR = [problems.cubic, problems.quartic, problems.sine, problems.wave]

# The formulas once more, each as a function of whole columns.
FORMULAS = {
    "cubic": lambda u: (u**3 - u,),
    "quartic": lambda u: (u**4 - 4 * u**2,),
    "sine": lambda u: (np.sin(5 * u),),
    "half_ball": lambda u, v: (np.sqrt(1 - u**2 - v**2),),
    "bivariate": lambda u, v: (
        u**3 - 2 * u * v**2 + 5 * u + 5 * v,
        v**2 - 2 * u * v + 3 * u - 2 * v,
    ),
    "trivariate": lambda u, v, w: (u**2 - v**2 + w, 2 * u * v + w, u + v + w**2),
    "two_link_arm": lambda a, b: (np.cos(a) + np.cos(a + b), np.sin(a) + np.sin(a + b)),
    "three_link_arm": lambda a, b, c: (
        np.cos(a) + np.cos(a + b) + np.cos(a + b + c),
        np.sin(a) + np.sin(a + b) + np.sin(a + b + c),
    ),
    "yaw_pitch_arm": lambda t, a, b: (
        np.cos(t) * (np.cos(a) + np.cos(a + b)),
        np.sin(t) * (np.cos(a) + np.cos(a + b)),
        np.sin(a) + np.sin(a + b),
    ),
    "wave": lambda u: (u + 0.3 * np.sin(2 * np.pi * u),),
}
BOUNDS = {
    "cubic": [2],
    "quartic": [2],
    "sine": [2],
    "half_ball": [1, 1],
    "bivariate": [3, 3],
    "trivariate": [3, 3, 3],
    "two_link_arm": [math.pi / 2] * 2,
    "three_link_arm": [math.pi / 2] * 3,
    "yaw_pitch_arm": [math.pi / 2] * 3,
}

each_problem = pytest.mark.parametrize("problem", problems.ALL, ids=lambda p: p.name)
each_listed = pytest.mark.parametrize("problem", LISTED, ids=lambda p: p.name)


def assert_same_solutions(found, expected):
    """Each has its partner; the order may differ where coordinates agree but for rounding."""
    found, expected = np.array(found), np.array(expected)
    assert len(found) == len(expected)
    gaps = np.abs(found[:, None] - expected[None]).max(axis=2)
    assert (gaps.min(axis=0, initial=0) < 1e-6).all()
    assert sorted(gaps.argmin(axis=0)) == list(range(len(found)))


def lexicographic(solutions):
    return np.array(sorted(map(tuple, solutions)))


def test_registry():
    assert [p.experiment for p in problems.ALL] == [*range(1, 10), None]
    for number in range(1, 10):
        assert problems.experiment(number).experiment == number
    for problem in problems.ALL:
        assert getattr(problems, problem.name) is problem
    with pytest.raises(ValueError, match="number must be one of the experiments 1 to 9, got 10"):
        problems.experiment(10)
    with pytest.raises(TypeError, match="number must be an integer"):
        problems.experiment("7")


@each_problem
def test_domain_and_formula(problem):
    half = BOUNDS.get(problem.name)
    expected = [[0.0, 1.0]] if half is None else [[-h, h] for h in half]
    np.testing.assert_array_equal(problem.bounds, expected)
    assert not problem.bounds.flags.writeable
    X, y = problem.sample(33, SEED_SAMPLE, noise=0.0)
    assert X.shape == (33, problem.n_inputs)
    assert y.shape == (33, problem.n_outputs)
    expected = np.column_stack(FORMULAS[problem.name](*X.T))
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-13)


@each_problem
@pytest.mark.parametrize("n", [0, 1, 7])
def test_sample_sizes(problem, n):
    X, y = problem.sample(n, SEED_SAMPLE)
    assert X.shape == (n, problem.n_inputs)
    assert y.shape == (n, problem.n_outputs)


@each_problem
def test_sample_fills_the_domain_and_repeats(problem):
    X, y = problem.sample(1000, SEED_SAMPLE)
    again = problem.sample(1000, SEED_SAMPLE)
    assert np.array_equal(X, again[0])
    assert np.array_equal(y, again[1])
    low, high = problem.bounds.T
    width = high - low
    assert np.array_equal(X, np.clip(X, low, high))
    assert (X.min(axis=0) < low + 0.05 * width).all()
    assert (X.max(axis=0) > high - 0.05 * width).all()
    assert not np.array_equal(X, problem.sample(1000, SEED_SAMPLE + 1)[0])


def test_half_ball_samples_the_disc_uniformly():
    X, _ = problems.half_ball.sample(2000, SEED_SAMPLE)
    squares = (X**2).sum(axis=1)
    assert squares.max() < 0.99
    # The area, hence the squared radius, is uniform.
    np.testing.assert_allclose(
        np.quantile(squares, [0.25, 0.5, 0.75]), [0.2475, 0.495, 0.7425], atol=0.03
    )


@each_problem
def test_noise(problem):
    X, clean = problem.sample(2000, SEED_NOISE, noise=0.0)
    scale = problem.noise.scale
    X_noisy, noisy = problem.sample(2000, SEED_NOISE, noise=scale)
    assert np.array_equal(X, X_noisy)
    default = problem.sample(2000, SEED_NOISE)[1]
    if problem.name == "wave":
        assert scale == 0.1
        assert np.array_equal(default, noisy)
        error = noisy - clean
        assert 0.09 < np.abs(error).max() <= 0.1
        assert error.std() == pytest.approx(0.1 / math.sqrt(3), rel=0.05)
    else:
        assert scale == (0.02 if problem.experiment == 4 else 0.01)
        assert np.array_equal(default, clean)
        relative = noisy / clean - 1
        assert relative.std() == pytest.approx(scale, rel=0.05)
        assert abs(relative.mean()) < scale / 10


def test_sample_rejects_bad_arguments():
    with pytest.raises(ValueError, match="n must be at least 0, got -1"):
        problems.cubic.sample(-1)
    with pytest.raises(ValueError, match="noise must be finite and at least 0"):
        problems.cubic.sample(3, noise=-0.1)
    with pytest.raises(TypeError, match="noise must be a number, got True"):
        problems.cubic.sample(3, noise=True)


@each_listed
def test_preimages_are_exact_inside_sorted_and_hold_the_sample(problem):
    X, y = problem.sample(300, SEED_SAMPLE, noise=0.0)
    preimages = problem.preimages(y)
    assert len(preimages) == 300
    low, high = problem.bounds.T
    for x, target, solutions in zip(X, y, preimages, strict=True):
        assert solutions.dtype == np.float64
        image = np.column_stack(FORMULAS[problem.name](*solutions.T))
        np.testing.assert_allclose(
            image, np.tile(target, (len(solutions), 1)), rtol=1e-9, atol=1e-9
        )
        assert np.array_equal(solutions, np.clip(solutions, low, high))
        assert np.array_equal(solutions, lexicographic(solutions))
        assert np.linalg.norm(solutions - x, axis=1).min() < 1e-6
        gaps = np.abs(solutions[:, None] - solutions[None]).max(axis=2)
        assert (gaps[~np.eye(len(solutions), dtype=bool)] > 1e-6).all()


@pytest.mark.parametrize("problem", SCALAR, ids=lambda p: p.name)
def test_preimages_of_scalar_functions_are_the_sign_changes(problem):
    grid = np.linspace(*problem.bounds[0], 20_011)
    values = FORMULAS[problem.name](grid)[0]
    targets = np.random.default_rng(SEED_ORACLE).uniform(
        values.min() - 0.2, values.max() + 0.2, 100
    )
    for target, solutions in zip(targets, problem.preimages(targets), strict=True):
        crossings = np.flatnonzero(np.diff(np.sign(values - target)))
        roots = [
            brentq(lambda u, t=target: FORMULAS[problem.name](u)[0] - t, grid[i], grid[i + 1])
            for i in crossings
        ]
        np.testing.assert_allclose(solutions[:, 0], roots, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "problem", [p for p in LISTED if p.n_inputs > 1], ids=lambda problem: problem.name
)
def test_preimages_of_systems_are_what_many_starts_find(problem):
    rng = np.random.default_rng(SEED_ORACLE)
    low, high = problem.bounds.T
    formula = FORMULAS[problem.name]
    _, targets = problem.sample(20, rng, noise=0.0)
    for target, solutions in zip(targets, problem.preimages(targets), strict=True):
        found = []
        for start in rng.uniform(low, high, size=(100, problem.n_inputs)):
            root, _, flag, _ = fsolve(
                lambda x, t=target: np.subtract(formula(*x), t), start, xtol=1e-12, full_output=True
            )
            inside = np.array_equal(root, np.clip(root, low, high))
            if flag == 1 and inside and all(np.linalg.norm(root - f) > 1e-5 for f in found):
                found.append(root)
        assert_same_solutions(solutions, found)


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("cubic", 0.0, [-1.0, 0.0, 1.0]),
        ("cubic", 2 / 3 / math.sqrt(3), [-1 / math.sqrt(3), 2 / math.sqrt(3)]),
        ("cubic", 2 / 3 / math.sqrt(3) - 1e-15, [-1 / math.sqrt(3), 2 / math.sqrt(3)]),
        ("quartic", 0.0, [-2.0, 0.0, 2.0]),
        ("quartic", -4.0, [-math.sqrt(2), math.sqrt(2)]),
        ("quartic", np.nextafter(-4.0, -5.0), [-math.sqrt(2), math.sqrt(2)]),
        ("sine", 1.0, [-1.5 * math.pi / 5, math.pi / 10, 2.5 * math.pi / 5]),
    ],
)
def test_double_roots_are_returned_once(name, target, expected):
    solutions = getattr(problems, name).preimages([target])[0]
    np.testing.assert_allclose(solutions[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "x"),
    [
        # The eliminated variable's factor vanishes: v = 3/2 in one elimination, Q = 0 in the other.
        ("bivariate", [0.3, 1.5]),
        ("bivariate", [0.3, 1.5 + 1e-7]),
        ("bivariate", [(math.sqrt(6) - 1) / 2, 1.0]),
        ("bivariate", [(math.sqrt(6) - 1) / 2, 1.5]),
        ("bivariate", [3.0, -3.0]),
        ("trivariate", [0.0, -0.5, 0.0]),
        ("trivariate", [0.5, -0.5, 0.0]),
        ("trivariate", [-3.0, -3.0, -3.0]),
        ("two_link_arm", [0.3, 0.0]),
        ("two_link_arm", [math.pi / 2, -math.pi / 2]),
        ("yaw_pitch_arm", [math.pi / 2, 0.2, 0.3]),
        ("yaw_pitch_arm", [-math.pi / 2, math.pi / 2, math.pi / 2]),
        ("yaw_pitch_arm", [0.4, math.pi / 2 - 0.1, math.pi / 2]),
        ("yaw_pitch_arm", [0.0, 1.0, math.pi - 2.0]),
        ("wave", [math.acos(-1 / (0.6 * math.pi)) / (2 * math.pi)]),
        ("wave", [1.0]),
    ],
)
def test_degenerate_points_are_found(name, x):
    problem = getattr(problems, name)
    target = problem.forward(x)
    solutions = problem.preimages(target)[0]
    assert np.linalg.norm(solutions - x, axis=1).min() < 1e-6
    np.testing.assert_allclose(
        problem.forward(solutions), np.tile(target, (len(solutions), 1)), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("above", [(0.0, 0.0), (-0.0, 0.0), (0.0, -0.0), (-0.0, -0.0)])
def test_yaw_is_zero_straight_above_the_base(above):
    solutions = problems.yaw_pitch_arm.preimages([*above, 1.5])[0]
    assert len(solutions)
    np.testing.assert_array_equal(solutions[:, 0], 0.0)


@given(x=st.floats(-2, 2))
def test_cubic_finds_any_point_or_its_merged_twin(x):
    target = problems.cubic.forward([x])
    solutions = problems.cubic.preimages(target)[0][:, 0]
    # Near a fold two solutions within 1e-6 count as one.
    assert np.abs(solutions - x).min() < 2e-6


@each_listed
def test_unreachable_and_non_finite_targets_have_no_solutions(problem):
    q = problem.n_outputs
    targets = np.full((5, q), 1e6)
    targets[1, -1] = np.nan
    targets[2, 0] = np.inf
    targets[3] = 1e300
    targets[4] = problem.forward(problem.bounds.mean(axis=1) + 0.1)
    found = problem.preimages(targets)
    assert [s.shape for s in found[:4]] == [(0, problem.n_inputs)] * 4
    assert len(found[4])
    assert problem.preimages(np.empty((0, q))) == []


def test_targets_of_other_shapes():
    assert len(problems.cubic.preimages([0.0, 1.0])) == 2
    assert len(problems.two_link_arm.preimages([1.0, 1.0])) == 1
    with pytest.raises(ValueError, match=r"y must have shape \(n, 2\)"):
        problems.two_link_arm.preimages([1.0, 1.0, 1.0])


@pytest.mark.parametrize("problem", CURVES, ids=lambda p: p.name)
def test_distance_vanishes_at_solutions_only(problem):
    X, y = problem.sample(200, SEED_CURVE, noise=0.0)
    assert problem.distance_to_solutions(X, y).max() < 1e-9
    assert problem.distance_to_solutions(X[::-1], y).min() > 1e-5
    with pytest.raises(ValueError, match="form curves"):
        problem.preimages(y)
    far = np.full((3, problem.n_outputs), 5.0)
    far[1] = np.nan
    distances = problem.distance_to_solutions(X[:3], far)
    np.testing.assert_array_equal(distances, [np.inf, np.nan, np.inf])
    assert problem.distance_to_solutions(X[:0], y[:0]).shape == (0,)


def test_distance_to_the_circle():
    X = np.random.default_rng(SEED_CURVE).uniform(-1, 1, size=(50, 2))
    heights = np.random.default_rng(SEED_CURVE + 1).uniform(0, 1, size=50)
    angles = np.linspace(0, 2 * np.pi, 2001)
    for x, height, distance in zip(
        X, heights, problems.half_ball.distance_to_solutions(X, heights), strict=True
    ):
        radius = math.sqrt(1 - height**2)
        circle = radius * np.column_stack([np.cos(angles), np.sin(angles)])
        dense = np.linalg.norm(circle - x, axis=1).min()
        assert distance <= dense + 1e-12
        assert distance == pytest.approx(dense, abs=4e-3)


def dense_three_link_distance(x, target, n_values=40_001):
    """Nearest of many solutions, one pair for each direction of the last link."""
    last = np.linspace(-1.5 * np.pi, 1.5 * np.pi, n_values)
    wrist = target - np.column_stack([np.cos(last), np.sin(last)])
    with np.errstate(invalid="ignore"):
        bend = np.arccos((wrist**2).sum(axis=1) / 2 - 1)
    nearest = np.inf
    for second in (bend, -bend):
        first = np.arctan2(wrist[:, 1], wrist[:, 0]) - second / 2
        angles = np.column_stack([first, second, last - first - second])
        angles = (angles + np.pi) % (2 * np.pi) - np.pi
        inside = (np.abs(angles) <= np.pi / 2 + 1e-12).all(axis=1)
        nearest = min(nearest, np.linalg.norm(angles[inside] - x, axis=1).min(initial=np.inf))
    return nearest


def test_distance_to_the_solutions_of_the_three_link_arm():
    problem = problems.three_link_arm
    X, y = problem.sample(60, SEED_CURVE, noise=0.0)
    others = problem.sample(60, SEED_CURVE + 1)[0]
    others[::2] = X[::2] + 0.05 * np.random.default_rng(SEED_CURVE).normal(size=(30, 3))
    found = problem.distance_to_solutions(others, y)
    dense = np.array([dense_three_link_distance(*pair) for pair in zip(others, y, strict=True)])
    assert (found <= dense + 1e-9).all()
    assert np.median(dense - found) < 1e-4
    assert (dense - found).max() < 0.02  # the dense points are sparse where two links align


def test_distance_near_full_reach():
    problem = problems.three_link_arm
    x = np.array([[0.5, -0.4, 0.3]])
    straight = problem.distance_to_solutions(x, [[3.0, 0.0]])
    assert straight == pytest.approx(np.linalg.norm(x), abs=1e-6)
    almost = problem.distance_to_solutions(x, [[3.0 - 1e-7, 0.0]])
    assert almost == pytest.approx(straight, abs=2e-3)
    assert problem.distance_to_solutions(x, [[3.001, 0.0]]) == np.inf


@each_listed
def test_distance_to_listed_solutions(problem):
    X, y = problem.sample(7, SEED_SAMPLE, noise=0.0)
    assert problem.distance_to_solutions(X, y).max() < 1e-6
    shift = 1e-4
    np.testing.assert_allclose(
        problem.distance_to_solutions(X + shift, y), shift * math.sqrt(problem.n_inputs), rtol=1e-3
    )
    with pytest.raises(ValueError, match="X and y must have as many rows, got 7 and 6"):
        problem.distance_to_solutions(X, y[:6])


def test_projection():
    half_ball = problems.half_ball
    X = np.array([[0.3, 0.4], [0.9990001, 0.0], [3.0, -4.0], [0.0, 0.0], [np.nan, 0.0]])
    expected = [[0.3, 0.4], [0.999, 0.0], [0.6 * 0.999, -0.8 * 0.999], [0.0, 0.0], [np.nan] * 2]
    projected = half_ball.project(X)
    np.testing.assert_allclose(projected[:4], expected[:4], rtol=1e-15)
    assert np.isfinite(half_ball.forward(projected[:4])).all()
    assert np.isnan(projected[4, 0])
    X = np.array([[7.0, -8.0]])
    np.testing.assert_array_equal(problems.bivariate.project(X), X)
    with pytest.raises(ValueError, match=r"X must have shape \(n, 2\), got \(1, 3\)"):
        half_ball.project([[1.0, 2.0, 3.0]])


@each_problem
def test_problems_pickle(problem):
    copy = pickle.loads(pickle.dumps(problem))
    assert copy.forward is problem.forward
    assert repr(copy) == repr(problem)
