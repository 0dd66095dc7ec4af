"""Mixture likelihoods: every backend and instruction set against SciPy, differences, extremes."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp
from scipy.stats import Covariance, multivariate_normal

from fastinv import _core
from fastinv.backends import get_backend
from fastinv.functions.networks import COVARIANCES, MixtureSpec, NetworkSpec
from fastinv.losses import mixture_nll

REFERENCE = get_backend("reference")
CPP = {f"cpp-{isa}": get_backend("cpp", isa=isa) for isa in _core.isas()}
BACKENDS = {"reference": REFERENCE, **CPP}
SEED_DATA, SEED_SPLIT = 301, 302


@st.composite
def mixtures(draw):
    k = draw(st.integers(1, 6))
    return MixtureSpec(
        k,
        draw(st.integers(1, 4)),
        draw(st.sampled_from(COVARIANCES)),
        min_weight=draw(st.sampled_from([0.0, 0.01, 0.9 / k])),
        min_scale=draw(st.sampled_from([0.0, 0.05, 2.0])),
    )


names = st.sampled_from(list(BACKENDS))
cpp_names = st.sampled_from(list(CPP))
dtypes = st.sampled_from([np.float32, np.float64])
batches = st.sampled_from([0, 1, 7, 33])
seeds = st.integers(0, 99)


def draw_rows(mixture, n, seed, dtype=np.float64, distance=1.0):
    """Raw outputs of order one, and targets at about `distance`."""
    rng = np.random.default_rng([SEED_DATA, seed])
    raw = rng.uniform(-1.5, 1.5, (n, mixture.n_raw)).astype(dtype)
    targets = (distance * rng.normal(size=(n, mixture.n_dims))).astype(dtype)
    return raw, targets


def covariance_of(mixture, entries):
    """SciPy's covariance of one component, from its raw scale entries read one by one."""
    d, floor = mixture.n_dims, mixture.min_scale
    if mixture.covariance_type != "full":
        return Covariance.from_diagonal(np.broadcast_to((floor + np.exp(entries)) ** 2, (d,)))
    numbers = iter(entries)
    lower = np.zeros((d, d))
    for i in range(d):
        for j in range(i + 1):
            lower[i, j] = next(numbers) if j < i else floor + np.exp(next(numbers))
    return Covariance.from_cholesky(lower)


def loss_of_scipy(mixture, row, target):
    k, d, s = mixture.n_components, mixture.n_dims, mixture.n_scales
    logits, means, scales = np.split(row, [k, k + k * d])
    log_weights = log_softmax(logits)
    if mixture.min_weight:
        free = 1.0 - k * mixture.min_weight
        log_weights = np.log(free * np.exp(log_weights) + mixture.min_weight)
    log_densities = [
        multivariate_normal.logpdf(
            target, means[i * d : i * d + d], covariance_of(mixture, scales[i * s : i * s + s])
        )
        for i in range(k)
    ]
    return -logsumexp(log_weights + np.array(log_densities))


def assert_close_rows(found, exact, tolerance):
    """Within `tolerance` of the largest entry of each row."""
    assert found.shape == exact.shape
    size = 1.0 + np.abs(exact).max(axis=-1, keepdims=True, initial=0.0)
    np.testing.assert_array_less(
        np.abs(found - exact), np.broadcast_to(tolerance * size, exact.shape)
    )


