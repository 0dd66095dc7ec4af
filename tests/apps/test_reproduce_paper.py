"""The paper's own numbers, and its recipe."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import fastinv as fi
from fastinv.estimators.twin_pairs import Pairs
from fastinv.functions.networks import NetworkSpec
from fastinv.reproduce import FAST, PAPER, paper_result, run_experiment
from fastinv.reproduce.training.unscaled import RawScaling

SHORT_PAPER = dataclasses.replace(
    PAPER.with_networks(max_iter=1, hidden_layer_sizes=(32, 32)), n_direct=200
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTINV_NUM_THREADS", "1")
        yield


@pytest.mark.parametrize(
    ("number", "nearest", "direct", "first", "best"),
    [
        (1, 0.074, 0.122, 0.008, 0.005),
        (5, 1.063, 3.961, 0.399, 0.153),
        (7, 0.053, 0.230, 0.009, 0.004),
        (9, 0.135, 0.214, 0.030, 0.012),
    ],
)
def test_numbers_of_the_papers_table_1(number, nearest, direct, first, best):
    mean = paper_result(number).mean
    found = [mean.nearest_by_anchor[0], mean.direct, mean.twin_by_anchor[0], mean.twin_best]
    assert [round(value, 3) for value in found] == [nearest, direct, first, best]
    assert all(len(value) == 5 for value in (mean.nearest_by_anchor, mean.twin_by_anchor))
    assert paper_result(number).std.direct > 0


@pytest.mark.parametrize(
    ("number", "nearest", "first", "learned", "exact"),
    [
        (1, 0.086, 0.024, 0.017, 0.006),
        (4, 0.015, 0.014, 0.009, 0.004),
        (6, 1.109, 0.298, 0.151, 0.138),
        (9, 0.136, 0.043, 0.025, 0.021),
    ],
)
def test_numbers_of_the_papers_table_2(number, nearest, first, learned, exact):
    mean = paper_result(number, "noisy_data").mean
    found = [mean.nearest_by_anchor[0], mean.twin_by_anchor[0], mean.twin_best_learned]
    assert [round(value, 3) for value in (*found, mean.twin_best)] == [
        nearest,
        first,
        learned,
        exact,
    ]
    assert mean.direct is None


def test_other_numbers_and_settings_are_refused():
    with pytest.raises(ValueError, match="experiments 1 to 9, got 10"):
        paper_result(10)
    with pytest.raises(ValueError, match="setting must be"):
        paper_result(1, "noise")


def test_network_of_the_paper_is_of_raw_numbers():
    rng = np.random.default_rng(0)
    p, q, n = 2, 3, 7
    pairs = Pairs(*(rng.normal(size=(n, width)) for width in (p, q, p, q)))
    scaling = RawScaling.of_shape(p, q)
    inputs, targets = scaling.rows(pairs)
    np.testing.assert_array_equal(
        inputs, np.hstack([pairs.y, pairs.y_anchor, pairs.x_anchor]).astype(np.float32)
    )
    np.testing.assert_array_equal(targets, (pairs.x - pairs.x_anchor).astype(np.float32))
    spec = NetworkSpec((2 * q + p, 5, p), "relu")
    parameters = rng.normal(size=spec.n_parameters).astype(np.float32)
    twin = scaling.network(spec, parameters)
    (w, b), (v, c) = spec.layers(parameters)
    expected = np.maximum(inputs @ w + b, 0.0) @ v + c
    (w, b), (v, c) = spec.layers(twin.parameters)
    scaled = np.hstack([pairs.y - pairs.y_anchor, pairs.y_anchor, pairs.x_anchor])
    np.testing.assert_allclose(np.maximum(scaled @ w + b, 0.0) @ v + c, expected, atol=1e-4)


@pytest.mark.parametrize("setting", ["known_forward", "noisy_data"])
@pytest.mark.filterwarnings("ignore:Training ended after max_iter")
def test_recipe_of_the_paper_learns(setting):
    longer = SHORT_PAPER.with_networks(learning_rate_init=2e-3, max_iter=60)
    recipe = dataclasses.replace(longer, direct=SHORT_PAPER.direct)
    result = run_experiment(fi.problems.two_link_arm, 0, setting=setting, recipe=recipe)
    errors = result.nearest_five
    assert errors.twin_by_anchor[0] < 0.8 * errors.nearest_by_anchor[0]


@pytest.mark.filterwarnings("ignore:Training ended after max_iter")
def test_recipe_of_the_paper_on_fixed_pairs():
    recipe = dataclasses.replace(SHORT_PAPER, fresh_pairs=False)
    errors = run_experiment(fi.problems.half_ball, 0, recipe=recipe).paper_protocol
    assert np.isfinite([*errors.twin_by_anchor, errors.twin_polished]).all()


def test_hyper_parameters_are_the_papers():
    twins = [PAPER.twin_solver(None, noisy=noisy).network.get_params() for noisy in (False, True)]
    for part in (*twins, PAPER.direct, PAPER.learned_forward):
        assert part["hidden_layer_sizes"] == (640, 640)
        assert (part["batch_size"], part["max_iter"]) == (32, 2000)
        assert (part["n_iter_no_change"], part["plateau_patience"]) == (100, 40)
    rates = [*twins, PAPER.learned_forward]
    assert [part["learning_rate_init"] for part in rates] == [1e-5, 1e-5, 1e-4]


def test_parameters_of_all_networks():
    changed = FAST.with_networks(max_iter=3, batch_size=7)
    for part in ("learned_forward", "direct"):
        expected = {**getattr(FAST, part), "max_iter": 3, "batch_size": 7}
        assert getattr(changed, part) == expected
    for noisy in (False, True):
        network = changed.twin_solver(None, noisy=noisy).network
        assert (network.max_iter, network.batch_size) == (3, 7)
