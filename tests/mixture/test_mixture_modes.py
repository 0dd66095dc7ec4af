"""Modes of Gaussian mixtures: every instruction set against the reference, batches, threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fastinv import _core
from fastinv.backends import get_backend
from fastinv.functions.networks import COVARIANCES

REFERENCE = get_backend("reference")
CPP = {isa: get_backend("cpp", isa=isa) for isa in _core.isas()}
SEED_DATA = 311


def draw_components(n, k, d, covariance_type, seed):
    """Weights, means and Cholesky factors of mixtures whose components overlap."""
    rng = np.random.default_rng([SEED_DATA, seed])
    weights = rng.dirichlet(np.ones(k), n)
    scales = np.exp(rng.normal(-0.5, 0.6, (n, k, 1 if covariance_type == "spherical" else d)))
    lower = np.zeros((n, k, d, d))
    if covariance_type == "full":
        lower += np.tril(rng.normal(size=(n, k, d, d)), -1)
    lower[..., np.arange(d), np.arange(d)] = scales
    return weights, 2.0 * rng.normal(size=(n, k, d)), lower


def one_row(weights, means, scales):
    weights, means = np.array([weights]), np.array([means], dtype=np.float64)
    return weights, means, np.asarray(scales)[None, ..., None] * np.eye(means.shape[2])


def assert_same_modes(found, expected, unit, atol=1e-7):
    """The same modes of each row with the same weights, in any order of equal heights."""
    (x, weights), (wanted_x, wanted_weights) = found, expected
    assert x.shape == wanted_x.shape
    assert_array_equal(np.isnan(x).sum(axis=1), np.isnan(wanted_x).sum(axis=1))
    count = np.isfinite(wanted_x[:, :, 0]).sum(axis=1)
    for i, m in enumerate(count):
        distances = np.abs(x[i, :m, None] - wanted_x[i, None, :m]).max(axis=2)
        partner = distances.argmin(axis=0)
        assert sorted(partner) == list(range(m))
        assert distances.min(axis=0).max() < atol * unit
        assert_allclose(weights[i, partner], wanted_weights[i, :m], rtol=1e-12, atol=1e-15)
        assert (weights[i, m:] == 0.0).all()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(CPP)),
    st.sampled_from(COVARIANCES),
    st.sampled_from([0, 1, 7, 33]),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(0, 99),
)
def test_against_the_reference(isa, covariance_type, n, k, d, seed):
    rows = draw_components(n, k, d, covariance_type, seed)
    assert_same_modes(CPP[isa].mixture_modes(*rows), REFERENCE.mixture_modes(*rows), 1.0)


ANGLES = np.pi * np.array([0.5, 7 / 6, 11 / 6])
CORNERS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
HARD = {
    "a mean on a minimum": ([0.49, 0.49, 0.02], [[-2.0], [2.0], [0.0]], [[0.5], [0.5], [3.0]]),
    "a mean on a saddle": (
        [0.49, 0.49, 0.02],
        [[-2.0, 0.0], [2.0, 0.0], [0.0, 0.0]],
        [[0.5, 0.5], [0.5, 0.5], [3.0, 3.0]],
    ),
    "components that cross": ([0.5, 0.5], [[3.0, 0.0], [0.0, 3.0]], [[3.0, 0.1], [0.1, 3.0]]),
    "three corners and the middle": (np.full(3, 1 / 3), CORNERS, np.full((3, 2), 0.712)),
    "weights of zero": ([0.0, 1.0, 0.0], [[-5.0], [0.0], [5.0]], np.full((3, 1), 0.1)),
    "a needle on a hill": ([0.9, 0.1], [[0.0], [0.5]], [[1.0], [1e-12]]),
    "a tiny weight far away": ([1.0, 1e-300], [[0.0], [1e9]], [[1.0], [1.0]]),
}


@pytest.mark.parametrize("isa", list(CPP))
@pytest.mark.parametrize("name", list(HARD))
def test_hard_rows_against_the_reference(isa, name):
    rows = one_row(*HARD[name])
    assert_same_modes(CPP[isa].mixture_modes(*rows), REFERENCE.mixture_modes(*rows), 1.0)


@pytest.mark.parametrize("isa", list(CPP))
def test_flat_top(isa):
    rows = one_row([0.5, 0.5], [[-1.0], [1.0]], np.ones((2, 1)))  # the fourth derivative decides
    x, weights = CPP[isa].mixture_modes(*rows)
    assert x.shape == (1, 1, 1)
    assert abs(x[0, 0, 0]) < 1e-3
    assert weights.tolist() == [[1.0]]


@pytest.mark.parametrize("isa", list(CPP))
@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_bits_do_not_depend_on_batch_or_threads(isa, covariance_type):
    rows = draw_components(33, 6, 2, covariance_type, 5)
    x, weights = CPP[isa].mixture_modes(*rows)
    for n_threads in (2, 5, 64):
        again = CPP[isa].mixture_modes(*rows, n_threads=n_threads)
        assert_array_equal(again[0], x)
        assert_array_equal(again[1], weights)
    for part in (slice(0, 1), slice(4, 11), slice(32, 33)):
        some_x, some_weights = CPP[isa].mixture_modes(*(array[part] for array in rows))
        m = some_x.shape[1]
        assert_array_equal(some_x, x[part, :m])
        assert_array_equal(some_weights, weights[part, :m])
        assert np.isnan(x[part, m:]).all()


@pytest.mark.parametrize("isa", list(CPP))
def test_a_row_of_nan_harms_no_other(isa):
    weights, means, lower = draw_components(9, 5, 2, "full", 3)
    x, mode_weights = CPP[isa].mixture_modes(weights, means, lower)
    means[4] = np.nan
    damaged_x, damaged_weights = CPP[isa].mixture_modes(weights, means, lower)
    others = np.arange(9) != 4
    m = damaged_x.shape[1]
    assert_array_equal(damaged_x[others], x[others, :m])
    assert_array_equal(damaged_weights[others], mode_weights[others, :m])
    assert np.isnan(damaged_x[4]).all()


@pytest.mark.parametrize("isa", list(CPP))
def test_modes_move_with_the_units(isa):
    weights, means, lower = draw_components(7, 5, 2, "diag", 8)
    x, mode_weights = CPP[isa].mixture_modes(weights, means, lower)
    unit = np.array([2.0**40, 2.0**-40])
    moved = CPP[isa].mixture_modes(weights, unit * means, unit[:, None] * lower)
    assert_array_equal(moved[0], unit * x)
    assert_array_equal(moved[1], mode_weights)


@pytest.mark.parametrize("backend", [REFERENCE, *CPP.values()])
def test_refuses(backend):
    weights, means, lower = draw_components(3, 2, 2, "diag", 0)
    with pytest.raises(TypeError, match="weights must have dtype float64"):
        backend.mixture_modes(weights.astype(np.float32), means, lower)
    with pytest.raises(ValueError, match=r"weights must have shape \(3, 2\)"):
        backend.mixture_modes(weights[:, :1], means, lower)
    with pytest.raises(ValueError, match=r"lower must have shape \(3, 2, 2, 2\)"):
        backend.mixture_modes(weights, means, lower[..., 0])
    with pytest.raises(ValueError, match="n_threads must be"):
        backend.mixture_modes(weights, means, lower, n_threads=0)
