"""Batches of Gaussian mixtures against SciPy, scikit-learn, formulas and dense grids."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal

import fastinv as fi
from fastinv.backends.protocol import COVARIANCES, MixtureSpec

SEED = 900


def random_mixture(n, k, d, covariance_type="diag", seed=0, spread=1.0, scale=0.4):
    rng = np.random.default_rng([SEED, seed])
    shapes = {"spherical": (n, k), "diag": (n, k, d), "full": (n, k, d, d)}
    scales = scale * np.exp(0.4 * rng.normal(size=shapes[covariance_type]))
    if covariance_type == "full":
        scales = np.tril(scales * np.where(np.eye(d), 1.0, rng.choice([-1.0, 1.0], size=(d, d))))
    means = spread * rng.normal(size=(n, k, d))
    return fi.Mixture(rng.normal(size=(n, k)), means, scales, covariance_type)


def log_prob_by_scipy(mixture, row, y):
    terms = [
        np.log(w) + multivariate_normal(m, c).logpdf(y)
        for w, m, c in zip(
            mixture.weights[row], mixture.means[row], mixture.covariances[row], strict=True
        )
    ]
    return logsumexp(terms, axis=0)


@settings(max_examples=40, deadline=None)
@given(
    n=st.sampled_from([1, 7]),
    k=st.integers(1, 5),
    d=st.integers(1, 4),
    covariance_type=st.sampled_from(COVARIANCES),
    seed=st.integers(0, 99),
)
def test_log_prob_against_scipy(n, k, d, covariance_type, seed):
    mixture = random_mixture(n, k, d, covariance_type, seed)
    y = np.random.default_rng([SEED + 1, seed]).normal(size=(n, 3, d))
    found = mixture.log_prob(y)
    assert found.shape == (n, 3)
    for row in range(n):
        np.testing.assert_allclose(found[row], log_prob_by_scipy(mixture, row, y[row]), rtol=1e-10)
    np.testing.assert_array_equal(mixture.log_prob(y[:, 0]), found[:, 0])


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_from_raw_is_the_density_that_the_loss_is_of(covariance_type):
    spec = MixtureSpec(3, 2, covariance_type, min_weight=0.02, min_scale=0.1)
    rng = np.random.default_rng(SEED + 2)
    raw, t = rng.normal(size=(9, spec.n_raw)), rng.normal(size=(9, 2))
    loss, _ = fi.mixture_nll(raw, t, 3, covariance_type, min_weight=0.02, min_scale=0.1)
    np.testing.assert_allclose(fi.Mixture.from_raw(raw, spec).log_prob(t), -loss, rtol=1e-12)
    mean, scale = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    scaled = fi.Mixture.from_raw(raw, spec, mean=mean, scale=scale)
    np.testing.assert_allclose(
        scaled.log_prob(mean + scale * t), -loss - np.log(scale).sum(), rtol=1e-12
    )
    assert len(fi.Mixture.from_raw(raw[:0], spec)) == 0


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_samples_have_the_mixtures_moments(covariance_type):
    mixture = random_mixture(2, 3, 2, covariance_type)
    samples = mixture.sample(40_000, 0)
    assert samples.shape == (2, 40_000, 2)
    np.testing.assert_allclose(samples.mean(axis=1), mixture.mean(), atol=0.03)
    np.testing.assert_allclose(samples.std(axis=1), mixture.std(), atol=0.03)
    for row in range(2):
        np.testing.assert_allclose(np.cov(samples[row].T), mixture.covariance()[row], atol=0.05)


def test_samples_follow_the_distribution_function():
    mixture = random_mixture(3, 4, 1)
    samples = mixture.sample(4000, 1)[:, :, 0]
    for row in range(3):
        one = mixture[row]
        assert kstest(samples[row], lambda y, one=one: one.cdf(y[None])[0]).pvalue > 0.001


def test_a_batch_is_sampled_as_its_rows_are():
    mixture = random_mixture(7, 3, 2, "full")
    whole = mixture.sample(5, 3)
    for row in range(7):
        np.testing.assert_array_equal(mixture[row].sample(5, 3)[0], whole[row])
    np.testing.assert_array_equal(mixture[2:6][1:].sample(5, 3), whole[3:6])
    np.testing.assert_array_equal(mixture[np.arange(7) % 2 == 0].sample(5, 3), whole[::2])
    assert (mixture.sample(5, 4) != whole).any()


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_modes_are_the_maxima_on_a_dense_grid(k, seed):
    mixture = random_mixture(20, k, 1, seed=seed)
    grid = np.linspace(-6.0, 6.0, 24001)
    density = mixture.log_prob(np.broadcast_to(grid[:, None], (20, len(grid), 1)))
    peak = (density[:, 1:-1] > density[:, :-2]) & (density[:, 1:-1] >= density[:, 2:])
    modes = mixture.modes()
    for row in range(20):
        expected = grid[1:-1][peak[row]]
        assert modes.count[row] == len(expected)
        found = np.sort(modes.x[row, : modes.count[row], 0])
        np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(modes.weight.sum(axis=1), 1.0)
    assert (np.diff(np.where(np.isfinite(modes.log_prob), modes.log_prob, -1e9)) <= 0).all()


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_modes_in_the_plane_have_no_slope_and_fall_all_around(covariance_type):
    mixture = random_mixture(40, 6, 2, covariance_type, seed=5)
    modes = mixture.modes()
    rng = np.random.default_rng(SEED + 3)
    directions = rng.normal(size=(64, 2))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    for row in range(40):
        one = mixture[row]
        for i in range(modes.count[row]):
            top = modes.x[row, i]
            height = one.log_prob(top[None])[0]
            assert height == pytest.approx(modes.log_prob[row, i])
            around = one.log_prob((top + 1e-3 * directions)[None])[0]
            assert (around < height).all()


def test_components_are_not_modes():
    close = fi.Mixture(np.zeros((1, 2)), [[[-0.2], [0.2]]], np.full((1, 2, 1), 1.0))
    modes = close.modes()
    assert modes.count[0] == 1
    np.testing.assert_allclose(modes.x[0, 0], 0.0, atol=1e-8)
    assert modes.weight[0, 0] == pytest.approx(1.0)
    # The mean of the middle one is a minimum, where a climb by the slope alone would stay.
    trap = fi.Mixture(
        np.log([[0.49, 0.49, 0.02]]), [[[-1.0], [1.0], [0.0]]], np.full((1, 3, 1), 0.4)
    )
    modes = trap.modes()
    assert modes.count[0] == 2
    np.testing.assert_allclose(np.sort(modes.x[0, :2, 0]), [-1.0, 1.0], atol=0.05)


def test_a_row_has_the_same_modes_in_every_batch():
    mixture = random_mixture(30, 5, 2, "full", seed=7)
    whole = mixture.modes()
    for row in (0, 13, 29):
        one = mixture[row].modes()
        count = one.count[0]
        assert count == whole.count[row]
        np.testing.assert_array_equal(one.x[0, :count], whole.x[row, :count])
    assert mixture[:0].modes().x.shape == (0, 0, 2)


def test_distribution_function_and_quantiles():
    mixture = random_mixture(4, 3, 1, seed=8)
    for row in range(4):
        one = mixture[row]
        mass = quad(lambda y, one=one: np.exp(one.log_prob([[y]])[0]), -30.0, 0.3, limit=200)[0]
        assert one.cdf([0.3])[0] == pytest.approx(mass, abs=1e-7)
    levels = np.array([1e-6, 0.05, 0.5, 0.95, 1 - 1e-6])
    y = mixture.quantile(levels)
    assert y.shape == (4, 5)
    np.testing.assert_allclose(mixture.cdf(y), np.tile(levels, (4, 1)), rtol=1e-9)
    assert (np.diff(y, axis=1) > 0).all()
    np.testing.assert_array_equal(mixture.quantile(0.5), y[:, 2])


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_highest_density_regions(level):
    mixture = random_mixture(12, 3, 1, seed=9, spread=1.5, scale=0.3)
    regions = mixture.highest_density_region(level)
    assert any(len(region) > 1 for region in regions)
    for row, region in enumerate(regions):
        one = mixture[row]
        ends = one.cdf(region.reshape(1, -1)).reshape(-1, 2)
        assert (ends[:, 1] - ends[:, 0]).sum() == pytest.approx(level, abs=1e-3)
        heights = one.log_prob(region.reshape(1, -1, 1))[0]
        np.testing.assert_allclose(heights, heights[0], atol=1e-4)
        assert (np.diff(region.ravel()) > 0).all()


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_one_row_as_scikit_learns(covariance_type):
    mixture = random_mixture(3, 4, 2, covariance_type, seed=10)
    y = np.random.default_rng(SEED + 4).normal(size=(33, 2))
    model = mixture.to_sklearn(1)
    expected = mixture[1].log_prob(y[None])[0]
    np.testing.assert_allclose(model.score_samples(y), expected, rtol=1e-10)
    assert model.sample(5)[0].shape == (5, 2)


def test_rows_and_pickling():
    mixture = random_mixture(5, 2, 3)
    assert len(mixture) == 5
    assert [len(row) for row in mixture] == [1] * 5
    assert repr(mixture) == "Mixture: 5 rows, 2 diag components in R^3"
    np.testing.assert_array_equal(mixture[-1].means, mixture.means[4:])
    y = np.zeros((5, 3))
    again = pickle.loads(pickle.dumps(mixture))
    np.testing.assert_array_equal(again.log_prob(y), mixture.log_prob(y))
    with pytest.raises(IndexError, match="row 5 is out of range for 5 rows"):
        mixture[5]
    mixture.means[:] = 7.0
    assert (mixture.means != 7.0).all()


def test_a_weight_of_zero_is_nowhere():
    mixture = fi.Mixture([[0.0, -np.inf]], [[[0.0], [5.0]]], np.ones((1, 2, 1)))
    assert mixture.log_prob([[0.0]])[0] == pytest.approx(-0.5 * np.log(2 * np.pi))
    assert mixture.mean()[0, 0] == 0.0
    assert np.isfinite(mixture.modes().log_prob[:, 0]).all()


GOOD = (np.zeros((2, 3)), np.zeros((2, 3, 2)), np.ones((2, 3, 2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(3), *GOOD[1:]), r"shapes \(n, K\) and \(n, K, D\), got \(3,\)"),
        ((GOOD[0], np.zeros((2, 4, 2)), GOOD[2]), "log_weights and means must have shapes"),
        ((*GOOD[:2], np.ones((2, 3))), r"scales must have shape \(2, 3, 2\) for 'diag'"),
        ((*GOOD[:2], np.zeros((2, 3, 2))), "scales must be positive and finite"),
        ((np.full((2, 3), np.nan), *GOOD[1:]), "log_weights must not be NaN"),
        ((np.full((2, 3), -np.inf), *GOOD[1:]), "one of each row above -inf"),
        ((*GOOD, "round"), "covariance_type must be one of"),
        ((*GOOD[:2], np.ones((2, 3, 2, 2)), "full"), "scales must be lower triangular"),
    ],
)
def test_bad_mixtures(arguments, message):
    with pytest.raises(ValueError, match=message):
        fi.Mixture(*arguments)


def test_bad_arguments():
    plane, line = random_mixture(2, 2, 2), random_mixture(2, 2, 1)
    with pytest.raises(
        ValueError, match=r"y must have shape \(2, 2\) or \(2, m, 2\), got \(3, 2\)"
    ):
        plane.log_prob(np.zeros((3, 2)))
    for call in (lambda: plane.cdf([0.0, 0.0]), lambda: plane.quantile(0.5),
                 plane.highest_density_region):  # fmt: skip
        with pytest.raises(ValueError, match="needs one dimension, the mixture has 2"):
            call()
    with pytest.raises(ValueError, match="level must be a number"):
        line.quantile(1.0)
    with pytest.raises(ValueError, match="level"):
        line.highest_density_region(1.5)
    with pytest.raises(ValueError, match="n_samples"):
        line.sample(0)
