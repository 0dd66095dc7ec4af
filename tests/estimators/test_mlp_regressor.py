"""MLPRegressor: what it learns, same bits, scikit-learn's rules, bad input."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastinv.backends import get_backend
from fastinv.estimators import MLPRegressor
from fastinv.estimators.networks import initial_parameters, mean_and_scale
from fastinv.functions.networks import NetworkSpec

QUICK = {
    "hidden_layer_sizes": (16,),
    "max_iter": 30,
    "learning_rate": "cosine",
    "learning_rate_init": 0.01,
    "n_iter_no_change": 1000,
    "random_state": 0,
}


def sine(n=200, noise=0.0):
    rng = np.random.default_rng(list(b"sine"))
    X = rng.uniform(-2, 2, (n, 1))
    return X, np.sin(2 * X[:, 0]) + noise * rng.normal(size=n)


def quick(**parameters):
    return MLPRegressor(**(QUICK | parameters))


@parametrize_with_checks([quick(), quick(early_stopping=False, loss="squared_error")])
def test_scikit_learn_compatible(estimator, check):
    check(estimator)


# --- learning ----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["absolute_error", "squared_error", "huber"])
@pytest.mark.parametrize("activation", ["relu", "silu", "tanh"])
def test_learns_a_sine(loss, activation):
    X, y = sine(300)
    model = quick(hidden_layer_sizes=(32, 32), max_iter=100, loss=loss, activation=activation)
    assert model.fit(X, y).score(X, y) > 0.99


def test_learns_outputs_of_very_different_scales():
    X, y = sine(300)
    Y = np.column_stack([1e-6 * y, 1e6 + 1e3 * X[:, 0] ** 2])
    model = quick(hidden_layer_sizes=32, max_iter=150).fit(X * 1e4 - 1e5, Y)
    predicted = model.predict(X * 1e4 - 1e5)
    assert predicted.dtype == np.float64
    residual = np.sqrt(np.mean((predicted - Y) ** 2, axis=0))
    assert (residual < 0.1 * Y.std(axis=0)).all()


def test_no_hidden_layer_is_linear_regression():
    X = np.random.default_rng(0).normal(size=(300, 3))
    y = X @ [1.0, -2.0, 3.0] + 4.0
    model = quick(hidden_layer_sizes=(), max_iter=200, loss="squared_error", learning_rate_init=0.1)
    model.fit(X, y)
    np.testing.assert_allclose(model.predict(X), y, atol=1e-3)


def test_backends_train_alike():
    X, y = sine(64)
    options = {"max_iter": 3, "activation": "tanh", "learning_rate_init": 1e-3}
    cpp, reference = (
        quick(backend=backend, **options).fit(X, y) for backend in ("cpp", "reference")
    )
    np.testing.assert_allclose(cpp.loss_curve_, reference.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(cpp.parameters_, reference.parameters_, atol=1e-4)
    np.testing.assert_allclose(cpp.predict(X), reference.predict(X), atol=1e-4)


# --- the same bits -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [7, 33, 150])
def test_same_seed_same_bits_for_any_number_of_threads(n):
    X, y = sine(n)
    models = [quick(n_threads=t, hidden_layer_sizes=(33, 7)).fit(X, y) for t in (1, 1, 2, 3, None)]
    for model in models[1:]:
        assert model.parameters_.tobytes() == models[0].parameters_.tobytes()
        assert model.loss_curve_ == models[0].loss_curve_
        assert model.validation_loss_curve_ == models[0].validation_loss_curve_
        assert (model.predict(X) == models[0].predict(X)).all()
    other = quick(random_state=1).fit(X, y)
    assert (other.parameters_[:16] != models[0].parameters_[:16]).any()


@pytest.mark.parametrize("kind", [np.random.RandomState, np.random.default_rng])
def test_random_state_objects(kind):
    X, y = sine(33)
    a, b = (quick(random_state=kind(5), max_iter=2).fit(X, y) for _ in range(2))
    assert (a.parameters_ == b.parameters_).all()


@given(n=st.integers(0, 40), d=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_rows_are_predicted_alone_as_together(fitted_by_width, n, d):
    model = fitted_by_width(d)
    X = np.random.default_rng(n).normal(size=(n, d))
    together = model.predict(X)
    assert together.shape == (n,)
    assert [model.predict(row[None])[0] for row in X] == together.tolist()


@pytest.fixture(scope="module")
def fitted_by_width():
    models = {}

    def fitted(d):
        if d not in models:
            X = np.random.default_rng(d).normal(size=(40, d))
            models[d] = quick(max_iter=2).fit(X, X.sum(axis=1))
        return models[d]

    return fitted


# --- fitted state ------------------------------------------------------------------------------


def test_attributes():
    X, y = sine(100)
    model = quick(hidden_layer_sizes=(5, 4)).fit(X, np.column_stack([y, -y]))
    assert model.n_iter_ == len(model.loss_curve_) == len(model.validation_loss_curve_) == 30
    assert all(type(value) is float for value in model.loss_curve_ + model.validation_loss_curve_)
    assert model.best_loss_ == min(model.loss_curve_)
    assert model.best_validation_loss_ == min(model.validation_loss_curve_)
    assert model.learning_rate_curve_[0] == 0.01
    assert (model.n_features_in_, model.n_outputs_, model.stopped_) == (1, 2, "max_iter")
    assert model.spec_ == NetworkSpec((1, 5, 4, 2), "relu")
    assert [w.shape for w in model.coefs_] == [(1, 5), (5, 4), (4, 2)]
    assert [b.shape for b in model.intercepts_] == [(5,), (4,), (2,)]
    assert model.parameters_.dtype == np.float32
    # coefs_ act on standardised data
    h = (X - model.x_mean_) / model.x_scale_
    for weights, biases in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        h = np.maximum(h @ weights + biases, 0)
    scaled = h @ model.coefs_[-1] + model.intercepts_[-1]
    expected = scaled * model.y_scale_ + model.y_mean_
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-5)


def test_network_code_is_what_predict_computes():
    X, y = sine(100)
    model = quick().fit(X, y)
    f = model.network_code()
    scaled = ((X - f.x_mean) / f.x_scale).astype(np.float32)
    outputs = get_backend("cpp").network(f.spec, f.parameters).forward(scaled)
    assert (f.y_mean + f.y_scale * outputs == model.predict(X)[:, None]).all()


def test_pickle_and_clone():
    X, y = sine(50)
    model = quick().fit(X, y)
    assert (pickle.loads(pickle.dumps(model)).predict(X) == model.predict(X)).all()
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        clone(model).predict(X)
    with pytest.raises(NotFittedError):
        pickle.loads(pickle.dumps(clone(model))).network_code()


@pytest.mark.parametrize("columns", [0, 1, 3])
def test_predict_into_out(columns):
    X, y = sine(33)
    Y = y if columns == 0 else np.column_stack([y] * columns)
    model = quick(max_iter=2).fit(X, Y)
    out = np.full(Y.shape, np.nan)
    assert model.predict(X, out=out) is out
    assert (out == model.predict(X)).all()
    for wrong in (out[:-1], out.astype(np.float32), out.tolist()):
        with pytest.raises(ValueError, match=r"out must be a float64 array of shape \(33"):
            model.predict(X, out=wrong)


def test_validation_rows_are_not_trained_on():
    X, y = sine(40)
    model = quick(validation_fraction=0.25, max_iter=3).fit(X, y)
    seen = []

    class Spy:
        name = "spy"

        def __init__(self):
            self.real = get_backend("cpp")

        def trainer(self, spec, parameters, **options):
            trainer = self.real.trainer(spec, parameters, **options)
            real = trainer.train_epoch
            trainer.train_epoch = lambda X, Y, order, **o: seen.append(X) or real(X, Y, order, **o)
            real_loss = trainer.loss
            trainer.loss = lambda X, Y, **o: seen.append(X) or real_loss(X, Y, **o)
            return trainer

        def __getattr__(self, name):
            return getattr(self.real, name)

    spied = quick(validation_fraction=0.25, max_iter=3, backend=Spy()).fit(X, y)
    assert (spied.parameters_ == model.parameters_).all()
    train_rows, validation_rows = seen[0], seen[1]
    assert (len(train_rows), len(validation_rows)) == (30, 10)
    together = np.sort(np.concatenate([train_rows, validation_rows]).ravel())
    expected = np.sort(((X - X.mean()) / X.std()).astype(np.float32).ravel())
    np.testing.assert_array_equal(together, expected)


def test_early_stopping_keeps_the_best_weights():
    X, y = sine(60, noise=1.0)
    options = {"hidden_layer_sizes": (64,), "learning_rate": "constant", "max_iter": 400}
    model = quick(**options, validation_fraction=0.5, n_iter_no_change=5).fit(X, y)
    assert model.stopped_ == "no_change"
    curve = model.validation_loss_curve_
    best = int(np.argmin(curve))
    assert best < len(curve) - 1
    short = clone(model).set_params(max_iter=best + 1)
    with pytest.warns(ConvergenceWarning):
        short.fit(X, y)
    assert (short.parameters_ == model.parameters_).all()


def test_without_early_stopping_all_rows_are_trained_on():
    X, y = sine(50)
    model = quick(early_stopping=False).fit(X, y)
    assert model.validation_loss_curve_ is None
    assert model.best_validation_loss_ is None


def test_schedules_reach_the_loop():
    X, y = sine(50)
    constant = quick(learning_rate="constant", max_iter=4, n_iter_no_change=1, tol=10.0).fit(X, y)
    assert constant.learning_rate_curve_ == [0.01] * 3
    plateau = quick(
        learning_rate="plateau",
        tol=10.0,
        plateau_patience=2,
        plateau_factor=0.1,
        n_iter_no_change=4,
    ).fit(X, y)
    # With such a tol only the first epoch is progress.
    np.testing.assert_allclose(plateau.learning_rate_curve_, [0.01] * 3 + [1e-3] * 2 + [1e-4])
    cosine = quick().fit(X, y)
    expected = 0.005 * (1 + np.cos(np.pi * np.arange(30) / 30))
    np.testing.assert_allclose(cosine.learning_rate_curve_, expected)


def test_max_iter_warns_unless_it_is_the_schedule():
    X, y = sine(50)
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        quick(learning_rate="constant", max_iter=3, tol=0.0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(max_iter=3).fit(X, y)


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends a process there")
def test_ctrl_c_keeps_the_model():
    X, y = sine(50)
    model = quick(max_iter=10**6, n_iter_no_change=10**6)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.warns(UserWarning, match="Training interrupted after"):
        model.fit(X, y)
    timer.join()
    assert model.stopped_ == "interrupted"
    assert model.score(X, y) > 0.9


def test_checkpoint_resumes_to_the_same_bits(tmp_path):
    X, y = sine(50)
    file = tmp_path / "checkpoint"
    straight = quick(max_iter=12, learning_rate="constant", n_iter_no_change=50)
    part = clone(straight).set_params(max_iter=5, checkpoint=file)
    for model in (straight, part):
        with pytest.warns(ConvergenceWarning):
            model.fit(X, y)
    whole = clone(part).set_params(max_iter=12)
    with pytest.warns(ConvergenceWarning):
        whole.fit(X, y)
    assert whole.parameters_.tobytes() == straight.parameters_.tobytes()
    assert whole.loss_curve_ == straight.loss_curve_
    for change in ({"random_state": 1}, {"loss": "huber"}, {"beta_1": 0.8}):
        with pytest.raises(ValueError, match=r"checkpoint .* was written"):
            clone(whole).set_params(**change).fit(X, y)
    with pytest.raises(ValueError, match="checkpoint needs a random_state"):
        clone(whole).set_params(random_state=None).fit(X, y)


# --- first weights and scaling -----------------------------------------------------------------


def test_initial_parameters_fill_the_glorot_interval():
    spec = NetworkSpec((50, 100, 3))
    parameters = initial_parameters(spec, np.random.default_rng(0))
    assert parameters.dtype == np.float32
    for weights, biases in spec.layers(parameters):
        bound = np.sqrt(6 / sum(weights.shape))
        assert 0.97 * bound < np.abs(weights).max() <= bound * (1 + 1e-6)
        assert 0.5 * bound < np.abs(biases).max() <= bound * (1 + 1e-6)
        assert abs(weights.mean()) < 0.1 * bound


def test_scale_of_constant_columns_is_one():
    values = np.column_stack([np.full(7, 0.1), [0, 5e-324, 0, 0, 0, 0, 0], np.arange(7)])
    mean, scale = mean_and_scale(values, "X")
    np.testing.assert_allclose(mean, [0.1, 0, 3])
    np.testing.assert_allclose(scale, [1, 1, 2])


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0), r"0 sample"),
        (np.zeros((3, 0)), np.zeros(3), r"0 feature"),
        (np.zeros(3), np.zeros(3), r"Expected 2D array, got 1D"),
        (np.eye(3), np.zeros(4), r"same length, got 3 and 4 rows"),
        (np.eye(3), np.zeros((3, 2, 2)), r"dim 3"),
        (np.eye(3), np.zeros((3, 0)), r"0 feature"),
        (np.diag([1, np.nan, np.inf]), np.zeros(3), r"X must be finite.*2 of 3 rows.*row 1"),
        (np.eye(3), [0, 0, np.inf], r"y must be finite.*1 of 3 rows.*row 2"),
        ([["a"], ["b"]], [1, 2], r"could not convert|'a'"),
        (np.eye(3) * 1j, np.zeros(3), r"Complex"),
        (np.array([[1e200], [-1e200], [0]]), np.zeros(3), r"X must be small enough"),
    ],
)
def test_bad_data(X, y, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of constant columns
        with pytest.raises(ValueError, match=message):
            quick().fit(X, y)


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_rows_for_a_validation_set(n):
    X, y = sine(n)
    with pytest.raises(ValueError, match=rf"early_stopping.*n_samples={n}"):
        quick(validation_fraction=0.6).fit(X, y)
    assert quick(early_stopping=False).fit(X, y).predict(X).shape == (n,)


def test_constant_columns_warn_and_do_no_harm():
    X, y = sine(100)
    with pytest.warns(UserWarning, match="X is constant in columns 0, 2"):
        model = quick().fit(np.column_stack([np.full(100, 7.0), X, np.zeros(100)]), y)
    assert model.x_scale_[0] == model.x_scale_[2] == 1.0
    with pytest.warns(UserWarning, match="y is constant in column 0"):
        flat = quick().fit(X, np.full(100, 3.0))
    np.testing.assert_allclose(flat.predict(X), 3.0, atol=0.2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes must be positive"),
        ({"hidden_layer_sizes": 2.5}, "hidden_layer_sizes must be an integer"),
        ({"hidden_layer_sizes": ("8",)}, "hidden_layer_sizes must be an integer"),
        ({"activation": "sigmoid"}, "activation must be one of"),
        ({"loss": "log"}, "loss must be one of"),
        ({"loss": "huber", "huber_delta": 0.0}, "huber_delta"),
        ({"batch_size": 0}, "batch_size must be positive"),
        ({"learning_rate": "adaptive"}, "learning_rate must be one of"),
        ({"learning_rate_init": -1.0}, "learning_rate_init must be"),
        ({"plateau_factor": 2.0}, "plateau_factor must be"),
        ({"plateau_patience": 0}, "plateau_patience must be"),
        ({"max_iter": 0}, "max_iter must be positive"),
        ({"early_stopping": None}, "early_stopping must be True or False"),
        ({"validation_fraction": 1.0}, "validation_fraction must be"),
        ({"n_iter_no_change": -1}, "n_iter_no_change must be"),
        ({"tol": np.nan}, "tol must be finite"),
        ({"beta_1": 1.0}, "beta_1"),
        ({"beta_2": -0.1}, "beta_2"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"checkpoint": 5}, "checkpoint must be a path"),
        ({"checkpoint_every": 0}, "checkpoint_every must be"),
        ({"backend": "tpu"}, "backend must be one of"),
        ({"n_threads": 0}, "n_threads must be positive"),
        ({"n_threads": 1.5}, "n_threads must be an integer"),
        ({"random_state": -1}, "random_state must be"),
        ({"random_state": "seed"}, "random_state must be"),
        ({"verbose": -1}, "verbose must be"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    X, y = sine(20)
    with pytest.raises((TypeError, ValueError), match=message):
        quick(**parameters).fit(X, y)


def test_divergence_is_an_error():
    X, y = sine(50)
    with pytest.raises(FloatingPointError, match="lower learning_rate_init"):
        quick(learning_rate_init=1e30, loss="squared_error").fit(X, y)
