"""Regions of highest density where components are narrower than floats are apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from fastinv.mixture import Mixture

LEVELS = [1e-3, 0.2, 0.5, 0.9, 1 - 1e-5]


def mixture(weights, means, scales):
    shape = (1, len(weights), 1)
    return Mixture(np.log([weights]), np.reshape(means, shape), np.reshape(scales, shape))


def mass(found, weights, means, scales):
    """Of the intervals up to the next floats, by the components as they are."""
    ends = np.nextafter(np.array(found), [-np.inf, np.inf])
    low, high = ends.T[:, :, None]
    with np.errstate(over="ignore"):
        inside = ndtr((high - means) / scales) - ndtr((low - means) / scales)
    return float((weights * inside).sum())


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("mean", [0.0, 1e-300, 1.0, -1e6, 1e100, -1e250])
@pytest.mark.parametrize("scale", [1e-140, 1e-20, 1e-16, 1e-9, 1.0, 1e140])
def test_one_component(mean, scale, level):
    (((low, high),),) = mixture([1.0], [mean], [scale]).highest_density_region(level)
    assert low <= mean <= high
    spacings = np.spacing(max(abs(low), abs(high)))
    assert high - low <= 10.0 * scale + 200.0 * spacings
    weights, means, scales = (np.array([v]) for v in (1.0, mean, scale))
    assert mass([(low, high)], weights, means, scales) >= level - 1e-6


@pytest.mark.parametrize("scale", [1e-140, 1e-30, 1e-17, 1e-16, 1e-15])
def test_two_spikes(scale):
    two = mixture([0.3, 0.7], [-1.0, 1.0], [scale, scale])
    for level, centres in ((0.3, [1.0]), (0.5, [1.0]), (0.9, [-1.0, 1.0])):
        (found,) = two.highest_density_region(level)
        assert all(low <= c <= high for (low, high), c in zip(found, centres, strict=True))
        assert all(high - low < 1e-13 for low, high in found)


@pytest.mark.parametrize("place", [-1.0, 0.5, 1.0])
@pytest.mark.parametrize("scale", [1e-140, 1e-25, 1e-17])
def test_a_spike_beside_or_on_something_broad(scale, place):
    weights, means, scales = np.array([0.3, 0.7]), np.array([place, 1.0]), np.array([scale, 1.0])
    both = mixture(weights, means, scales)
    (spike,) = both.highest_density_region(0.2)[0]
    assert spike[0] <= place <= spike[1]
    assert spike[1] - spike[0] < 1e-13
    (found,) = both.highest_density_region(0.9)
    assert mass(found, weights, means, scales) == pytest.approx(0.9, abs=1e-6)
    assert any(low <= place <= high for low, high in found)


@settings(max_examples=60, deadline=None)
@given(
    exponents=st.lists(st.integers(-140, 2), min_size=1, max_size=4),
    shift=st.sampled_from([0.0, 1.0, 1e9]),
    level=st.sampled_from(LEVELS),
    seed=st.integers(0, 99),
)
def test_there_is_always_a_region_with_the_mass(exponents, shift, level, seed):
    rng = np.random.default_rng(seed)
    k = len(exponents)
    weights = rng.dirichlet(np.ones(k))
    means, scales = shift + 3.0 * rng.normal(size=k), 10.0 ** np.array(exponents)
    (found,) = mixture(weights, means, scales).highest_density_region(level)
    assert found
    ends = np.array(found).ravel()
    assert (np.diff(ends) >= 0.0).all()
    assert mass(found, weights, means, scales) >= 0.95 * level  # ends are rounded to floats
