"""The compiled perceptron, every instruction set in turn, against the reference in float64."""

import signal
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastinv import _core
from fastinv.backends import get_backend
from fastinv.functions.networks import ACTIVATIONS, LOSSES, NetworkSpec

REFERENCE = get_backend("reference")
CPP = {isa: get_backend("cpp", isa=isa) for isa in _core.isas()}
# Relative to the size of the result: sums of up to a few hundred terms.
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}

specs = st.builds(
    NetworkSpec,
    st.lists(st.sampled_from([1, 2, 5, 7, 16, 33, 40]), min_size=2, max_size=4).map(tuple),
    st.sampled_from(ACTIVATIONS),
)
isas = st.sampled_from(_core.isas())
dtypes = st.sampled_from([np.float32, np.float64])
batches = st.sampled_from([1, 2, 7, 16, 33])


def draw(spec, n, dtype, seed):
    rng = np.random.default_rng([30, seed])
    parameters = (rng.normal(size=spec.n_parameters) * 0.6).astype(dtype)
    X = rng.normal(size=(n, spec.n_inputs)).astype(dtype)
    Y = rng.normal(size=(n, spec.n_outputs)).astype(dtype)
    return parameters, X, Y


def assert_close(found, exact, dtype):
    scale = max(1.0, float(np.abs(exact).max(initial=0.0)))
    assert found.shape == exact.shape
    np.testing.assert_allclose(found, exact, rtol=0, atol=TOLERANCE[dtype] * scale)


@settings(max_examples=80, deadline=None)
@given(specs, batches, dtypes, isas, st.integers(0, 99))
def test_forward_against_the_reference(spec, n, dtype, isa, seed):
    parameters, X, _ = draw(spec, n, dtype, seed)
    found = CPP[isa].network(spec, parameters).forward(X)
    assert found.dtype == dtype
    assert_close(found, REFERENCE.network(spec, parameters).forward(X), dtype)


@settings(max_examples=80, deadline=None)
@given(specs, batches, dtypes, isas, st.sampled_from(LOSSES), st.integers(0, 99))
def test_gradient_against_the_reference(spec, n, dtype, isa, loss, seed):
    parameters, X, Y = draw(spec, n, dtype, seed)
    found_loss, found = CPP[isa].loss_and_gradient(spec, parameters, X, Y, loss=loss)
    exact_loss, exact = REFERENCE.loss_and_gradient(spec, parameters, X, Y, loss=loss)
    assert found_loss == pytest.approx(exact_loss, rel=TOLERANCE[dtype])
    if dtype == np.float64 or (loss == "squared_error" and spec.activation != "relu"):
        # In float32 a unit at a kink may fall to the other side of it than in float64.
        assert_close(found, exact, dtype)


@settings(max_examples=30, deadline=None)
@given(
    st.builds(
        NetworkSpec,
        st.lists(st.sampled_from([1, 3, 7, 17]), min_size=2, max_size=4).map(tuple),
        st.sampled_from(["silu", "tanh", "identity"]),
    ),
    batches,
    isas,
    st.integers(0, 99),
)
def test_gradient_against_fourth_order_differences(spec, n, isa, seed):
    parameters, X, Y = draw(spec, n, np.float64, seed)
    backend = CPP[isa]
    _, gradient = backend.loss_and_gradient(spec, parameters, X, Y)
    direction = np.random.default_rng([31, seed]).normal(size=parameters.shape)
    h = 1e-3

    def loss(step):
        moved = parameters + step * h * direction
        return backend.loss_and_gradient(spec, moved, X, Y)[0]

    quotient = (8 * (loss(1) - loss(-1)) - (loss(2) - loss(-2))) / (12 * h)
    size = np.linalg.norm(gradient) * np.linalg.norm(direction) + 1.0
    assert gradient @ direction == pytest.approx(quotient, abs=1e-8 * size)


