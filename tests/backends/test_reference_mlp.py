"""The reference networks: forward pass, losses, gradients, Adam and the order of batches."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastinv.backends import ReferenceBackend
from fastinv.functions.networks import ACTIVATIONS, LOSSES, NetworkSpec

BACKEND = ReferenceBackend()
SEED_DATA = 101
SEED_EPOCHS = 102
STEP = 1e-5  # of the difference quotients
MARGIN = 0.05  # from every kink; far more than a step moves anything


def draw_parameters(rng, spec):
    return rng.uniform(-1.0, 1.0, spec.n_parameters)


def activate_longhand(activation, z):
    if activation == "relu":
        return max(z, 0.0)
    if activation == "silu":
        return z / (1.0 + math.exp(-z))
    return math.tanh(z) if activation == "tanh" else z


def forward_longhand(spec, parameters, row):
    """The network in plain Python, reading the flat parameters one by one."""
    values, numbers = list(row), iter(parameters.tolist())
    n_layers = len(spec.layer_sizes) - 1
    for layer, (n_in, n_out) in enumerate(pairwise(spec.layer_sizes)):
        weights = [[next(numbers) for _ in range(n_out)] for _ in range(n_in)]
        biases = [next(numbers) for _ in range(n_out)]
        values = [biases[j] + sum(values[i] * weights[i][j] for i in range(n_in))
                  for j in range(n_out)]  # fmt: skip
        if layer < n_layers - 1:
            values = [activate_longhand(spec.activation, z) for z in values]
    assert next(numbers, None) is None
    return values


def move_kinks_away(spec, parameters, X):
    """Set the hidden biases so that no pre-activation is closer to 0 than MARGIN."""
    h = X
    for weights, biases in spec.layers(parameters)[:-1]:
        z = h @ weights
        for unit in range(z.shape[1]):
            values = np.sort(z[:, unit])
            gaps = np.diff(values)
            if gaps.size and gaps.max() > 2 * MARGIN:  # some rows active, some not
                below = int(gaps.argmax())
                biases[unit] = -(values[below] + values[below + 1]) / 2
            else:
                biases[unit] = MARGIN - values[0]
        z = z + biases
        assert np.abs(z).min() >= 0.99 * MARGIN
        h = np.maximum(z, 0.0)


def difference_quotients(function, at):
    """The gradient by central differences of fourth order."""
    gradient = np.empty_like(at)
    for i in range(at.size):
        values = []
        for multiple in (-2, -1, 1, 2):
            moved = at.copy()
            moved[i] += multiple * STEP
            values.append(function(moved))
        gradient[i] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)
    return gradient


@settings(max_examples=60, deadline=None)
@given(
    layer_sizes=st.lists(st.integers(1, 7), min_size=2, max_size=4).map(tuple),
    activation=st.sampled_from(ACTIVATIONS),
    loss=st.sampled_from(LOSSES),
    huber_delta=st.sampled_from([0.5, 1.0, 2.0]),
    n=st.integers(1, 33),
    seed=st.integers(0, 2**32 - 1),
)
def test_gradient_equals_difference_quotients(layer_sizes, activation, loss, huber_delta, n, seed):
    rng = np.random.default_rng(seed)
    spec = NetworkSpec(layer_sizes, activation)
    parameters = draw_parameters(rng, spec)
    X = rng.uniform(-1.0, 1.0, (n, spec.n_inputs))
    if activation == "relu":
        move_kinks_away(spec, parameters, X)
    # |r| in (0.2, 0.8) or (1.2, 1.8) times huber_delta: clear of the kinks at 0 and huber_delta.
    size = rng.uniform(0.2, 0.8, (n, spec.n_outputs)) + rng.integers(0, 2, (n, spec.n_outputs))
    r = huber_delta * size * rng.choice([-1.0, 1.0], size.shape)
    Y = BACKEND.network(spec, parameters).forward(X) - r

    def mean_loss(at):
        return BACKEND.trainer(spec, at, loss=loss, huber_delta=huber_delta).loss(X, Y)

    value, gradient = BACKEND.loss_and_gradient(
        spec, parameters, X, Y, loss=loss, huber_delta=huber_delta
    )
    assert value == pytest.approx(mean_loss(parameters), rel=1e-14)
    np.testing.assert_allclose(
        gradient, difference_quotients(mean_loss, parameters), rtol=1e-7, atol=1e-8
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layer_sizes", [(1, 1), (3, 2), (2, 7, 1), (5, 3, 4, 2)])
def test_forward_equals_the_sum_written_out(layer_sizes, activation):
    rng = np.random.default_rng(SEED_DATA)
    spec = NetworkSpec(layer_sizes, activation)
    parameters = draw_parameters(rng, spec)
    X = rng.normal(size=(7, spec.n_inputs))
    expected = [forward_longhand(spec, parameters, row) for row in X]
    np.testing.assert_allclose(
        BACKEND.network(spec, parameters).forward(X), expected, rtol=1e-13, atol=1e-14
    )


def test_forward_of_no_rows_and_into_out():
    spec = NetworkSpec((2, 3, 4))
    network = BACKEND.network(spec, np.ones(spec.n_parameters))
    assert network.forward(np.empty((0, 2))).shape == (0, 4)
    out = np.empty((33, 4))
    X = np.random.default_rng(SEED_DATA).normal(size=(33, 2))
    assert network.forward(X, out=out) is out
    np.testing.assert_array_equal(out, network.forward(X))


def test_float32_is_computed_in_float64():
    rng = np.random.default_rng(SEED_DATA)
    spec = NetworkSpec((3, 5, 2), "silu")
    parameters = draw_parameters(rng, spec).astype(np.float32)
    X = rng.normal(size=(7, 3)).astype(np.float32)
    Y = rng.normal(size=(7, 2)).astype(np.float32)
    wide = [array.astype(np.float64) for array in (parameters, X, Y)]
    outputs = BACKEND.network(spec, parameters).forward(X)
    assert outputs.dtype == np.float64
    np.testing.assert_array_equal(outputs, BACKEND.network(spec, wide[0]).forward(wide[1]))
    value, gradient = BACKEND.loss_and_gradient(spec, parameters, X, Y)
    wide_value, wide_gradient = BACKEND.loss_and_gradient(spec, *wide)
    assert value == wide_value
    assert gradient.dtype == np.float64
    np.testing.assert_array_equal(gradient, wide_gradient)


def test_a_network_keeps_its_own_parameters():
    spec = NetworkSpec((1, 1))
    parameters = np.array([2.0, 3.0])
    network = BACKEND.network(spec, parameters)
    parameters[:] = 0.0
    assert network.forward(np.array([[5.0]])).item() == 13.0


@pytest.mark.parametrize(
    ("loss", "per_element"),
    [
        ("squared_error", [0.0, 0.25, 4.0, 9.0]),
        ("absolute_error", [0.0, 0.5, 2.0, 3.0]),
        ("huber", [0.0, 0.125, 2.0, 4.0]),  # delta = 2: 2 (3 - 1) beyond it
    ],
)
def test_losses_by_hand(loss, per_element):
    spec = NetworkSpec((1, 2), "identity")
    r = np.array([[0.0, -0.5], [2.0, -3.0]])
    trainer = BACKEND.trainer(spec, np.zeros(4), loss=loss, huber_delta=2.0)
    assert trainer.loss(np.ones((2, 1)), -r) == pytest.approx(np.mean(per_element), rel=1e-15)


def test_derivatives_at_the_kinks_are_zero():
    spec = NetworkSpec((1, 1, 1), "relu")
    parameters = np.array([1.0, 0.0, 1.0, 0.0])
    X, Y = np.zeros((1, 1)), np.full((1, 1), -1.0)  # z = 0, r = 1
    _, gradient = BACKEND.loss_and_gradient(spec, parameters, X, Y)
    np.testing.assert_array_equal(gradient, [0.0, 0.0, 0.0, 2.0])
    _, gradient = BACKEND.loss_and_gradient(spec, parameters, X, 0.0 * Y, loss="absolute_error")
    np.testing.assert_array_equal(gradient, np.zeros(4))


def test_large_inputs_do_not_overflow_in_silu_or_tanh():
    for activation in ("silu", "tanh"):
        spec = NetworkSpec((1, 1, 1), activation)
        network = BACKEND.network(spec, np.array([1.0, 0.0, 1.0, 0.0]))
        low, high = network.forward(np.array([[-1e4], [1e4]])).ravel()
        assert (low, high) == ((0.0, 1e4) if activation == "silu" else (-1.0, 1.0))


def test_adam_equals_its_formula_in_scalars():
    """y = w x + b, squared error, one row a batch: PyTorch's form of Adam written out."""
    rng = np.random.default_rng(SEED_EPOCHS)
    X, Y = rng.normal(size=(7, 1)), rng.normal(size=(7, 1))
    beta_1, beta_2, epsilon, rate = 0.8, 0.95, 1e-3, 0.07
    theta, m, v = [0.3, -0.2], [0.0, 0.0], [0.0, 0.0]
    for t, (x, y) in enumerate(zip(X.ravel(), Y.ravel(), strict=True), start=1):
        r = theta[0] * x + theta[1] - y
        for i, g in enumerate([2.0 * r * x, 2.0 * r]):
            m[i] = beta_1 * m[i] + (1.0 - beta_1) * g
            v[i] = beta_2 * v[i] + (1.0 - beta_2) * g * g
            denominator = math.sqrt(v[i]) / math.sqrt(1.0 - beta_2**t) + epsilon
            theta[i] -= rate / (1.0 - beta_1**t) * m[i] / denominator

    trainer = BACKEND.trainer(
        NetworkSpec((1, 1), "identity"),
        np.array([0.3, -0.2]),
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
    )
    trainer.train_epoch(X, Y, np.arange(7), batch_size=1, learning_rate=rate)
    state = trainer.state()
    np.testing.assert_allclose(trainer.parameters(), theta, rtol=1e-13)
    np.testing.assert_allclose(state["first_moment"], m, rtol=1e-13)
    np.testing.assert_allclose(state["second_moment"], v, rtol=1e-13)
    assert state["step"].shape == ()
    assert state["step"].dtype == np.int64
    assert state["step"] == 7


