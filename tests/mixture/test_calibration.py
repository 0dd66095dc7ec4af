"""Calibration: right distributions are covered as they should be, wrong ones are found out."""

from __future__ import annotations

import io

import numpy as np
import pytest
from scipy.stats import binom, kstest, norm

import fastinv as fi
from fastinv.calibration import calibrate
from fastinv.estimators.mdn import MixtureDensityNetwork
from fastinv.mixture import Mixture
from fastinv.plots import plot_calibration, plot_conditional

SEED = 20241
LEVELS = np.array([0.1, 0.5, 0.8, 0.95])


def mixture_and_values(n, q, scale=1.0, shift=0.0):
    """Two correlated components, and values from the mixture itself, before `scale`, `shift`."""
    rng = np.random.default_rng(SEED)
    weights = np.tile([0.3, 0.7], (n, 1))
    means = np.stack([rng.normal(-3.0, 1.0, (n, q)), rng.normal(2.0, 1.0, (n, q))], axis=1)
    factor = 0.5 * np.eye(q) + 0.3 * np.tri(q, k=-1)
    component = (rng.uniform(size=n) > 0.3).astype(int)
    values = means[np.arange(n), component] + rng.standard_normal((n, q)) @ factor.T
    factors = np.tile(scale * factor, (n, 2, 1, 1))
    return Mixture(np.log(weights), means + shift, factors, "full"), values


@pytest.mark.parametrize("q", [1, 3])
def test_right_distributions_are_covered(q):
    n = 3000
    mixture, values = mixture_and_values(n, q)
    found = calibrate(mixture, None, values, levels=LEVELS, n_samples=199, random_state=SEED)
    low, high = binom.ppf([[1e-4], [1 - 1e-4]], n, LEVELS) / n
    assert found.central_coverage.shape == (4, q)
    for coverage in (*found.central_coverage.T, found.hdr_coverage):
        assert ((low <= coverage) & (coverage <= high)).all()
    for i in range(q):
        assert kstest(found.pit[:, i], "uniform").pvalue > 1e-4
        assert kstest((found.ranks[:, i] + 0.5) / 200, "uniform").pvalue > 1e-4
    assert kstest(found.hdr_level, "uniform").pvalue > 1e-4
    assert found.ranks.min() >= 0
    assert found.ranks.max() <= found.n_samples == 199
    assert len(found) == n


def test_widths_that_are_wrong_show():
    narrow, values = mixture_and_values(1000, 1, scale=0.5)
    found = calibrate(narrow, None, values, levels=LEVELS, random_state=SEED)
    assert (found.hdr_coverage[1:] < LEVELS[1:] - 0.1).all()
    wide, values = mixture_and_values(1000, 1, scale=2.0)
    found = calibrate(wide, None, values, levels=LEVELS, random_state=SEED)
    assert (found.hdr_coverage[1:3] > LEVELS[1:3] + 0.1).all()


def test_shift_shows_in_pit_and_ranks():
    low, values = mixture_and_values(500, 2, shift=-4.0)
    found = calibrate(low, None, values, random_state=SEED)
    assert (found.pit.mean(axis=0) > 0.6).all()
    assert (found.ranks.mean(axis=0) > 0.6 * found.n_samples).all()


def test_one_gaussian_against_scipy():
    n = 7
    values = np.random.default_rng(SEED).normal(1.0, 2.0, (n, 1))
    mixture = Mixture(np.zeros((n, 1)), np.ones((n, 1, 1)), np.full((n, 1, 1), 2.0))
    found = calibrate(mixture, None, values, levels=[0.5], n_samples=4000, random_state=SEED)
    pit = norm.cdf(values, 1.0, 2.0)
    np.testing.assert_allclose(found.pit, pit, rtol=1e-12)
    # Of one Gaussian the highest-density region is the central interval.
    np.testing.assert_allclose(found.hdr_level, 2 * np.abs(pit[:, 0] - 0.5), atol=0.04)
    assert found.central_coverage[0, 0] == np.mean(2 * np.abs(pit - 0.5) <= 0.5)
    np.testing.assert_allclose(found.ranks / 4000, pit, atol=0.04)