@settings(max_examples=30, deadline=None)
@given(specs, dtypes, isas, st.sampled_from([1, 7, 32]), st.integers(0, 99))
def test_training_against_the_reference(spec, dtype, isa, batch_size, seed):
    parameters, X, Y = draw(spec, 33, dtype, seed)
    order = np.random.default_rng([32, seed]).permutation(33)
    # A large epsilon keeps Adam from dividing rounding errors by rounding errors. With larger
    # steps training is unstable for some parameters and multiplies rounding errors by thousands.
    options = {"loss": "huber", "huber_delta": 0.8, "epsilon": 1e-2}
    ours = CPP[isa].trainer(spec, parameters, **options)
    theirs = REFERENCE.trainer(spec, parameters, **options)
    for _ in range(2):
        losses = [
            t.train_epoch(X, Y, order, batch_size=batch_size, learning_rate=1e-3)
            for t in (ours, theirs)
        ]
    dtype_tolerance = 2e-4 if dtype == np.float32 else 1e-10
    assert losses[0] == pytest.approx(losses[1], rel=dtype_tolerance)
    np.testing.assert_allclose(ours.parameters(), theirs.parameters(), rtol=0, atol=dtype_tolerance)
    found, exact = ours.state(), theirs.state()
    assert found["step"] == exact["step"] == 2 * -(-33 // batch_size)
    for moment in ("first_moment", "second_moment"):
        np.testing.assert_allclose(found[moment], exact[moment], rtol=0, atol=dtype_tolerance)


@settings(max_examples=40, deadline=None)
@given(specs, isas, st.sampled_from([1, 7, 32, 97]), st.integers(0, 99))
def test_a_row_has_the_same_bits_in_every_batch_and_for_every_thread(spec, isa, n, seed):
    parameters, X, _ = draw(spec, 200, np.float32, seed)
    network = CPP[isa].network(spec, parameters)
    whole = network.forward(X)
    np.testing.assert_array_equal(network.forward(X, n_threads=2), whole)
    np.testing.assert_array_equal(network.forward(X[:n].copy()), whole[:n])
    np.testing.assert_array_equal(network.forward(X[-n:].copy(), n_threads=3), whole[-n:])


@settings(max_examples=25, deadline=None)
@given(specs, isas, st.sampled_from([1, 7, 32]), st.integers(0, 99))
def test_training_has_the_same_bits_for_every_number_of_threads(spec, isa, batch_size, seed):
    parameters, X, Y = draw(spec, 50, np.float32, seed)
    order = np.random.default_rng([33, seed]).permutation(50)
    results = []
    for n_threads in (1, 2, 3):
        trainer = CPP[isa].trainer(spec, parameters, loss="absolute_error")
        loss = trainer.train_epoch(
            X, Y, order, batch_size=batch_size, learning_rate=1e-2, n_threads=n_threads
        )
        value = trainer.loss(X, Y, n_threads=n_threads)
        gradient = CPP[isa].loss_and_gradient(spec, parameters, X, Y, n_threads=n_threads)[1]
        results.append(
            (loss, value, trainer.parameters(), trainer.state()["second_moment"], gradient)
        )
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_wide_layers(isa, activation):
    """More than one panel, row block and inference block, with remainders in all of them."""
    spec = NetworkSpec((6, 131, 77, 3), activation)
    rng = np.random.default_rng(34)
    parameters = rng.normal(size=spec.n_parameters) * 0.1
    X, Y = rng.normal(size=(101, 6)), rng.normal(size=(101, 3))
    backend = CPP[isa]
    assert_close(
        backend.network(spec, parameters).forward(X, n_threads=2),
        REFERENCE.network(spec, parameters).forward(X),
        np.float64,
    )
    found = backend.loss_and_gradient(spec, parameters, X, Y, n_threads=2)
    exact = REFERENCE.loss_and_gradient(spec, parameters, X, Y)
    assert found[0] == pytest.approx(exact[0], rel=1e-12)
    assert_close(found[1], exact[1], np.float64)


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_outputs", [1, 2, 3, 5, 7, 8, 9])
def test_few_outputs(isa, dtype, n_outputs):
    """Layers with few outputs are kept and summed in another way, up to a number of them that
    depends on the registers."""
    for width in (1, 7, 33, 64):
        spec = NetworkSpec((3, width, n_outputs), "tanh")
        for n in (1, 7, 33):
            parameters, X, Y = draw(spec, n, dtype, 10 * n_outputs + n)
            network = CPP[isa].network(spec, parameters)
            assert_close(network.forward(X), REFERENCE.network(spec, parameters).forward(X), dtype)
            found = CPP[isa].loss_and_gradient(spec, parameters, X, Y, n_threads=2)
            exact = REFERENCE.loss_and_gradient(spec, parameters, X, Y)
            assert found[0] == pytest.approx(exact[0], rel=TOLERANCE[dtype])
            if dtype == np.float64:
                assert_close(found[1], exact[1], dtype)


@pytest.mark.parametrize("isa", _core.isas())
def test_a_row_that_is_not_finite_stays_alone(isa):
    spec = NetworkSpec((3, 33, 20, 2), "relu")
    parameters, X, _ = draw(spec, 12, np.float32, 0)
    network = CPP[isa].network(spec, parameters)
    clean = network.forward(X)
    X[4, 1], X[9] = np.nan, np.inf
    found = network.forward(X)
    others = np.delete(np.arange(12), [4, 9])
    np.testing.assert_array_equal(found[others], clean[others])
    assert np.isnan(found[4]).all()
    assert not np.isfinite(found[9]).any()


@pytest.mark.parametrize("isa", _core.isas())
def test_no_rows(isa):
    spec = NetworkSpec((3, 5, 2), "tanh")
    parameters, X, _ = draw(spec, 0, np.float32, 0)
    assert CPP[isa].network(spec, parameters).forward(X, n_threads=2).shape == (0, 2)


def test_parameters_survive_packing():
    for isa in _core.isas():
        spec = NetworkSpec((3, 70, 9, 1), "relu")
        parameters, _, _ = draw(spec, 1, np.float32, 0)
        np.testing.assert_array_equal(CPP[isa].trainer(spec, parameters).parameters(), parameters)


def test_a_trainer_refuses_a_second_thread():

    spec = NetworkSpec((4, 64, 64, 2), "relu")
    parameters, X, Y = draw(spec, 4000, np.float32, 0)
    trainer = CPP[_core.default_isa()].trainer(spec, parameters)
    order = np.arange(4000)
    started, refused = threading.Barrier(2), []

    def train():
        started.wait()
        for _ in range(20):
            try:
                trainer.train_epoch(X, Y, order, batch_size=32, learning_rate=1e-3)
            except RuntimeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=train) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused
    assert set(refused) == {"this trainer is in use by another thread"}


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slopes_at_zero_and_at_nan(isa, dtype):
    spec = NetworkSpec((2, 5, 1), "relu")
    parameters = np.zeros(spec.n_parameters, dtype=dtype)
    spec.layers(parameters)[1][0][:] = 1.0
    X, Y = np.ones((3, 2), dtype=dtype), np.ones((3, 1), dtype=dtype)
    _, gradient = CPP[isa].loss_and_gradient(spec, parameters, X, Y)
    (weights, biases), (_, last) = spec.layers(gradient)
    assert (weights == 0).all()  # every unit is at zero, where the slope is 0
    assert (biases == 0).all()
    assert last == -2.0
    for loss in LOSSES:
        parameters[-1] = np.nan
        value, gradient = CPP[isa].loss_and_gradient(spec, parameters, X, Y, loss=loss)
        assert np.isnan(value)
        assert np.isnan(gradient[-1])


class Stopped(Exception):
    """What the signal handler below raises."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that sends a signal")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_signal_ends_an_epoch_between_two_steps(n_threads):
    """As Ctrl-C does, by a handler that raises."""

    def stop(number, frame):
        raise Stopped

    spec = NetworkSpec((4, 256, 256, 2), "relu")
    parameters, X, Y = draw(spec, 64, np.float32, 0)
    trainer = CPP[_core.default_isa()].trainer(spec, parameters)
    order = np.zeros(3_000_000, dtype=np.int64)  # work for many seconds
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Stopped):
            trainer.train_epoch(X, Y, order, batch_size=32, learning_rate=1e-3, n_threads=n_threads)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert 0 < trainer.state()["step"] < len(order) // 32
    assert np.isfinite(trainer.loss(X, Y))
