"""Training pairs of twin networks: who is paired with whom, scales, and the loop identities."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from chains import Setup
from hypothesis import given
from hypothesis import strategies as st

import fastinv as fi
from fastinv.backends import get_backend
from fastinv.estimators.twin_pairs import Pairs, PairScaling
from fastinv.functions.networks import NetworkSpec
from fastinv.functions.wrapped import CallableFunction
from fastinv.solvers.pairs.near import (
    FormulaPairs,
    ScaledFormulaPairs,
    neighbor_pairs,
    pairs_with,
)
from fastinv.solvers.pairs.radius import pair_radius, reaching_radius

BACKEND = get_backend("cpp")


def difference_of(pairs):
    return pairs.x - pairs.x_anchor


# A linear f with an integer inverse: every sum below is exact in binary floating point.
A = np.array([[2.0, 1.0], [1.0, 1.0]])
A_INVERSE = np.array([[1.0, -1.0], [-1.0, 2.0]])
linear = CallableFunction(lambda x: x @ A.T, 2, 2)


def exact_twin():
    """F of the linear f, exact: a network without hidden layers, all scales 1."""
    spec = NetworkSpec((6, 2), "identity")
    weights = np.zeros((6, 2))
    weights[:2] = A_INVERSE.T
    parameters = np.concatenate([weights.ravel(), np.zeros(2)]).astype(np.float32)
    one, zero = np.ones(2), np.zeros(2)
    return PairScaling(one, zero, one, zero, one, one, 1e9).network(spec, parameters)


@dataclass(frozen=True, eq=False)
class Exact:
    """The linear f, its anchors `x` and the exact twin, on one backend."""

    x: np.ndarray
    name: str = "cpp"

    def setup(self):
        return Setup(self.x, self.x @ A.T, linear, exact_twin(), tol=0.0)

    def candidates(self, y, n_candidates):
        setup = self.setup()
        pipeline, goal = setup.pipeline(get_backend(self.name)), setup.goal(y)
        return goal, pipeline, pipeline.correct(goal, pipeline.propose(goal, n_candidates))


def F(y, x_anchor, name):
    """The step that the pipeline takes from one anchor to one target."""
    _, _, found = Exact(x_anchor[None], name).candidates(y[None], 1)
    return found.x[0, 0] - x_anchor


points = st.lists(st.tuples(*[st.integers(-50, 50)] * 2), min_size=3, max_size=3)


@pytest.mark.parametrize("name", ["cpp", "reference"])
@given(points=points)
def test_loops_close_exactly_where_F_is_exact(name, points):
    """Eq. (3) and (4) of the paper, for F(y_i, y_j, x_j) = x_i - x_j."""
    x = np.array(points, dtype=np.float64)
    y = x @ A.T
    step = {(i, j): F(y[i], x[j], name) for i in range(3) for j in range(3)}
    for i in range(3):
        np.testing.assert_array_equal(step[i, i], 0.0)
        for j in range(3):
            np.testing.assert_array_equal(step[i, j], x[i] - x[j])
            np.testing.assert_array_equal(step[i, j] + step[j, i], 0.0)
    np.testing.assert_array_equal(step[0, 1] + step[1, 2] + step[2, 0], 0.0)


@given(points=points)
def test_the_exact_F_solves_from_every_anchor(points):
    x = np.unique(np.array(points, dtype=np.float64), axis=0)
    target = np.array([[7.0, 11.0]])
    goal, pipeline, candidates = Exact(x).candidates(target @ A.T, len(x))
    np.testing.assert_array_equal(candidates.x, np.broadcast_to(target, candidates.x.shape))
    ranked = pipeline.rank(goal, pipeline.evaluate(goal, candidates), len(x))
    assert (ranked.residual == 0.0).all()
    assert (ranked.status == fi.Status.CONVERGED).all()


@given(n=st.integers(3, 40), k=st.integers(1, 6), seed=st.integers(0, 99))
def test_pairs_from_data_obey_the_loops(n, k, seed):
    x = np.random.default_rng([50, seed]).integers(-64, 64, size=(n, 2)).astype(float)
    pairs = neighbor_pairs(BACKEND, x, x @ A.T, k)
    by_points = {}
    for i in range(len(pairs.x)):
        by_points[tuple(pairs.x[i]), tuple(pairs.x_anchor[i])] = difference_of(pairs)[i]
    for (a, b), forth in by_points.items():
        if (b, a) in by_points:
            np.testing.assert_array_equal(forth + by_points[b, a], 0.0)
        for c in {pair[1] for pair in by_points if pair[0] == b}:
            if (a, c) in by_points:
                np.testing.assert_array_equal(forth + by_points[b, c], by_points[a, c])


@pytest.mark.parametrize("n", [2, 7, 33])
def test_every_point_is_paired_with_itself_and_its_nearest_in_x(n):
    rng = np.random.default_rng(51)
    x = rng.normal(size=(n, 3)) * [1.0, 10.0, 0.1]
    y = rng.normal(size=(n, 2))
    pairs = neighbor_pairs(BACKEND, x, y, 4)
    per_point = min(5, n)
    assert pairs.x.shape == (n * per_point, 3)
    for i in range(n):
        rows = slice(i * per_point, (i + 1) * per_point)
        np.testing.assert_array_equal(pairs.x[rows], np.tile(x[i], (per_point, 1)))
        distance = np.linalg.norm((x - x[i]) / x.std(axis=0), axis=1)
        nearest = np.argsort(distance, kind="stable")[:per_point]
        np.testing.assert_array_equal(pairs.x_anchor[rows], x[nearest])
        np.testing.assert_array_equal(pairs.y_anchor[rows], y[nearest])


def test_held_out_points_are_paired_with_anchors_only():
    rng = np.random.default_rng(52)
    points = rng.normal(size=(4, 2)), rng.normal(size=(4, 1))
    anchors = rng.normal(size=(9, 2)), rng.normal(size=(9, 1))
    pairs = pairs_with(BACKEND, points, anchors, 3)
    assert len(pairs.x) == 12
    np.testing.assert_array_equal(pairs.x[::3], points[0])
    assert {tuple(row) for row in pairs.x_anchor} <= {tuple(row) for row in anchors[0]}


def test_radius_follows_the_paper():
    # d = 1: c = 1 and V = 2; d = 2: c = 2 / pi and V = pi.
    assert pair_radius(np.array([[-2.0, 2.0]]), 300) == pytest.approx(4 * 2 * 2 / 600)
    expected = math.pi * 2 * (2 / math.pi) * math.sqrt(2 / (600 * math.pi))
    box = np.array([[-math.pi / 2, math.pi / 2]] * 2)
    np.testing.assert_allclose(pair_radius(box, 600), [expected, expected])


@pytest.mark.parametrize("name", ["cpp", "reference"])
def test_radius_reaches_across_the_gaps_between_anchors(name):
    box = np.array([[0.0, 1.0]])
    backend, rng = get_backend(name), np.random.default_rng(59)
    even = np.linspace(0.0, 1.0, 101)[:, None]
    np.testing.assert_array_equal(reaching_radius(backend, box, even, rng), pair_radius(box, 101))
    gap = even[(even < 0.3) | (even > 0.7)][:, None]
    assert 0.2 < reaching_radius(backend, box, gap, rng)[0] < 1.3 * 0.2


def formula_pairs(f, n_pairs=2000, n=20):
    rng = np.random.default_rng(53)
    bounds = np.array([[-1.0, 1.0], [0.0, 4.0]])
    x = rng.uniform(bounds[:, 0], bounds[:, 1], size=(n, 2))
    return FormulaPairs(f, x, f(x), bounds, np.array([0.3, 0.5]), n_pairs)


def test_fresh_pairs_are_near_their_anchors_inside_the_bounds_and_exact():
    f = CallableFunction(lambda x: x @ A.T, 2, 2)
    source = formula_pairs(f)
    rng = np.random.default_rng(54)
    pairs = source.draw(rng, 5000)
    steps = np.abs(difference_of(pairs))
    assert (steps <= source.radius + 1e-15).all()
    assert (steps.max(axis=0) > 0.95 * source.radius).all()
    assert ((pairs.x >= source.bounds[:, 0]) & (pairs.x <= source.bounds[:, 1])).all()
    np.testing.assert_array_equal(pairs.y, f(pairs.x))
    np.testing.assert_array_equal(pairs.y_anchor, f(pairs.x_anchor))
    assert {tuple(row) for row in pairs.x_anchor} <= {tuple(row) for row in source.x}
    # Mirrored, not clipped: no pile on the bounds.
    assert not (pairs.x == source.bounds[:, 0]).any()


def test_pairs_where_f_is_undefined_become_the_anchor_with_itself():
    def f(x):
        with np.errstate(invalid="ignore"):
            return np.where(x[:, :1] > 0.5, np.nan, x[:, :1])

    rng = np.random.default_rng(55)
    x = rng.uniform(-0.5, 0.5, size=(30, 2))
    forward = CallableFunction(f, 2, 1)
    bounds = np.array([[-1.0, 1.0]] * 2)
    source = FormulaPairs(forward, x, f(x), bounds, np.array([0.4, 0.4]), 10)
    pairs = source.draw(rng, 3000)
    undefined = (difference_of(pairs) == 0.0).all(axis=1)
    assert 0.01 < undefined.mean() < 0.5
    np.testing.assert_array_equal(pairs.y[undefined], pairs.y_anchor[undefined])
    assert np.isfinite(pairs.y).all()


def test_scaled_rows_invert():
    f = CallableFunction(lambda x: x @ A.T, 2, 2)
    source = formula_pairs(f)
    sample = source.draw(np.random.default_rng(56), 4000)
    scaling = PairScaling.of_pairs(sample, source.x, source.y, source.radius)
    inputs, targets = scaling.rows(sample)
    assert inputs.shape == (4000, 6)
    assert inputs.dtype == targets.dtype == np.float32
    assert np.abs(targets).max() <= 1.0
    assert scaling.reach == pytest.approx(1.1, rel=0.01)
    np.testing.assert_allclose(np.sqrt(np.mean(inputs[:, :2] ** 2, axis=0)), 1.0, rtol=1e-5)
    np.testing.assert_allclose(targets * scaling.dx_scale, difference_of(sample), rtol=0, atol=1e-6)
    restored = inputs[:, 4:] * scaling.x_scale + scaling.x_mean
    np.testing.assert_allclose(restored, sample.x_anchor, rtol=0, atol=1e-6)


def test_constant_coordinates_keep_scales_positive():
    pairs = Pairs(*[np.ones((5, 2)), np.ones((5, 1))] * 2)
    scaling = PairScaling.of_pairs(pairs, pairs.x, pairs.y)
    for scale in (scaling.dy_scale, scaling.y_scale, scaling.x_scale, scaling.dx_scale):
        np.testing.assert_array_equal(scale, 1.0)


def test_epochs_are_fresh_and_repeat_with_the_seed():
    f = CallableFunction(lambda x: x @ A.T, 2, 2)
    source = formula_pairs(f, n_pairs=64)
    sample = source.draw(np.random.default_rng(57), 100)
    scaled = ScaledFormulaPairs(source, PairScaling.of_pairs(sample, source.x, source.y))
    rng = np.random.default_rng(58)
    first, second = scaled.epoch(rng), scaled.epoch(rng)
    again = scaled.epoch(np.random.default_rng(58))
    assert len(first[0]) == 64
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != second[0]).any()
    other = ScaledFormulaPairs(formula_pairs(f, n_pairs=65), scaled.scaling)
    assert other.fingerprint() != scaled.fingerprint()