def test_one_row_and_repeatable():
    mixture, values = mixture_and_values(1, 2)
    first = calibrate(mixture, None, values, random_state=3)
    again = calibrate(mixture, None, values, random_state=3)
    assert np.array_equal(first.ranks, again.ranks)
    assert set(first.hdr_coverage) <= {0.0, 1.0}
    assert (np.diff(first.hdr_coverage) >= 0.0).all()


@pytest.fixture(scope="module")
def trained():
    x, y = fi.problems.wave.sample(1000, random_state=SEED)
    return MixtureDensityNetwork(8, max_iter=150, random_state=0).fit(y, x)


def test_network_on_held_out_data(trained):
    x, y = fi.problems.wave.sample(1000, random_state=SEED + 1)
    found = calibrate(trained, y, x, levels=LEVELS, n_samples=200, random_state=0)
    np.testing.assert_allclose(found.central_coverage[:, 0], LEVELS, atol=0.08)
    # The true density is flat: which half of it is the denser one is up to the network's ripples.
    np.testing.assert_allclose(found.hdr_coverage, LEVELS, atol=0.16)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"levels": [0.5, 1.0]}, ValueError, "levels must be .* strictly between 0 and 1"),
        ({"levels": []}, ValueError, "levels must be"),
        ({"levels": [np.nan]}, ValueError, "levels must be"),
        ({"n_samples": 0}, ValueError, "n_samples must be positive"),
        ({"X": [[1.0]]}, ValueError, "X must be None where model is a Mixture"),
        ({"y": np.zeros((6, 1))}, ValueError, "y must have as many rows .* 7.* got 6"),
        ({"y": np.full((7, 1), np.inf)}, ValueError, "y must be finite"),
        ({"model": object()}, TypeError, "model must be a Mixture or have predict_distribution"),
    ],
)
def test_refuses(change, error, message):
    mixture, values = mixture_and_values(7, 1)
    arguments = {"model": mixture, "X": None, "y": values, **change}
    with pytest.raises(error, match=message):
        calibrate(**arguments)


def test_estimator_needs_inputs(trained):
    with pytest.raises(ValueError, match="X must be given where model is an estimator"):
        calibrate(trained, None, [[0.5]])


def test_calibration_plot():
    mixture, values = mixture_and_values(400, 2)
    found = calibrate(mixture, None, values, levels=LEVELS, random_state=SEED)
    axes = plot_calibration(found)
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_array_equal(
        lines["highest-density region"], np.stack([LEVELS, found.hdr_coverage], axis=1)
    )
    np.testing.assert_array_equal(lines["central interval"][:, 1], found.central_coverage[:, 0])
    (band,) = axes.collections
    middle = band.get_paths()[0].vertices
    middle = middle[np.abs(middle[:, 0] - 0.5) < 1e-9, 1]
    np.testing.assert_allclose([middle.min(), middle.max()], [0.45, 0.55], atol=0.005)
    axes.figure.savefig(io.BytesIO(), format="png")
    with pytest.raises(ValueError, match="confidence must be"):
        plot_calibration(found, confidence=1.0)


def test_conditional_plot(trained):
    x, y = fi.problems.wave.sample(100, random_state=SEED)
    axes = plot_conditional(trained, y, x)
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_array_equal(lines["data"], np.hstack([y, x]))
    modes = lines["modes"]
    here = modes[np.abs(modes[:, 0] - 0.4) < 0.02, 1]
    # At y = 0.4 the data lie in these two intervals.
    for low, high in ((0.11, 0.21), (0.5, 0.79)):
        assert ((low < here) & (here < high)).any()
    axes.figure.savefig(io.BytesIO(), format="png")
    with pytest.raises(ValueError, match="X and y must have one column each, got 2 and 1"):
        plot_conditional(trained, np.hstack([y, x]), x)
