"""MixtureDensityNetwork: what it learns, each remedy with and without, same bits, bad input."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastinv import problems
from fastinv._common.validation import check_random_state
from fastinv.backends import get_backend
from fastinv.estimators._mixture_start import (
    REVIVE_EVERY,
    DeadComponents,
    initial_mixture_parameters,
    kmeans_means,
    quantile_means,
    scale_columns,
)
from fastinv.estimators.mdn import MixtureDensityNetwork
from fastinv.estimators.model_selection import select_n_components
from fastinv.functions.networks import MixtureSpec, NetworkSpec

QUICK = {"hidden_layer_sizes": (16,), "max_iter": 30, "learning_rate_init": 0.01, "random_state": 0}
BEST_WAVE_NLL = -1.311  # p(x | y) is uniform on a union of intervals


def rng_of(name):
    return np.random.default_rng(list(name.encode()))


def quick(n_components=3, **parameters):
    return MixtureDensityNetwork(n_components, **(QUICK | parameters))


def two_modes(n, width=0.05):
    """Targets at -1 and 1 whatever x."""
    rng = rng_of("two modes")
    return rng.normal(size=(n, 1)), rng.choice([-1.0, 1.0], n) + width * rng.normal(size=n)


@parametrize_with_checks([quick(), quick(2, early_stopping=False, covariance_type="full")])
def test_scikit_learn_compatible(estimator, check):
    check(estimator)


# --- learning ----------------------------------------------------------------------------------


def test_one_component_is_heteroscedastic_regression():
    rng = rng_of("heteroscedastic")
    X = rng.uniform(-2, 2, (4000, 1))
    mean, sigma = np.sin(2 * X[:, 0]), 0.1 + 0.2 * np.abs(X[:, 0])
    model = MixtureDensityNetwork(1, max_iter=60, random_state=0)
    model.fit(X, mean + sigma * rng.normal(size=len(X)))
    inner = np.abs(X[:, 0]) < 1.9
    assert np.abs(model.predict(X) - mean)[inner].max() < 0.12
    # From log p at a distance of 1 from the mean, and at it.
    drop = model.log_prob(X, model.predict(X)) - model.log_prob(X, model.predict(X) + 1.0)
    found = 1.0 / np.sqrt(2.0 * drop)
    assert np.abs(found / sigma - 1.0)[inner].mean() < 0.08
    assert np.abs(found / sigma - 1.0)[inner].max() < 0.35


def test_inverse_of_the_wave():
    x, y = problems.wave.sample(2000, 0)
    model = MixtureDensityNetwork(10, random_state=0).fit(y, x)
    x_test, y_test = problems.wave.sample(5000, 1)
    assert -model.log_prob(y_test, x_test).mean() < BEST_WAVE_NLL + 0.20


@pytest.mark.parametrize("covariance_type", ["spherical", "diag", "full"])
def test_several_outputs(covariance_type):
    rng = rng_of("several outputs")
    X = rng.normal(size=(2000, 2))
    noise = rng.normal(size=(2000, 2)) @ np.array([[0.3, 0.24], [0.0, 0.18]])
    Y = np.column_stack([X[:, 0], X[:, 0] - X[:, 1]]) + noise
    model = quick(1, covariance_type=covariance_type, hidden_layer_sizes=()).fit(X, Y)
    variances = 0.09 / Y.var(axis=0)  # of standardised targets, where spherical ones are meant
    log_det = {
        "full": 2.0 * np.log(0.3 * 0.18),
        "diag": 2.0 * np.log(0.3 * 0.3),
        "spherical": 2.0 * np.log(variances.mean()) + np.log(Y.var(axis=0)).sum(),
    }[covariance_type]
    expected = np.log(2 * np.pi) + 1.0 + log_det / 2.0
    assert -model.log_prob(X, Y).mean() == pytest.approx(expected, abs=0.06)
    assert model.predict(X).shape == (2000, 2)
    assert model.sample(X[:7], 5, 0).shape == (7, 5, 2)
    assert model.score(X, Y) > 0.9


def test_density_is_that_of_y_in_its_own_units():
    X, y = two_modes(300)
    plain = quick().fit(X, y)
    scaled = quick().fit(X, 1e3 * y - 5e6)
    shifted = scaled.log_prob(X, 1e3 * y - 5e6) + np.log(1e3)
    np.testing.assert_allclose(shifted, plain.log_prob(X, y), atol=1e-2)
    width = np.linspace(-4.0, 4.0, 4001)
    density = np.exp(plain.log_prob(np.full((4001, 1), 0.3), width))
    assert density.sum() * (width[1] - width[0]) == pytest.approx(1.0, abs=1e-3)
    assert min(plain.loss_curve_) < 0.0  # a narrow density is above 1


def test_samples_have_the_predicted_mean():
    X, y = two_modes(300)
    model = quick().fit(X, y)
    samples = model.sample(X[:3], 20_000, 0)
    assert samples.shape == (3, 20_000)
    np.testing.assert_allclose(samples.mean(axis=1), model.predict(X[:3]), atol=0.03)
    assert (samples == model.sample(X[:3], 20_000, 0)).all()
    assert (np.abs(np.abs(samples) - 1.0) < 0.3).mean() > 0.95


def test_backends_train_alike():
    X, y = two_modes(64)
    options = {"max_iter": 4, "learning_rate_init": 1e-3, "activation": "tanh"}
    cpp, reference = (quick(backend=name, **options).fit(X, y) for name in ("cpp", "reference"))
    np.testing.assert_allclose(cpp.loss_curve_, reference.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(cpp.parameters_, reference.parameters_, atol=1e-4)


# --- remedies ----------------------------------------------------------------------------------


def test_min_scale_stops_variance_collapse():
    X = rng_of("duplicated").normal(size=(200, 1))
    y = np.repeat([-1.0, 0.0, 1.0, 5.0], 50)
    floor = 0.05
    bound = -np.log(floor * np.sqrt(2 * np.pi))  # of log p in standard deviations of y
    options = {"max_iter": 200, "reinit_dead": False}
    kept = quick(4, min_scale=floor, **options).fit(X, y)
    assert np.isfinite(kept.log_prob(X, y)).all()
    assert -bound - 1e-3 < min(kept.loss_curve_) < -bound + 2.0
    free = quick(4, min_scale=0.0, **options).fit(X, y)
    assert min(free.loss_curve_) < -bound - 1.0
    assert np.isfinite(free.parameters_).all()


BAD_START = {
    "n_components": 20,
    "init_means": np.linspace(3.0, 6.0, 20)[:, None],
    "min_weight": 0.0,
    "max_iter": 200,
    "batch_size": 32,
    "learning_rate_init": 0.02,
    "hidden_layer_sizes": (16,),
    "random_state": 0,
}


def n_alive(model, X):
    weights = model.predict_distribution(X).weights
    return int((weights.mean(axis=0) > 0.1 / weights.shape[1]).sum())


def test_dead_components_come_back_only_with_reinit_dead():
    X, y = two_modes(1000)
    dead = MixtureDensityNetwork(**BAD_START, reinit_dead=False).fit(X, y)
    assert n_alive(dead, X) <= 3
    assert dead.n_reinit_ == 0
    assert dead.log_prob(X, y).mean() < -1.0  # one component over both modes
    alive = MixtureDensityNetwork(**BAD_START).fit(X, y)
    assert n_alive(alive, X) >= 15
    assert alive.n_reinit_ >= 17
    assert alive.log_prob(X, y).mean() > 0.5
    diverse = MixtureDensityNetwork(**(BAD_START | {"init_means": "kmeans"}), reinit_dead=False)
    assert n_alive(diverse.fit(X, y), X) >= 15


def test_min_weight_is_kept():
    X, y = two_modes(300)
    options = BAD_START | {"min_weight": 0.01, "reinit_dead": False}
    weights = MixtureDensityNetwork(**options).fit(X, y).predict_distribution(X).weights
    assert weights.min() >= 0.01 - 1e-6
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)


def test_restarts_keep_the_best():
    X, y = two_modes(150)
    many = quick(n_init=4, init_means="random", max_iter=10).fit(X, y)
    one = quick(n_init=1, init_means="random", max_iter=10).fit(X, y)
    assert len(many.init_losses_) == 4
    assert len(set(many.init_losses_)) == 4
    assert many.init_losses_[0] == one.init_losses_[0] == one.best_validation_loss_
    assert many.best_validation_loss_ == min(many.validation_loss_curve_) == min(many.init_losses_)
    assert min(many.init_losses_) < one.init_losses_[0]


@pytest.mark.parametrize("name", ["kmeans", "quantile"])
@pytest.mark.parametrize("covariance_type", ["spherical", "diag", "full"])
def test_first_means_are_diverse_and_used(name, covariance_type):
    rng = rng_of("first means")
    modes = np.array([[-2.0, 0.0], [0.0, 0.5], [2.0, 1.0]])
    targets = np.repeat(modes, 50, axis=0) + 0.01 * rng.normal(size=(150, 2))
    method = {"kmeans": kmeans_means, "quantile": quantile_means}[name]
    means = method(targets, 3, rng)
    np.testing.assert_allclose(means[means[:, 0].argsort()], modes, atol=0.1)
    mixture = MixtureSpec(3, 2, covariance_type, min_scale=0.1)
    spec = NetworkSpec((1, 8, mixture.n_raw), "tanh")
    parameters = initial_mixture_parameters(spec, mixture, means, rng)
    raw = get_backend("reference").network(spec, parameters).forward(rng.normal(size=(33, 1)))
    np.testing.assert_allclose(softmax(raw[:, :3], axis=1), 1 / 3, atol=0.1)
    np.testing.assert_allclose(raw[:, 3:9], np.tile(means.ravel(), (33, 1)), atol=0.4)
    scales = 0.1 + np.exp(raw[:, scale_columns(mixture)])
    np.testing.assert_allclose(scales, 3**-0.5, rtol=0.5)


@given(n=st.sampled_from([1, 2, 7, 33]), k=st.integers(1, 9), d=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_first_means_lie_within_any_targets(n, k, d):
    targets = np.random.default_rng([n, k, d]).integers(0, 3, (n, d)).astype(np.float64)
    for method in (kmeans_means, quantile_means):
        means = method(targets, k, rng_of("any"))
        assert means.shape == (k, d)
        assert (means >= targets.min(axis=0)).all()
        assert (means <= targets.max(axis=0)).all()


def test_columns_of_scales():
    assert scale_columns(MixtureSpec(2, 3, "spherical")).tolist() == [[8], [9]]
    assert scale_columns(MixtureSpec(2, 3, "diag")).tolist() == [[8, 9, 10], [11, 12, 13]]
    assert scale_columns(MixtureSpec(2, 3, "full")).tolist() == [[8, 10, 13], [14, 16, 19]]


def test_reviving_splits_the_heaviest_component():
    rng = rng_of("splits")
    mixture = MixtureSpec(4, 2, "full")
    spec = NetworkSpec((1, 8, mixture.n_raw), "tanh")
    parameters = initial_mixture_parameters(spec, mixture, rng.normal(size=(4, 2)), rng)
    spec.layers(parameters)[-1][1][:4] = [0.0, -40.0, 1.0, 0.5]  # the second is dead
    backend = get_backend("reference")
    trainer = backend.mixture_trainer(spec, parameters, mixture)
    X = rng.normal(size=(50, 1))
    before = backend.network(spec, trainer.parameters()).forward(X)
    revive = DeadComponents(backend, spec, mixture, X, threshold=0.01, last_epoch=10)
    assert revive(trainer, REVIVE_EVERY + 1, rng) == 0
    assert revive(trainer, 10 + REVIVE_EVERY, rng) == 0
    assert revive(trainer, REVIVE_EVERY, rng) == 1
    after = backend.network(spec, trainer.parameters()).forward(X)
    old, new = softmax(before[:, :4], axis=1), softmax(after[:, :4], axis=1)
    np.testing.assert_allclose(new[:, [0, 3]], old[:, [0, 3]], atol=1e-6)
    np.testing.assert_allclose(new[:, [1, 2]], old[:, [2, 2]] / 2, atol=1e-6)
    moved = after[:, 6:8] - after[:, 8:10]
    np.testing.assert_allclose(moved, np.tile(moved[0], (50, 1)), atol=1e-6)
    assert (np.abs(moved) > 1e-3).all()
    np.testing.assert_allclose(after[:, 15:18], after[:, 18:21], atol=1e-6)
    assert revive(trainer, REVIVE_EVERY, rng) == 0


# --- the number of components ------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["bic", "cv"])
def test_selection_finds_two_modes(criterion):
    X, y = two_modes(400)
    options = {"hidden_layer_sizes": (), "reinit_dead": False, "max_iter": 150, "batch_size": 32}
    table = select_n_components(
        quick(**options), X, y, candidates=[1, 2, 6], criterion=criterion, cv=2
    )
    assert [row.n_components for row in table.scores] == [1, 2, 6]
    assert [row.n_parameters for row in table.scores] == [6, 12, 36]
    assert table.scores[0].score > table.scores[1].score
    if criterion == "bic":
        assert table.best == 2
        seed = int(check_random_state(0).integers(2**31))
        same = quick(6, random_state=seed, **options).fit(X, y)
        expected = 36 * np.log(400) - 2.0 * same.log_prob(X, y).sum()
        assert table.scores[2].score == pytest.approx(expected, rel=1e-12)
    model = quick(criterion, max_components=2, **options).fit(X, y)
    assert model.n_components_ == model.component_scores_.best == 2
    assert len(model.component_scores_.scores) == 2
    assert quick().fit(X, y).component_scores_ is None


# --- the same bits -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [7, 33, 150])
def test_same_seed_same_bits_for_any_number_of_threads(n):
    X, y = two_modes(n)
    models = [quick(n_threads=t, hidden_layer_sizes=(33, 7)).fit(X, y) for t in (1, 1, 2, 3, None)]
    for model in models[1:]:
        assert model.parameters_.tobytes() == models[0].parameters_.tobytes()
        assert model.validation_loss_curve_ == models[0].validation_loss_curve_
        assert (model.log_prob(X, y) == models[0].log_prob(X, y)).all()
    other = quick(random_state=1, hidden_layer_sizes=(33, 7)).fit(X, y)
    assert (other.parameters_[:16] != models[0].parameters_[:16]).any()


@pytest.mark.parametrize("n_init", [1, 2])
def test_resumes_to_the_same_bits(tmp_path, n_init):
    X, y = two_modes(150)
    options = BAD_START | {"learning_rate": "constant", "n_init": n_init}
    options |= {"learning_rate_init": 0.05}
    file = {"checkpoint": tmp_path / "training", "checkpoint_every": 4}
    whole = MixtureDensityNetwork(**(options | {"max_iter": 30})).fit(X, y)
    for max_iter in (11, 30):
        model = MixtureDensityNetwork(**(options | file | {"max_iter": max_iter}))
        model.fit(X, y)
    assert whole.n_reinit_ > 0
    assert model.n_reinit_ == whole.n_reinit_
    assert model.loss_curve_ == whole.loss_curve_
    assert model.parameters_.tobytes() == whole.parameters_.tobytes()
    assert len(list(tmp_path.iterdir())) == n_init
    with pytest.raises(ValueError, match="reinit_dead"):
        model.set_params(reinit_dead=False).fit(X, y)


def test_pickle_and_clone():
    X, y = two_modes(33)
    model = quick().fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    assert (copy.log_prob(X, y) == model.log_prob(X, y)).all()
    assert not hasattr(clone(model), "parameters_")
    assert (clone(model).fit(X, y).parameters_ == model.parameters_).all()


# --- input -------------------------------------------------------------------------------------


def test_shapes_and_no_rows():
    X, y = two_modes(33)
    model = quick().fit(X, y)
    assert model.predict(X).shape == model.log_prob(X, y).shape == (33,)
    assert model.predict(X[:0]).shape == (0,)
    assert model.log_prob(X[:0], y[:0]).shape == (0,)
    column = quick().fit(X, y[:, None])
    assert column.predict(X).shape == (33, 1)
    assert column.sample(X, 7, 0).shape == (33, 7, 1)
    assert np.isfinite(model.predict([[1e300], [-1e300]])).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components must be positive"),
        ({"n_components": "aic"}, "n_components must be one of 'bic', 'cv'"),
        ({"covariance_type": "tied"}, "covariance_type must be one of"),
        ({"init_means": "zeros"}, "init_means must be one of"),
        ({"init_means": np.zeros((2, 1))}, r"init_means must be .* shape \(3, 1\)"),
        ({"init_means": np.full((3, 1), np.nan)}, "init_means must be .* finite"),
        ({"init_means": np.zeros((3, 1)), "n_components": "bic"}, "init_means must be a name"),
        ({"min_weight": 0.34}, "min_weight must be .* below 1 / n_components"),
        ({"min_weight": -0.1}, "min_weight must be .* at least 0"),
        ({"min_scale": np.inf}, "min_scale must be finite"),
        ({"reinit_dead": 1.5}, "reinit_dead must be .* less than 1"),
        ({"n_init": 0}, "n_init must be positive"),
        ({"checkpoint": "file", "random_state": None}, "checkpoint needs a random_state"),
        ({"max_components": 0, "n_components": "cv"}, "max_components must be positive"),
    ],
)
def test_bad_parameters(parameters, message):
    X, y = two_modes(33)
    with pytest.raises(ValueError, match=message):
        quick().set_params(**parameters).fit(X, y)


def test_bad_data():
    X, y = two_modes(33)
    with pytest.raises(ValueError, match="y must be finite"):
        quick().fit(X, np.where(y > 0, np.nan, y))
    with pytest.raises(NotFittedError):
        quick().predict_distribution(X)
    with pytest.raises(ValueError, match="X and y must have the same length, got 33 and 7 rows"):
        quick().fit(X, y).log_prob(X, y[:7])
    for arguments, message in (
        ({"candidates": []}, "candidates must hold"),
        ({"candidates": [0]}, "candidates must be positive"),
        ({"criterion": "aic"}, "criterion must be one of"),
        ({"criterion": "cv", "cv": 34}, "cv must be at most the number of rows, 33"),
        ({"cv": 1}, "cv must be at least 2"),
    ):
        with pytest.raises(ValueError, match=message):
            select_n_components(quick(), X, y, **arguments)


def test_constant_targets_warn_and_stay_finite():
    X, _ = two_modes(33)
    with pytest.warns(UserWarning, match="y is constant"):
        model = quick(max_iter=5).fit(X, np.full(33, 7.0))
    assert np.isfinite(model.log_prob(X, np.full(33, 7.0))).all()


def test_says_when_max_iter_ends_training():
    X, y = two_modes(33)
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        quick(max_iter=3, learning_rate="constant", n_iter_no_change=10).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(max_iter=3).fit(X, y)