def training_data(n=33):
    rng = np.random.default_rng(SEED_EPOCHS)
    spec = NetworkSpec((2, 5, 3), "tanh")
    return spec, draw_parameters(rng, spec), rng.normal(size=(n, 2)), rng.normal(size=(n, 3))


@pytest.mark.parametrize("batch_size", [1, 7, 33, 100])
def test_an_epoch_is_its_batches_one_after_the_other(batch_size):
    spec, parameters, X, Y = training_data()
    order = np.random.default_rng(SEED_EPOCHS).integers(0, 33, 40)  # some rows twice, some never
    trainer = BACKEND.trainer(spec, parameters, loss="huber")
    mean_loss = trainer.train_epoch(X, Y, order, batch_size=batch_size, learning_rate=1e-2)

    stepwise = BACKEND.trainer(spec, parameters, loss="huber")
    total = 0.0
    for start in range(0, 40, batch_size):
        rows = order[start : start + batch_size]
        before = stepwise.loss(X[rows], Y[rows])
        everything = np.arange(len(rows))
        stepwise.train_epoch(X[rows], Y[rows], everything, batch_size=len(rows), learning_rate=1e-2)
        total += before * len(rows)
    np.testing.assert_array_equal(trainer.parameters(), stepwise.parameters())
    assert mean_loss == pytest.approx(total / 40, rel=1e-13)
    assert trainer.state()["step"] == math.ceil(40 / batch_size)


