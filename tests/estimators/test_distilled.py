"""DistilledRegressor: what it learns from few rows, its teachers, same bits, bad input."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_info, threadpool_limits

import fastinv as fi
from fastinv.estimators._gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    _evidence,
    choose_hyperparameters,
)
from fastinv.estimators._teacher import Scale, Teacher

QUICK = {"hidden_layer_sizes": (16,), "n_points": 300, "max_iter": 5, "random_state": 0}


def rng_of(name):
    return np.random.default_rng(list(name.encode()))


def wave(n, noise=0.0, name="wave"):
    """Rows of a function of two inputs, and the function."""

    def f(x):
        return np.sin(4 * x[:, 0]) * x[:, 1]

    rng = rng_of(name)
    X = rng.uniform(-1, 1, (n, 2))
    return X, f(X) + noise * rng.normal(size=n), f


def quick(**parameters):
    return fi.DistilledRegressor(**(QUICK | parameters))


@parametrize_with_checks([quick(n_points=100, max_iter=100, learning_rate_init=0.02)])
def test_scikit_learn_compatible(estimator, check):
    check(estimator)


# --- the Gaussian process ----------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["gaussian", "matern"])
def test_process_is_scikit_learns(kernel):
    rng = rng_of("process")
    x, z, tests = rng.uniform(size=(33, 2)), rng.normal(size=33), rng.uniform(size=(7, 2))
    level2 = rng.uniform(size=33)
    chosen = Hyperparameters(kernel, 1.7, np.array([0.3, 0.8]), 0.02, 0.05)
    shape = RBF([0.3, 0.8]) if kernel == "gaussian" else Matern([0.3, 0.8], nu=2.5)
    alpha = 0.02 + 0.05 * level2
    theirs = GaussianProcessRegressor(ConstantKernel(1.7) * shape, alpha=alpha, optimizer=None)
    mean, std = theirs.fit(x, z).predict(tests, return_std=True)
    ours = GaussianProcess.conditioned(chosen, (x, z, level2))
    np.testing.assert_allclose(ours.mean(tests), mean, rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(ours.variance(tests)), std, rtol=1e-6)
    covariance = theirs.kernel_(x) + np.diag(alpha)
    expected = multivariate_normal(np.zeros(33), covariance).logpdf(z)
    assert _evidence(chosen, (x, z, level2))[0] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("kernel", ["gaussian", "matern"])
def test_gradient_of_the_evidence(kernel):
    rng = rng_of("gradient")
    rows = rng.uniform(size=(20, 3)), rng.normal(size=20), rng.uniform(size=20)
    logs = np.log([1.3, 0.3, 0.5, 2.0, 0.01, 0.02])

    def evidence(logs):
        signal, *lengths, noise, relative = np.exp(logs)
        chosen = Hyperparameters(kernel, signal, np.array(lengths), noise, relative)
        return _evidence(chosen, rows)

    steps = 1e-5 * np.eye(len(logs))
    numerical = [(evidence(logs + s)[0] - evidence(logs - s)[0]) / 2e-5 for s in steps]
    np.testing.assert_allclose(evidence(logs)[1], numerical, rtol=1e-5, atol=1e-6)


def test_chosen_hyperparameters_have_more_evidence_than_their_neighbours():
    X, y, _ = wave(120, noise=0.1)
    rows = X, y / y.std(), np.zeros(120)
    chosen = choose_hyperparameters(rows, Hyperparameters("gaussian", 1.0, np.ones(2), 0.1))
    assert chosen.evidence == pytest.approx(_evidence(chosen, rows)[0])
    for factor in (0.7, 1.4):
        others = [
            replace(chosen, signal=factor * chosen.signal),
            replace(chosen, lengths=factor * chosen.lengths),
            replace(chosen, noise=factor * chosen.noise),
        ]
        assert all(_evidence(other, rows)[0] < chosen.evidence for other in others)


@pytest.mark.parametrize("power", [1.0, 0.0, 0.5, 2.0])
def test_scales(power):
    y = rng_of("scale").uniform(0.5, 3.0, 33)
    scale = Scale.of(y, power)
    z = scale.to_z(y)
    assert abs(z.mean()) < 1e-12
    assert z.std() == pytest.approx(1.0)
    np.testing.assert_allclose(scale.to_y(z), y)
    slope = (scale.to_y(z + 1e-6) - scale.to_y(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(scale.y_per_z(y), slope, rtol=1e-6)
    raised = np.log(y / y.max()) if power == 0.0 else y**power
    np.testing.assert_allclose(np.sqrt(scale.level2(z)), np.abs(raised) / raised.std())


@pytest.mark.parametrize(
    ("f", "power"),
    [
        (lambda x: np.sqrt(1.01 - 0.5 * (x**2).sum(axis=1)), 2.0),
        (lambda x: np.exp(3 * np.sin(3 * x[:, 0]) * x[:, 1]), 0.0),
    ],
)
def test_positive_outputs_are_modelled_on_their_own_scale(f, power):
    rng = rng_of("positive")
    x = rng.uniform(-1, 1, (150, 2))
    y = f(x)
    teacher = Teacher.fit(x, y * (1 + 0.02 * rng.normal(size=150)), 1000, rng)
    assert teacher.scale.power == power
    assert teacher.noise_std == pytest.approx(0.02 * np.sqrt(np.mean(y**2)), rel=0.2)
    tests = rng.uniform(-1, 1, (500, 2))
    errors = teacher.predict(tests) - f(tests)
    assert np.sqrt(np.mean(errors**2)) < teacher.noise_std
    # The process knows how wrong it is.
    assert 0.5 < np.sqrt(np.mean((errors / teacher.std(tests)) ** 2)) < 2.0


def test_noise_in_proportion_to_y_is_found():
    rng = rng_of("relative")
    x = rng.uniform(-1, 1, (300, 1))
    y = 3 * np.sin(5 * x[:, 0])
    relative = Teacher.fit(x, y * (1 + 0.05 * rng.normal(size=300)), 1000, rng)
    assert relative.process.hyperparameters.relative_noise == pytest.approx(0.05**2, rel=0.3)
    constant = Teacher.fit(x, y + 0.1 * rng.normal(size=300), 1000, rng)
    assert constant.process.hyperparameters.relative_noise == 0.0
    assert constant.noise_std == pytest.approx(0.1, rel=0.15)


# --- the network -------------------------------------------------------------------------------


def test_learns_more_from_few_noisy_rows_than_they_tell_one_by_one():
    X, y, f = wave(150, noise=0.1)
    Y = np.column_stack([y, 1e4 + 1e3 * f(X[:, ::-1])])
    model = fi.DistilledRegressor(random_state=0).fit(X, Y)
    tests = rng_of("tests").uniform(-1, 1, (1000, 2))
    assert np.sqrt(np.mean((model.predict(tests)[:, 0] - f(tests)) ** 2)) < 0.05
    assert model.noise_std_.shape == (2,)
    assert model.noise_std_[0] == pytest.approx(0.1, rel=0.15)
    assert model.noise_std_[1] < 2.0
    # What distillation adds is small.
    for teacher, predicted in zip(model.teachers_, model.predict(tests).T, strict=True):
        apart = np.sqrt(np.mean((teacher.predict(tests) - predicted) ** 2))
        assert apart < 0.01 * predicted.std()


@pytest.mark.parametrize("f", [lambda x: np.sin(5 * x), lambda x: x**4 - 4 * x**2])
@pytest.mark.parametrize("activation", ["silu", "tanh"])
def test_fast_and_even_functions_are_learned_from_any_first_weights(f, activation):
    X = rng_of("fast").uniform(-2, 2, (100, 1))
    given = {"activation": activation, "n_points": 3000, "max_iter": 60, "random_state": 3}
    model = fi.DistilledRegressor(**given).fit(X, f(X[:, 0]))
    assert model.score(X, f(X[:, 0])) > 0.995


def test_is_a_network_that_solvers_polish_with():
    X, y, f = wave(200)
    model = fi.DistilledRegressor(random_state=0, max_iter=60).fit(X, y)
    bounds = [[-1, 1], [-1, 1]]
    solutions = fi.NearestSolver(model, bounds=bounds, refine=True).fit(X, y).solve([0.3, -0.2])
    best = solutions.x[:, 0]
    np.testing.assert_allclose(model.predict(best), [0.3, -0.2], atol=1e-5)
    np.testing.assert_allclose(f(best), [0.3, -0.2], atol=0.02)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_few_rows(n):
    X, y, _ = wave(n)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "[Xy] is constant", UserWarning)
        model = quick(max_iter=100, learning_rate_init=0.02).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert np.abs(model.predict(X) - y).max() < 0.3


def test_constant_columns_repeated_rows_and_no_noise():
    X, y, _ = wave(33)
    X = np.column_stack([X, np.full(33, 7.0)])
    X, y = np.concatenate([X, X]), np.concatenate([y, y])
    with pytest.warns(UserWarning, match=r"constant in column"):
        model = quick(n_points=3000, max_iter=60, learning_rate_init=0.02).fit(
            X, np.column_stack([y, np.full(66, 3.0)])
        )
    predicted = model.predict(X)
    assert np.abs(predicted[:, 0] - y).max() < 0.1
    np.testing.assert_allclose(predicted[:, 1], 3.0, atol=0.01)
    assert model.noise_std_[0] < 0.05


@pytest.mark.parametrize("value", [0.0, 3.0, -1e8])
def test_constant_outputs(value):
    X, _, _ = wave(20)
    with pytest.warns(UserWarning, match="y is constant"):
        model = quick(max_iter=100, learning_rate_init=0.02).fit(X, np.full(20, value))
    np.testing.assert_allclose(model.predict(X), value, atol=0.05)


@pytest.mark.parametrize("unit", [1e-90, 1e90])
def test_units_of_positive_outputs_do_not_matter(unit):
    X, y, _ = wave(60)
    models = [quick(max_iter=20).fit(X, np.exp(y) * scale) for scale in (1.0, unit)]
    np.testing.assert_allclose(*(m.predict(X) / m.predict(X).max() for m in models), rtol=1e-3)


def test_max_samples_is_what_a_teacher_takes_in():
    X, y, _ = wave(60)
    assert len(quick(max_samples=20).fit(X, y).teachers_[0].process.x) == 20
    assert len(quick().fit(X, y).teachers_[0].process.x) == 60


# --- same bits, state --------------------------------------------------------------------------


def test_same_seed_same_bits_for_any_number_of_threads():
    X, y, _ = wave(150, noise=0.1)
    models = [quick(n_threads=n).fit(X, y) for n in (1, 2, None)]
    with threadpool_limits(2, user_api="blas"):
        models.append(quick().fit(X, y))
    for model in models[1:]:
        assert model.parameters_.tobytes() == models[0].parameters_.tobytes()
        assert model.noise_std_.tobytes() == models[0].noise_std_.tobytes()
    assert (quick(random_state=1).fit(X, y).parameters_ != models[0].parameters_).any()


def test_pickle_and_clone():
    X, y, _ = wave(33)
    model = quick().fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    assert (copy.predict(X) == model.predict(X)).all()
    assert (copy.teachers_[0].predict(X) == model.teachers_[0].predict(X)).all()
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        clone(model).predict(X)


def test_progress_is_shown(capsys):
    X, y, _ = wave(20)
    quick(verbose=2).fit(X, y)
    assert "5" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends a process there")
def test_ctrl_c_keeps_the_model():
    X, y, _ = wave(20)
    model = quick(max_iter=10**6)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.warns(UserWarning, match="Training interrupted after"):
        model.fit(X, y)
    timer.join()
    assert model.stopped_ == "interrupted"
    assert model.predict(X).shape == (20,)


# --- the solvers' own forward function ---------------------------------------------------------


@pytest.mark.parametrize(("n", "distilled"), [(2000, True), (2001, False)])
def test_solvers_learn_f_so_from_few_pairs(monkeypatch, n, distilled):
    trained = []
    for cls in (fi.DistilledRegressor, fi.MLPRegressor):
        monkeypatch.setattr(cls, "fit", lambda self, X, y: trained.append(type(self)) or self)
    from fastinv.solvers.fitting.learned_forward import train_forward

    train_forward(None, (np.zeros((n, 1)), np.zeros((n, 1))), "auto", None, 0)
    assert trained == [fi.DistilledRegressor if distilled else fi.MLPRegressor]


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0), r"0 sample"),
        (np.eye(3), np.zeros(4), r"same length, got 3 and 4 rows"),
        (np.diag([1, np.nan, np.inf]), np.arange(3), r"X must be finite.*2 of 3 rows.*row 1"),
        (np.array([[1e200], [-1e200], [0]]), np.arange(3), r"X must be small enough"),
        (np.eye(3), [1e200, -1e200, 0], r"y must be small enough"),
    ],
)
def test_bad_data(X, y, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_samples": 0}, "max_samples must be positive"),
        ({"max_samples": 1.5}, "max_samples must be an integer"),
        ({"n_points": 0}, "n_points must be positive"),
        ({"max_iter": 0}, "max_iter must be positive"),
        ({"learning_rate_init": -1.0}, "learning_rate_init must be"),
        ({"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes must be positive"),
        ({"backend": "tpu"}, "backend must be one of"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    X, y, _ = wave(20)
    with pytest.raises((TypeError, ValueError), match=message):
        quick(**parameters).fit(X, y)


def test_fits_in_threads_leave_the_blas_as_it_was():
    """threadpoolctl alone does not: the last to leave restored what another had set."""
    X = np.linspace(0.0, 1.0, 30)[:, None]
    before = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    model = fi.DistilledRegressor((4,), n_points=50, max_iter=1, random_state=0)
    with ThreadPoolExecutor(4) as executor:
        fitted = list(executor.map(lambda _: clone(model).fit(X, X[:, 0]), range(8)))
    after = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert after == before
    assert len({one.parameters_.tobytes() for one in fitted}) == 1