@settings(max_examples=120, deadline=None)
@given(names, mixtures(), batches, st.sampled_from([1.0, 30.0, 1e6]), seeds)
def test_loss_against_scipy(name, mixture, n, distance, seed):
    raw, targets = draw_rows(mixture, n, seed, distance=distance)
    losses, gradient = BACKENDS[name].mixture_nll(raw, targets, mixture)
    exact = [loss_of_scipy(mixture, *row) for row in zip(raw, targets, strict=True)]
    assert losses.dtype == gradient.dtype == np.float64
    assert losses.shape == (n,)
    assert gradient.shape == raw.shape
    np.testing.assert_allclose(losses, exact, rtol=1e-10, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(names, mixtures(), st.sampled_from([1, 7]), seeds)
@example("reference", MixtureSpec(2, 4, "full", 0.0, 0.05), 7, 66)
def test_gradient_against_fourth_order_differences(name, mixture, n, seed):
    raw, targets = draw_rows(mixture, n, seed)
    # A step must change no log density by much: responsibilities follow it exponentially.
    steepest = np.abs(REFERENCE.mixture_nll(raw, targets, mixture)[1]).max(axis=1)
    h = (5e-4 / (1.0 + steepest / 40.0))[:, None]
    columns = np.eye(mixture.n_raw) * h[:, :, None]

    def moved(step):  # (n, n_raw): column j of each row moved by `step` times h
        rows = (raw[:, None, :] + step * columns).reshape(-1, mixture.n_raw)
        repeated = np.repeat(targets, mixture.n_raw, axis=0)
        return BACKENDS[name].mixture_nll(rows, repeated, mixture)[0].reshape(raw.shape)

    quotients = (8.0 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12.0 * h)
    gradient = BACKENDS[name].mixture_nll(raw, targets, mixture)[1]
    assert_close_rows(gradient, quotients, 1e-7)


@settings(max_examples=150, deadline=None)
@given(cpp_names, mixtures(), batches, dtypes, st.sampled_from([1.0, 30.0]), seeds)
def test_compiled_against_the_reference(name, mixture, n, dtype, distance, seed):
    raw, targets = draw_rows(mixture, n, seed, dtype, distance)
    losses, gradient = CPP[name].mixture_nll(raw, targets, mixture)
    exact_losses, exact_gradient = REFERENCE.mixture_nll(raw, targets, mixture)
    assert losses.dtype == gradient.dtype == dtype
    # A responsibility is as exact as the log densities, of which a distant target has large ones.
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    size = 1.0 + np.abs(exact_losses).max(initial=0.0)
    assert_close_rows(losses[:, None], exact_losses[:, None], tolerance)
    assert_close_rows(gradient, exact_gradient, tolerance * size)


EXTREMES = {
    "logits": [0.0, 3.0, 1e4, -1e4, 1e30, -1e30, np.inf, -np.inf],
    "means": [0.0, 1.0, -1e6, 1e30, np.inf, -np.inf],
    "scales": [0.0, 1.0, -5.0, 40.0, -40.0, 1e3, -1e3, 1e30, -1e30, np.inf, -np.inf],
    "targets": [0.0, 1e6, -1e6, 1e30, -3e38],
}


@settings(max_examples=300, deadline=None)
@given(names, mixtures(), dtypes, st.integers(0, 10**6))
def test_extremes_give_finite_losses_and_gradients(name, mixture, dtype, seed):
    rng = np.random.default_rng([SEED_DATA, seed])
    n, k, d = 33, mixture.n_components, mixture.n_dims
    parts = [("logits", k), ("means", k * d), ("scales", k * mixture.n_scales)]
    raw = np.hstack([rng.choice(EXTREMES[part], (n, width)) for part, width in parts])
    targets = rng.choice(EXTREMES["targets"], (n, d)).astype(dtype)
    losses, gradient = BACKENDS[name].mixture_nll(raw.astype(dtype), targets, mixture)
    assert np.isfinite(losses).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("distance", [0.5, 1e6, 1e30])
def test_a_weight_of_zero_takes_its_component_out(name, dtype, covariance, distance):
    """The second of three has the logit -inf; without it, losses and slopes are the same."""
    three, two = MixtureSpec(3, 3, covariance), MixtureSpec(2, 3, covariance)
    raw, targets = draw_rows(three, 7, 1, dtype, distance)
    raw[:, 1] = -np.inf
    raw[:, 6:9] = targets  # the component fits best
    s = three.n_scales
    of_second = np.r_[1, 6:9, 12 + s : 12 + 2 * s]
    others = np.delete(np.arange(three.n_raw), of_second)
    losses, gradient = BACKENDS[name].mixture_nll(raw, targets, three)
    expected = BACKENDS[name].mixture_nll(raw[:, others].copy(), targets, two)
    assert (gradient[:, of_second] == 0.0).all()
    np.testing.assert_array_equal(losses, expected[0])
    np.testing.assert_array_equal(gradient[:, others], expected[1])


@pytest.mark.parametrize("name", BACKENDS)
def test_logits_of_minus_infinity_alone_are_equal_weights(name):
    mixture = MixtureSpec(4, 1)
    raw, targets = draw_rows(mixture, 7, 2)
    raw[:, :4] = 0.0
    equal = BACKENDS[name].mixture_nll(raw, targets, mixture)
    raw[:, :4] = -np.inf
    for found, expected in zip(
        BACKENDS[name].mixture_nll(raw, targets, mixture), equal, strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("distance", [1.0, 1e3, 1e6, 1e20])
def test_twin_components_share_the_gradient_of_one(name, dtype, distance):
    """However far the target is: responsibilities sum to 1."""
    targets = np.full((3, 1), distance, dtype=dtype)
    alone = BACKENDS[name].mixture_nll(np.zeros((3, 3), dtype), targets, MixtureSpec(1, 1))[1]
    raw = np.zeros((3, 9), dtype=dtype)
    gradient = BACKENDS[name].mixture_nll(raw, targets, MixtureSpec(3, 1))[1]
    assert_close_rows(gradient[:, 3:6], alone[:, [1]] / 3 * np.ones(3), 1e-6)
    assert_close_rows(gradient[:, 6:9], alone[:, [2]] / 3 * np.ones(3), 1e-6)
    np.testing.assert_allclose(gradient[:, :3], 0.0, atol=1e-6)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_the_slope_of_a_scale_does_not_stop_at_the_floor(name, dtype, covariance):
    mixture = MixtureSpec(1, 1, covariance, min_scale=0.5)
    raw, targets = np.array([[0.0, 0.0, -25.0]], dtype), np.array([[2.0]], dtype)
    gradient = BACKENDS[name].mixture_nll(raw, targets, mixture)[1]
    assert gradient[0, 2] == pytest.approx((1.0 - 4.0**2) * np.exp(-25.0) / 0.5, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(names, mixtures(), dtypes, st.sampled_from([7, 33]), st.booleans(), seeds)
def test_a_row_with_nan_stays_alone(name, mixture, dtype, n, in_targets, seed):
    raw, targets = draw_rows(mixture, n, seed, dtype)
    clean = BACKENDS[name].mixture_nll(raw, targets, mixture)
    row = seed % n
    spoiled = targets if in_targets else raw
    spoiled[row, seed % spoiled.shape[1]] = np.nan
    found = BACKENDS[name].mixture_nll(raw, targets, mixture)
    for before, after in zip(clean, found, strict=True):
        np.testing.assert_array_equal(np.delete(after, row, axis=0), np.delete(before, row, axis=0))
        assert np.isnan(after[row]).all()


@settings(max_examples=60, deadline=None)
@given(names, mixtures(), dtypes, batches, seeds)
def test_a_row_has_the_same_bits_in_every_batch_and_for_every_thread(name, mixture, dtype, n, seed):
    raw, targets = draw_rows(mixture, n, seed, dtype)
    backend = BACKENDS[name]
    losses, gradient = backend.mixture_nll(raw, targets, mixture)
    for n_threads in (2, 3):
        found = backend.mixture_nll(raw, targets, mixture, n_threads=n_threads)
        np.testing.assert_array_equal(found[0], losses)
        np.testing.assert_array_equal(found[1], gradient)
    cut = int(np.random.default_rng([SEED_SPLIT, seed]).integers(0, n + 1))
    for part in (slice(cut), slice(cut, None)):
        found = backend.mixture_nll(raw[part].copy(), targets[part].copy(), mixture)
        np.testing.assert_array_equal(found[0], losses[part])
        np.testing.assert_array_equal(found[1], gradient[part])


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_may_lie_in_memory_in_any_way(name, dtype):
    mixture = MixtureSpec(2, 3)
    raw, targets = draw_rows(mixture, 7, 5, dtype)
    expected = BACKENDS[name].mixture_nll(raw, targets, mixture)
    for ways in (strided, read_only, unaligned):
        found = BACKENDS[name].mixture_nll(ways(raw), ways(targets), mixture)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def strided(array):
    return np.asfortranarray(np.repeat(array, 2, axis=0))[::2]


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def unaligned(array):
    shifted = np.frombuffer(b"." + array.tobytes(), array.dtype, offset=1).reshape(array.shape)
    assert not shifted.flags.aligned
    return shifted


@pytest.mark.parametrize("n_threads", [1025, 2**40, 10**30])
def test_more_threads_than_any_machine_has_are_refused(n_threads):
    raw, targets = draw_rows(MixtureSpec(1, 1), 7, 6)
    for backend in CPP.values():
        with pytest.raises(ValueError, match=f"n_threads must be at most 1024, got {n_threads}"):
            backend.mixture_nll(raw, targets, MixtureSpec(1, 1), n_threads=n_threads)


# Networks trained on it


def training_data(mixture, dtype, n=33):
    rng = np.random.default_rng(SEED_DATA)
    spec = NetworkSpec((2, 5, mixture.n_raw), "tanh")
    parameters = rng.uniform(-1.0, 1.0, spec.n_parameters).astype(dtype)
    X = rng.normal(size=(n, 2)).astype(dtype)
    return spec, parameters, X, rng.normal(size=(n, mixture.n_dims)).astype(dtype)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_a_trainer_descends_the_mean_of_the_losses(name, covariance):
    mixture = MixtureSpec(3, 2, covariance, min_weight=0.01, min_scale=0.05)
    backend = BACKENDS[name]
    spec, parameters, X, Y = training_data(mixture, np.float64)

    def loss(at):
        return backend.mixture_trainer(spec, at, mixture).loss(X, Y)

    raw = backend.network(spec, parameters).forward(X)
    assert loss(parameters) == pytest.approx(backend.mixture_nll(raw, Y, mixture)[0].mean(), 1e-13)

    trainer = backend.mixture_trainer(spec, parameters, mixture, beta_1=0.0)
    value = trainer.train_epoch(X, Y, np.arange(33), batch_size=33, learning_rate=1e-3)
    assert value == pytest.approx(loss(parameters), rel=1e-13)
    gradient = trainer.state()["first_moment"]  # as beta_1 is 0
    h, direction = 1e-4, np.random.default_rng(SEED_SPLIT).normal(size=parameters.shape)
    at = [loss(parameters + step * h * direction) for step in (-2, -1, 1, 2)]
    quotient = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h)
    assert gradient @ direction == pytest.approx(quotient, rel=1e-7)


@pytest.mark.parametrize("name", CPP)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_compiled_training_against_the_reference(name, dtype, covariance, batch_size):
    mixture = MixtureSpec(3, 2, covariance, min_weight=0.01, min_scale=0.05)
    spec, parameters, X, Y = training_data(mixture, dtype)
    order = np.random.default_rng(SEED_SPLIT).permutation(33)
    # A large epsilon keeps Adam from dividing rounding errors by rounding errors.
    ours = CPP[name].mixture_trainer(spec, parameters, mixture, epsilon=1e-2)
    theirs = REFERENCE.mixture_trainer(spec, parameters, mixture, epsilon=1e-2)
    for _ in range(2):
        found, exact = (
            trainer.train_epoch(X, Y, order, batch_size=batch_size, learning_rate=1e-2)
            for trainer in (ours, theirs)
        )
    tolerance = 2e-3 if dtype == np.float32 else 1e-10
    assert found == pytest.approx(exact, rel=tolerance)
    assert ours.loss(X, Y) == pytest.approx(theirs.loss(X, Y), rel=tolerance)
    np.testing.assert_allclose(ours.parameters(), theirs.parameters(), rtol=0, atol=tolerance)
    assert ours.state()["step"] == theirs.state()["step"] == 2 * -(-33 // batch_size)


@pytest.mark.parametrize("name", CPP)
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_training_resumes_and_has_the_same_bits_for_every_number_of_threads(name, covariance):
    mixture = MixtureSpec(4, 2, covariance)
    spec, parameters, X, Y = training_data(mixture, np.float32, n=70)
    order = np.random.default_rng(SEED_SPLIT).permutation(70)
    whole = [CPP[name].mixture_trainer(spec, parameters, mixture) for _ in range(3)]
    for n_threads, trainer in enumerate(whole, start=1):
        for _ in range(2):
            saved = trainer.state()
            trainer.train_epoch(X, Y, order, batch_size=33, learning_rate=1e-2, n_threads=n_threads)
    resumed = CPP[name].mixture_trainer(spec, np.zeros_like(parameters), mixture)
    resumed.load_state(saved)
    resumed.train_epoch(X, Y, order, batch_size=33, learning_rate=1e-2)
    for other in (*whole[1:], resumed):
        for key, value in whole[0].state().items():
            np.testing.assert_array_equal(other.state()[key], value)


# The public function


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_public_function_keeps_float32_and_makes_float64_of_all_else(backend):
    raw, targets = draw_rows(MixtureSpec(2, 1), 7, 3)
    wide = mixture_nll(raw, targets, 2, backend=backend)
    single = mixture_nll(raw.astype(np.float32), targets, 2, backend=backend)
    lists = mixture_nll(raw.tolist(), targets[:, 0].tolist(), 2, backend=backend, n_threads=2)
    strided = mixture_nll(np.asfortranarray(raw), targets[:, 0], 2, backend=backend)
    for i in range(2):
        assert wide[i].dtype == lists[i].dtype == np.float64
        assert single[i].dtype == np.float32
        np.testing.assert_array_equal(lists[i], wide[i])
        np.testing.assert_array_equal(strided[i], wide[i])
        np.testing.assert_allclose(single[i], wide[i], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_masked_value_is_none(backend, dtype):
    raw, targets = draw_rows(MixtureSpec(2, 1), 7, 3, dtype)
    losses, gradient = mixture_nll(raw, targets, 2, backend=backend)
    losses[[2, 4]] = gradient[[2, 4]] = np.nan
    masked_raw, masked_targets = np.ma.array(raw), np.ma.array(targets)
    masked_raw[2, 3] = masked_targets[4, 0] = np.ma.masked
    found = mixture_nll(masked_raw, masked_targets, 2, backend=backend)
    np.testing.assert_array_equal(found[0], losses)
    np.testing.assert_array_equal(found[1], gradient)


def test_public_function_passes_its_options_on():
    mixture = MixtureSpec(2, 2, "full", min_weight=0.1, min_scale=0.3)
    raw, targets = draw_rows(mixture, 7, 4)
    found = mixture_nll(raw, targets, 2, "full", min_weight=0.1, min_scale=0.3, backend="reference")
    for ours, theirs in zip(found, REFERENCE.mixture_nll(raw, targets, mixture), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_density_may_exceed_one():
    losses, _ = mixture_nll([[0.0, 0.0, np.log(1e-3)]], [0.0], 1)
    assert losses[0] == pytest.approx(-np.log(1e3 / np.sqrt(2 * np.pi)))


RAW, TARGETS = np.zeros((7, 6)), np.zeros((7, 1))
REFUSALS = {
    "raw, columns": (
        {"raw": RAW[:, :5]}, ValueError,
        r"raw must have 6 columns for n_components=2.*targets of 1 columns, got shape \(7, 5\)"),
    "raw, dimensions": ({"raw": RAW[0]}, ValueError, r"raw must have shape \(n, n_raw\)"),
    "raw, words": ({"raw": [["a"]]}, ValueError, "raw must hold real numbers"),
    "targets, rows": (
        {"targets": TARGETS[:6]}, ValueError, r"targets must have shape \(7, D\).*got shape \(6"),
    "targets, no columns": ({"targets": TARGETS[:, :0]}, ValueError, "targets must have shape"),
    "targets, dimensions": ({"targets": TARGETS[None]}, ValueError, "targets must have shape"),
    "n_components": ({"n_components": 0}, ValueError, "n_components must be positive, got 0"),
    "n_components, kind": ({"n_components": 2.0}, TypeError, "n_components must be an integer"),
    "covariance_type": (
        {"covariance_type": "tied"}, ValueError, "covariance_type must be one of .*got 'tied'"),
    "min_weight": ({"min_weight": 0.5}, ValueError, "min_weight must be .*below 1 / n_components"),
    "min_weight, negative": ({"min_weight": -0.1}, ValueError, "min_weight must be .*at least 0"),
    "min_weight, kind": ({"min_weight": "0"}, TypeError, "min_weight must be a number"),
    "min_scale": ({"min_scale": np.inf}, ValueError, "min_scale must be finite"),
    "n_threads": ({"n_threads": 0}, ValueError, "n_threads must be positive"),
    "backend": ({"backend": "torch"}, ValueError, "backend must be one of"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_public_function_refuses(case):
    changed, error, words = REFUSALS[case]
    with pytest.raises(error, match=words):
        mixture_nll(**{"raw": RAW, "targets": TARGETS, "n_components": 2, **changed})
