"""What the perceptron's kernels leave in scratch memory reaches no other row and no later call."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastinv import _core
from fastinv.backends import get_backend
from fastinv.functions.networks import ACTIVATIONS, NetworkSpec

CPP = {isa: get_backend("cpp", isa=isa) for isa in _core.isas()}
isas = st.sampled_from(_core.isas())
dtypes = st.sampled_from([np.float32, np.float64])
activations = st.sampled_from(ACTIVATIONS)
# Few outputs are computed in another way than many; what decides depends on the registers.
WIDTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 33, 64]
widths = st.lists(st.sampled_from(WIDTHS), min_size=2, max_size=5).map(tuple)


def draw(spec, n, dtype, seed):
    rng = np.random.default_rng([60, seed])
    parameters = (rng.normal(size=spec.n_parameters) * 0.6).astype(dtype)
    X = rng.normal(size=(n, spec.n_inputs)).astype(dtype)
    Y = rng.normal(size=(n, spec.n_outputs)).astype(dtype)
    return parameters, X, Y


def rows_beside_broken_ones_are_the_same(sizes, activation, dtype, isa, seed=0):
    spec = NetworkSpec(sizes, activation)
    parameters, X, _ = draw(spec, 210, dtype, seed)  # more than pass through the layers together
    network = CPP[isa].network(spec, parameters)
    clean = network.forward(X)
    broken = np.zeros(len(X), dtype=bool)
    broken[[0, 3, 50, 95, 96, 130]] = True
    X[broken] = np.nan
    found = network.forward(X)
    np.testing.assert_array_equal(found[~broken], clean[~broken])
    assert np.isnan(found[broken]).all()


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", [(64, 64, 4), (4,), (7, 3, 5), (64, 1, 1), (9, 8, 7, 2)])
def test_a_broken_row_leaves_the_others_alone(hidden, dtype, isa):
    for activation in ACTIVATIONS:
        rows_beside_broken_ones_are_the_same((3, *hidden, 2), activation, dtype, isa)


@settings(max_examples=60, deadline=None)
@given(widths, activations, dtypes, isas, st.integers(0, 99))
def test_a_broken_row_leaves_the_others_alone_whatever_the_widths(
    sizes, activation, dtype, isa, seed
):
    rows_beside_broken_ones_are_the_same(sizes, activation, dtype, isa, seed)


@settings(max_examples=60, deadline=None)
@given(widths, activations, dtypes, isas, st.integers(0, 99), st.sampled_from([1, 2, 3]))
def test_training_is_the_same_after_one_that_broke(sizes, activation, dtype, isa, seed, n_threads):
    """Both take the same memory, one after the other."""
    spec = NetworkSpec(sizes, activation)
    parameters, X, Y = draw(spec, 33, dtype, seed)
    order = np.arange(33)

    def train(X):
        trainer = CPP[isa].trainer(spec, parameters)
        for _ in range(2):
            loss = trainer.train_epoch(
                X, Y, order, batch_size=13, learning_rate=1e-2, n_threads=n_threads
            )
        gradient = CPP[isa].loss_and_gradient(spec, parameters, X, Y, n_threads=n_threads)[1]
        return trainer.parameters(), gradient, loss, trainer.loss(X, Y, n_threads=n_threads)

    before = train(X)
    train(np.full_like(X, np.nan))
    for found, expected in zip(train(X), before, strict=True):
        np.testing.assert_array_equal(found, expected)
