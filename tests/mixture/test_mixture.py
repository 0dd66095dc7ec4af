"""Mixture: densities, moments, samples, modes, intervals, against SciPy and grids."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal

from fastinv.backends import get_backend
from fastinv.functions.networks import COVARIANCES, MixtureSpec
from fastinv.mixture import Mixture

SEED_DATA = 401
SAMPLES = 402
seeds = st.integers(0, 99)
types = st.sampled_from(COVARIANCES)


def draw_mixture(n, k, d, covariance_type="diag", seed=0):
    rng = np.random.default_rng([SEED_DATA, seed])
    positive = np.exp(rng.normal(-0.5, 0.6, (n, k, d)))
    if covariance_type == "spherical":
        scales = positive[:, :, 0]
    elif covariance_type == "diag":
        scales = positive
    else:
        scales = np.tril(rng.normal(size=(n, k, d, d)), -1)
        scales[:, :, np.arange(d), np.arange(d)] = positive
    return Mixture(
        rng.normal(size=(n, k)), 2.0 * rng.normal(size=(n, k, d)), scales, covariance_type
    )


def line(weights, means, scales):
    """One row in one dimension."""
    with np.errstate(divide="ignore"):
        log_weights = np.log([weights])
    return Mixture(log_weights, np.reshape(means, (1, -1, 1)), np.reshape(scales, (1, -1, 1)))


def plane(weights, means, scales, covariance_type="diag"):
    return Mixture(np.log([weights]), [means], [scales], covariance_type)


def log_prob_of_scipy(mixture, i, y):
    logs = [
        np.log(w) + multivariate_normal.logpdf(y, m, c)
        for w, m, c in zip(
            mixture.weights[i], mixture.means[i], mixture.covariances[i], strict=True
        )
    ]
    return logsumexp(logs)


@settings(max_examples=60, deadline=None)
@given(types, st.sampled_from([0, 1, 7]), st.integers(1, 5), st.integers(1, 4), seeds)
def test_log_prob_against_scipy(covariance_type, n, k, d, seed):
    mixture = draw_mixture(n, k, d, covariance_type, seed)
    y = 2.0 * np.random.default_rng([SEED_DATA, seed, 1]).normal(size=(n, 3, d))
    exact = [[log_prob_of_scipy(mixture, i, point) for point in y[i]] for i in range(n)]
    assert_allclose(mixture.log_prob(y), np.reshape(exact, (n, 3)), rtol=1e-10, atol=1e-12)
    assert_allclose(mixture.log_prob(y[:, 0]), np.reshape(exact, (n, 3))[:, 0], rtol=1e-10)
    if n:
        shared = mixture.log_prob(y[:1])
        assert_array_equal(shared, mixture.log_prob(np.repeat(y[:1], n, axis=0)))


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_log_prob_of_what_is_not_finite_and_of_what_is_far(covariance_type):
    mixture = draw_mixture(4, 3, 2, covariance_type)
    y = [[np.nan, np.inf], [-np.inf, 0.0], [1e200, -1e200], [1e6, 1e6]]
    log_prob = mixture.log_prob(y)
    assert np.isnan(log_prob[0])
    assert log_prob[1] == -np.inf
    assert log_prob[2] < -1e200
    assert np.isfinite(log_prob[3])


@settings(max_examples=60, deadline=None)
@given(types, st.integers(1, 4), st.integers(1, 3), st.sampled_from([0.0, 0.05]), seeds)
def test_from_raw_is_minus_the_loss_less_the_jacobian(covariance_type, k, d, floor, seed):
    spec = MixtureSpec(k, d, covariance_type, min_weight=floor, min_scale=floor)
    rng = np.random.default_rng([SEED_DATA, seed, 2])
    raw, t = rng.normal(size=(7, spec.n_raw)), rng.normal(size=(7, d))
    losses, _ = get_backend("reference").mixture_nll(raw, t, spec)
    mean, scale = rng.normal(size=d), np.exp(rng.normal(size=d))
    mixture = Mixture.from_raw(raw, spec, mean=mean, scale=scale)
    expected = -losses - np.log(scale).sum()
    assert_allclose(mixture.log_prob(mean + scale * t), expected, rtol=1e-10, atol=1e-10)
    plain = Mixture.from_raw(raw, spec)
    assert plain.covariance_type == covariance_type
    assert_allclose(plain.log_prob(t), -losses, rtol=1e-10, atol=1e-12)


def test_from_raw_limits_what_the_loss_limits():
    spec = MixtureSpec(2, 1)
    raw = np.array([[np.inf, -np.inf, 0.0, 1.0, 0.0, -np.inf], [0.0, 1e308, 0.0, 1.0, np.inf, 0.0]])
    mixture = Mixture.from_raw(raw, spec)
    assert_array_equal(mixture.weights, [[1.0, 0.0], [0.0, 1.0]])
    losses, _ = get_backend("reference").mixture_nll(raw, np.ones((2, 1)), spec)
    assert_allclose(mixture.log_prob([1.0, 1.0]), -losses, rtol=1e-12)


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_moments_and_samples(covariance_type):
    mixture = draw_mixture(3, 4, 2, covariance_type, seed=5)
    n = 40_000
    samples = mixture.sample(n, SAMPLES)
    assert samples.shape == (3, n, 2)
    error = 5.0 * mixture.std() / np.sqrt(n)
    assert (np.abs(samples.mean(axis=1) - mixture.mean()) < error).all()
    assert_allclose(
        mixture.std(), np.sqrt(np.diagonal(mixture.covariance(), axis1=1, axis2=2)), rtol=1e-12
    )
    for i in range(3):
        assert_allclose(np.cov(samples[i].T), mixture.covariance()[i], rtol=0.06, atol=0.06)


def test_samples_follow_the_cdf():
    mixture = draw_mixture(3, 4, 1, seed=6)
    samples = mixture.sample(5_000, SAMPLES)
    for i in range(3):
        p = kstest(samples[i, :, 0], lambda y, i=i: mixture[i].cdf(y[None, :, None])[0]).pvalue
        assert p > 1e-3


def test_components_of_weight_zero_are_not_sampled():
    mixture = line([0.0, 0.5, 0.0, 0.5, 0.0], [-9.0, 0.0, 9.0, 1.0, 9.0], np.full(5, 0.01))
    samples = mixture.sample(1_000, SAMPLES)
    assert samples.min() > -0.1
    assert samples.max() < 1.1


def test_a_batch_is_sampled_as_its_rows_are():
    mixture = draw_mixture(7, 3, 2, "full")
    whole = mixture.sample(5, 11)
    for i in range(7):
        assert_array_equal(mixture[i].sample(5, 11), whole[i : i + 1])
        assert_array_equal(mixture[i - 7].sample(5, 11), whole[i : i + 1])
    odd = np.arange(7) % 2 == 1
    assert_array_equal(mixture[odd][1:].sample(5, 11), whole[odd][1:])
    seeds = [3, 1, 4, 1, 5, 9, 2]
    by_seed = mixture.sample(5, seeds)
    for i, seed in enumerate(seeds):
        alone = Mixture(
            mixture.log_weights[i : i + 1],
            mixture.means[i : i + 1],
            mixture.scales[i : i + 1],
            "full",
        )
        assert_allclose(alone.sample(5, [seed])[0], by_seed[i], rtol=1e-12)
    assert not np.array_equal(whole[0], mixture.sample(5, 12)[0])
    same = Mixture(np.zeros((2, 1)), np.zeros((2, 1, 1)), np.ones((2, 1, 1))).sample(5, 1)
    assert not np.array_equal(same[0], same[1])
    generator = np.random.default_rng(1)
    assert not np.array_equal(mixture.sample(5, generator), mixture.sample(5, generator))
    assert mixture.sample(0, 1).shape == (7, 0, 2)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), seeds)
def test_modes_in_one_dimension_against_a_grid(k, seed):
    mixture = draw_mixture(1, k, 1, seed=seed)
    modes = mixture.modes()
    low, high = mixture.means.min() - 3.0, mixture.means.max() + 3.0
    grid = np.linspace(low, high, 20_001)
    density = mixture.log_prob(grid[None, :, None])[0]
    tops = grid[1:-1][(density[1:-1] > density[:-2]) & (density[1:-1] > density[2:])]
    assert modes.count[0] == len(tops)
    assert_allclose(np.sort(modes.x[0, :, 0]), tops, atol=grid[1] - grid[0])
    check_modes(mixture, modes)


@pytest.mark.parametrize("covariance_type", COVARIANCES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_modes_in_two_dimensions_against_a_grid(covariance_type, seed):
    mixture = draw_mixture(1, 5, 2, covariance_type, seed)
    modes = mixture.modes()
    check_modes(mixture, modes)
    low, high = mixture.means[0].min(axis=0) - 1.0, mixture.means[0].max(axis=0) + 1.0
    axes = [np.linspace(a, b, 401) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    density = mixture.log_prob(points.reshape(1, -1, 2)).reshape(401, 401)
    inner = density[1:-1, 1:-1]
    steps = [(i, j) for i in (0, 1, 2) for j in (0, 1, 2) if (i, j) != (1, 1)]
    is_top = np.all([inner > density[i : i + 399, j : j + 399] for i, j in steps], axis=0)
    tops = points[1:-1, 1:-1][is_top]
    cell = (high - low) / 400
    # A narrow ridge across the grid has false tops; axis-aligned components have no such ridge.
    for mode in modes.x[0]:
        assert (np.abs(tops - mode) <= 2 * cell).all(axis=1).any()
    if covariance_type != "full":
        assert len(tops) == modes.count[0]


def check_modes(mixture, modes):
    """Heights fall, nothing beside a mode is higher, weights add up."""
    rng = np.random.default_rng([SEED_DATA, 7])
    assert_allclose(modes.weight.sum(axis=1), 1.0, rtol=1e-12)
    assert (np.diff(modes.log_prob, axis=1) <= 0.0).all()
    directions = rng.normal(size=(64, mixture.n_dims))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    for i, count in enumerate(modes.count):
        x = modes.x[i, :count]
        assert_array_equal(modes.log_prob[i, :count], mixture[i].log_prob(x[None])[0])
        around = mixture[i].log_prob((x[:, None] + 1e-3 * directions).reshape(1, -1, x.shape[1]))
        assert (around.reshape(count, -1) < modes.log_prob[i, :count, None]).all()
        assert np.isnan(modes.x[i, count:]).all()
        assert (modes.log_prob[i, count:] == -np.inf).all()
        assert (modes.weight[i, count:] == 0.0).all()


def test_components_are_not_modes():
    merged = line([0.5, 0.5], [-0.9, 0.9], [1.0, 1.0]).modes()  # two modes from 2 sigma apart on
    assert merged.count.tolist() == [1]
    assert_allclose(merged.x, [[[0.0]]], atol=1e-12)
    assert_allclose(merged.weight, [[1.0]])
    apart = line([0.5, 0.5], [-1.1, 1.1], [1.0, 1.0]).modes()
    assert apart.count.tolist() == [2]
    narrow_on_broad = line([0.9, 0.1], [0.0, 0.5], [1.0, 1e-4]).modes()
    assert_allclose(narrow_on_broad.x.ravel(), [0.5, 0.0], atol=1e-3)
    assert_allclose(narrow_on_broad.weight, [[0.1, 0.9]])


def test_flat_top():
    modes = line([0.5, 0.5], [-1.0, 1.0], [1.0, 1.0]).modes()  # the fourth derivative is the first
    assert modes.count.tolist() == [1]
    assert abs(modes.x[0, 0, 0]) < 1e-3


def test_a_mean_on_a_minimum_and_on_a_saddle_is_left():
    modes = line([0.49, 0.49, 0.02], [-2.0, 2.0, 0.0], [0.5, 0.5, 3.0]).modes()
    assert modes.count.tolist() == [2]
    assert_allclose(np.sort(modes.x.ravel()), [-2.0, 2.0], atol=0.01)
    assert_allclose(modes.weight.sum(), 1.0)
    saddle = plane(
        [0.49, 0.49, 0.02], [[-2.0, 0.0], [2.0, 0.0], [0.0, 0.0]], [[0.5, 0.5]] * 2 + [[3.0, 3.0]]
    )
    assert saddle.modes().count.tolist() == [2]
    check_modes(saddle, saddle.modes())


def test_modes_where_components_cross():
    crossing = plane([0.5, 0.5], [[3.0, 0.0], [0.0, 3.0]], [[3.0, 0.1], [0.1, 3.0]])
    modes = crossing.modes()
    check_modes(crossing, modes)
    between = np.linalg.norm(modes.x[0, :, :], axis=1) < 0.1
    assert between.any()
    assert modes.weight[0, between].sum() == 0.0
    angles = np.pi * np.array([0.5, 7 / 6, 11 / 6])
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    triangle = plane(np.full(3, 1 / 3), corners, np.full(3, 0.712), "spherical")
    assert triangle.modes().count.tolist() == [4]  # three corners and the middle
    check_modes(triangle, triangle.modes())


def test_modes_do_not_depend_on_units_or_batch():
    mixture = draw_mixture(33, 5, 2)
    modes = mixture.modes()
    unit, shift = np.array([1e6, 1e-9]), np.array([3e6, -2e-9])
    other = Mixture(mixture.log_weights, shift + unit * mixture.means, unit * mixture.scales)
    assert_array_equal(other.modes().count, modes.count)
    assert_allclose((other.modes().x - shift) / unit, modes.x, atol=1e-8)
    for i in range(33):
        alone = mixture[i].modes()
        assert_array_equal(alone.x[0], modes.x[i, : modes.count[i]])
    assert draw_mixture(0, 3, 2).modes().x.shape == (0, 0, 2)


def test_modes_leave_out_weights_of_zero():
    modes = line([1.0, 0.0], [0.0, 5.0], [1.0, 0.1]).modes()
    assert modes.x.ravel().tolist() == [0.0]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), seeds)
def test_cdf_against_integration(k, seed):
    mixture = draw_mixture(1, k, 1, seed=seed)
    low, high = mixture.quantile([0.2, 0.7])[0]
    mass, _ = quad(lambda y: np.exp(mixture.log_prob([y])[0]), low, high, limit=200)
    assert abs(mass - 0.5) < 1e-6


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([0, 1, 7]), st.integers(1, 6), seeds)
def test_quantile_inverts_cdf(n, k, seed):
    mixture = draw_mixture(n, k, 1, seed=seed)
    p = np.array([1e-12, 0.01, 0.3, 0.5, 0.500001, 0.9, 1.0 - 1e-9])
    y = mixture.quantile(p)
    assert y.shape == (n, 7)
    assert (np.diff(y, axis=1) > 0.0).all()
    assert_allclose(mixture.cdf(y[:, :, None]), np.broadcast_to(p, (n, 7)), rtol=1e-10, atol=0.0)
    given_y = mixture.mean()[:, 0] + 0.3
    back = mixture.quantile(mixture.cdf(given_y)[:, None])[:, 0]
    density = np.exp(mixture.log_prob(given_y))  # where it is next to 0, the cdf hardly tells y
    assert (density * np.abs(back - given_y) < 1e-12).all()
    assert_array_equal(mixture.quantile(0.3), y[:, 2])
    assert_array_equal(mixture.quantile([0.0, 1.0]), np.tile([-np.inf, np.inf], (n, 1)))


def test_cdf_at_infinity_and_nan():
    mixture = draw_mixture(4, 3, 1)
    assert_array_equal(mixture.cdf([-np.inf, np.inf, np.nan, np.inf]), [0.0, 1.0, np.nan, 1.0])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.sampled_from([0.05, 0.5, 0.9, 0.999]), seeds)
def test_highest_density_regions(k, level, seed):
    mixture = draw_mixture(3, k, 1, seed=seed)
    for i, intervals in enumerate(mixture.highest_density_region(level)):
        ends = np.ravel(intervals)
        assert (np.diff(ends) > 0.0).all()
        mass = mixture[i].cdf(ends[None, :, None])[0].reshape(-1, 2)
        assert_allclose((mass[:, 1] - mass[:, 0]).sum(), level, atol=1e-10)
        heights = mixture[i].log_prob(ends[None, :, None])[0]
        assert_allclose(heights, heights[0], atol=1e-8)
        grid = np.linspace(ends[0] - 5.0, ends[-1] + 5.0, 2_001)
        inside = (np.searchsorted(ends, grid) % 2).astype(bool)
        above = mixture[i].log_prob(grid[None, :, None])[0] > heights[0]
        assert_array_equal(inside, above)


def test_highest_density_regions_near_the_height_of_a_lesser_mode():
    """There the mass has an infinite derivative by the threshold: one row in many meets it."""
    mixture = draw_mixture(400, 6, 1, seed=67)
    for row, intervals in zip(mixture, mixture.highest_density_region(0.9), strict=True):
        mass = row.cdf(np.reshape(intervals, (1, -1, 1))).reshape(-1, 2)
        assert_allclose((mass[:, 1] - mass[:, 0]).sum(), 0.9, atol=1e-10)


def test_highest_density_region_of_known_distributions():
    assert_allclose(
        line([1.0], [2.0], [3.0]).highest_density_region(0.9)[0],
        [(2.0 - 3.0 * 1.6448536269514722, 2.0 + 3.0 * 1.6448536269514722)],
        rtol=1e-12,
    )
    two = line([0.5, 0.5], [-5.0, 5.0], [0.1, 0.1]).highest_density_region(0.9)[0]
    assert len(two) == 2
    assert draw_mixture(0, 2, 1).highest_density_region(0.5) == []


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_to_sklearn(covariance_type):
    mixture = draw_mixture(3, 4, 2, covariance_type)
    model = mixture.to_sklearn(row=1)
    y = np.random.default_rng([SEED_DATA, 9]).normal(size=(33, 2))
    assert_allclose(model.score_samples(y), mixture[1].log_prob(y[None])[0], rtol=1e-10)
    assert model.sample(5)[0].shape == (5, 2)
    partly = line([0.5, 0.0, 0.5], [0.0, 1.0, 2.0], [1.0, 1.0, 1.0])
    assert_allclose(partly.to_sklearn().score_samples([[0.3]]), partly.log_prob([0.3]), rtol=1e-12)


def test_slices_iteration_and_repr():
    mixture = draw_mixture(7, 3, 2)
    y = np.random.default_rng([SEED_DATA, 8]).normal(size=(7, 2))
    log_prob = mixture.log_prob(y)
    for rows in (slice(2, 5), np.arange(7) > 3, np.array([6, 0]), slice(0, 0)):
        assert_array_equal(mixture[rows].log_prob(y[rows]), log_prob[rows])
    assert len(mixture[-1]) == 1
    assert [len(row) for row in mixture] == [1] * 7
    assert repr(mixture) == "Mixture: 7 rows, 3 components, y in R^2, diag"
    with pytest.raises(IndexError, match="row 7 is out of range for 7 rows"):
        mixture[7]


def test_immutable_and_picklable():
    means = np.zeros((2, 1, 1))
    mixture = Mixture(np.zeros((2, 1)), means, np.ones((2, 1, 1)))
    means[:] = 5.0
    assert mixture.means.max() == 0.0
    copy = pickle.loads(pickle.dumps(mixture[1:]))
    assert_array_equal(copy.sample(3, 1), mixture.sample(3, 1)[1:])
    for one in (mixture, mixture[:1], copy):
        with pytest.raises(ValueError, match="read-only"):
            one.means[0] = 1.0
    with pytest.raises(AttributeError):
        mixture.means = means


def test_weights_are_normalised():
    mixture = Mixture([[1000.0, 1000.0], [-np.inf, 3.0]], np.zeros((2, 2, 1)), np.ones((2, 2, 1)))
    assert_allclose(mixture.weights, [[0.5, 0.5], [0.0, 1.0]])


ONES = np.ones((2, 3, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ONES[:, :, 0], np.ones((2, 3)), ONES), r"means must have shape \(n, K, D\)"),
        ((np.ones((2, 2)), ONES, ONES), r"log_weights must have shape \(n, K\) = \(2, 3\)"),
        ((ONES[:, :, 0], ONES, ONES, "spherical"), r"scales must have shape \(n, K\) = \(2, 3\)"),
        ((ONES[:, :, 0], ONES, ONES, "full"), r"scales must have shape \(n, K, D, D\)"),
        ((ONES[:, :, 0], ONES, -ONES), "scales must be positive, got -1"),
        ((ONES[:, :, 0], ONES, 1e200 * ONES), "scales must be between 1e-140 and 1e"),
        ((ONES[:, :, 0], ONES, np.ones((2, 3, 2, 2)), "full"), "above a diagonal"),
        ((ONES[:, :, 0], ONES, np.zeros((2, 3, 2, 2)), "full"), "diagonals of scales must be posi"),
        ((ONES[:, :, 0], np.nan * ONES, ONES), "means must be finite, got nan in row 0"),
        ((ONES[:, :, 0], ONES, np.inf * ONES), "scales must be finite, got inf"),
        ((np.nan * ONES[:, :, 0], ONES, ONES), "log_weights must be finite or -inf"),
        ((-np.inf * ONES[:, :, 0], ONES, ONES), "-inf throughout row 0"),
        ((ONES[:, :, 0], ONES, ONES, "tied"), "covariance_type must be one of"),
    ],
)
def test_bad_components(arguments, message):
    with pytest.raises(ValueError, match=message):
        Mixture(*arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.log_prob(np.zeros((3, 2))), r"y must have shape \(2, 2\)"),
        (lambda m: m.log_prob(np.zeros(2)), r"y must have shape \(2, 2\)"),
        (lambda m: m.cdf([0.0, 0.0]), "cdf is for mixtures in one dimension, this one has 2"),
        (lambda m: m.quantile(0.5), "quantile is for mixtures in one dimension"),
        (lambda m: m.highest_density_region(0.5), "highest_density_region is for mixtures in one"),
        (lambda m: m.sample(-1), "n_samples must be at least 0"),
        (lambda m: m.sample(1, [1, 2, 3]), "random_state must hold a seed for each of 2 rows"),
    ],
)
def test_bad_requests(call, message):
    with pytest.raises(ValueError, match=message):
        call(draw_mixture(2, 3, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.quantile([0.5, 1.5]), r"p must be in \[0, 1\], got 1.5"),
        (lambda m: m.quantile(np.nan), r"p must be in \[0, 1\], got nan"),
        (lambda m: m.quantile(np.full((3, 2), 0.5)), r"p must have shape"),
        (lambda m: m.highest_density_region(1.0), "level must be finite and greater than 0.0"),
    ],
)
def test_bad_requests_in_one_dimension(call, message):
    with pytest.raises(ValueError, match=message):
        call(draw_mixture(2, 3, 1))


@pytest.mark.parametrize(
    ("raw", "options", "message"),
    [
        (np.zeros((2, 5)), {}, r"raw must have shape \(n, 10\), got shape \(2, 5\)"),
        (np.full((2, 10), np.nan), {}, "raw must not hold NaN, got some in row 0"),
        (np.zeros((2, 10)), {"scale": [1.0, 0.0]}, "scale must be positive, got 0"),
        (np.zeros((2, 10)), {"mean": [1.0]}, r"mean must have shape \(\) or \(2,\)"),
        (np.zeros((2, 10)), {"mean": np.inf}, "mean must be finite"),
    ],
)
def test_bad_raw(raw, options, message):
    with pytest.raises(ValueError, match=message):
        Mixture.from_raw(raw, MixtureSpec(2, 2), **options)