def test_order_matters_and_rows_outside_it_do_not():
    spec, parameters, X, Y = training_data()
    X[20:] = np.nan

    def train(order):
        trainer = BACKEND.trainer(spec, parameters)
        loss = trainer.train_epoch(X, Y, order, batch_size=7, learning_rate=1e-2)
        return loss, trainer.parameters()

    loss, forwards = train(np.arange(20))
    assert np.isfinite(loss)
    assert np.isfinite(forwards).all()
    assert not np.array_equal(forwards, train(np.arange(20)[::-1])[1])


def test_state_resumes_to_the_same_bits_and_is_a_copy():
    spec, parameters, X, Y = training_data()
    order = np.arange(33)
    whole = BACKEND.trainer(spec, parameters)
    whole.train_epoch(X, Y, order, batch_size=7, learning_rate=1e-2)
    saved = whole.state()
    copies = {key: value.copy() for key, value in saved.items()}
    whole.train_epoch(X, Y, order, batch_size=7, learning_rate=1e-2)
    for key, value in saved.items():
        np.testing.assert_array_equal(value, copies[key])

    resumed = BACKEND.trainer(spec, np.zeros_like(parameters))
    resumed.load_state(saved)
    saved["parameters"][:] = np.nan
    resumed.train_epoch(X, Y, order, batch_size=7, learning_rate=1e-2)
    for key, value in whole.state().items():
        np.testing.assert_array_equal(value, resumed.state()[key])


def test_what_a_trainer_returns_is_its_callers_own():
    spec, parameters, X, Y = training_data()
    trainer = BACKEND.trainer(spec, parameters)
    trainer.train_epoch(X, Y, np.arange(33), batch_size=7, learning_rate=1e-2)
    before = trainer.state()
    trainer.parameters()[:] = np.nan
    for value in trainer.state().values():
        value[...] = 0
    for key, value in trainer.state().items():
        np.testing.assert_array_equal(value, before[key])
        assert value.any()


def test_training_fits_a_line():
    rng = np.random.default_rng(SEED_DATA)
    X = rng.uniform(-1.0, 1.0, (33, 1))
    trainer = BACKEND.trainer(NetworkSpec((1, 1)), np.zeros(2))
    for _ in range(200):
        trainer.train_epoch(X, 2.0 * X - 1.0, rng.permutation(33), batch_size=7, learning_rate=0.02)
    np.testing.assert_allclose(trainer.parameters(), [2.0, -1.0], atol=1e-3)
