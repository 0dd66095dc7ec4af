"""The paper's experiments: its numbers, its protocol, and ours beside it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import fastinv as fi
from fastinv.backends.protocol import NetworkSpec
from fastinv.reproduce import (
    FAST,
    PAPER,
    Errors,
    Moments,
    Split,
    ablation,
    paper_result,
    run_experiment,
    run_tables,
)
from fastinv.reproduce.experiment import branch_recall
from fastinv.reproduce.figures import draw_by_anchor
from fastinv.reproduce.report import report_text, results_content
from fastinv.reproduce.unscaled import RawPairs
from fastinv.solvers.pairs import Pairs

BEST_OF_PAPER = {1: 0.0051, 7: 0.0040}


def shortened(recipe, epochs=1, **changes):
    """The recipe with trainings of so many epochs."""
    short = {"max_iter": epochs, **changes}
    parts = ("known_forward", "noisy_data", "learned_forward", "direct")
    return dataclasses.replace(
        recipe, n_direct=200, **{part: {**getattr(recipe, part), **short} for part in parts}
    )


SHORT = shortened(FAST)
SHORT_PAPER = shortened(PAPER, hidden_layer_sizes=(32, 32))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTINV_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module", params=[1, 7])
def result(request):
    recipe = dataclasses.replace(FAST, known_forward={"max_iter": 30}, direct=SHORT.direct)
    return run_experiment(fi.problems.experiment(request.param), 0, recipe=recipe)


@pytest.fixture(scope="module")
def noisy():
    return run_experiment(fi.problems.two_link_arm, 0, setting="noisy_data")


@pytest.fixture(scope="module")
def tables():
    return run_tables((1, 8), seeds=(3, 4), recipe=SHORT)


def test_best_is_at_least_as_good_as_the_papers(result):
    assert result.paper_protocol.twin_best <= BEST_OF_PAPER[result.number]
    assert result.nearest_five.twin_best <= BEST_OF_PAPER[result.number]


def test_the_two_counts_of_anchors_overlap(result):
    paper, right = result.paper_protocol, result.nearest_five
    assert paper.nearest_by_anchor[:-1] == right.nearest_by_anchor[1:]
    assert paper.twin_by_anchor[:-1] == right.twin_by_anchor[1:]
    assert paper.direct == right.direct
    for errors in (paper, right):
        assert list(errors.nearest_by_anchor) == sorted(errors.nearest_by_anchor)
        assert len(errors.twin_by_anchor) == 5
        assert errors.twin_best < min(errors.twin_by_anchor)


def test_nearest_anchors_are_those_of_brute_force(result):
    problem = fi.problems.experiment(result.number)
    of_data = int(np.random.SeedSequence(0).generate_state(3)[0])
    split = Split.of(problem, of_data)
    images = problem.forward(split.anchors_x)
    distances = np.linalg.norm(images[None] - split.targets[:, None], axis=2)
    distances.sort(axis=1)
    expected = np.sqrt((distances[:, 1:6] ** 2).mean(axis=0) / problem.n_outputs)
    np.testing.assert_allclose(result.paper_protocol.nearest_by_anchor, expected, rtol=1e-9)


def test_a_candidate_is_never_worse_than_its_anchor(result):
    for errors in (result.paper_protocol, result.nearest_five):
        pairs = zip(errors.twin_by_anchor, errors.nearest_by_anchor, strict=True)
        assert all(twin <= nearest for twin, nearest in pairs)


def test_polish_on_the_exact_f_ends_at_rounding_error(result):
    for errors in (result.paper_protocol, result.nearest_five):
        assert max(errors.nearest_polished, errors.twin_polished) < 1e-12
        assert 0.5 < errors.twin_recall <= 1.0
        assert errors.twin_best_learned is None


def test_noisy_data_are_judged_by_the_exact_f(noisy):
    for errors in (noisy.paper_protocol, noisy.nearest_five):
        # Whoever knows f chooses better; noise of 1 % is all that a learned f leaves.
        assert 0.0 < errors.twin_best < errors.twin_best_learned < 0.03
        assert errors.twin_best_learned < errors.twin_by_anchor[0] < errors.nearest_by_anchor[0]
        assert 1e-4 < errors.twin_polished < 0.03
    assert set(noisy.fit_seconds) == {"twin", "direct", "forward"}


def test_summary_is_json(result):
    summary = result.summary()
    assert json.loads(json.dumps(summary, allow_nan=False))["problem"] == result.problem
    assert set(summary["fit_seconds"]) == {"twin", "direct"}


@pytest.mark.parametrize("setting", ["known_forward", "noisy_data"])
@pytest.mark.parametrize(("number", "n_anchors", "n_targets"), [(4, 300, 100), (9, 600, 200)])
def test_sizes_are_the_papers(number, n_anchors, n_targets, setting):
    problem = fi.problems.experiment(number)
    result = run_experiment(problem, 5, setting=setting, recipe=SHORT)
    assert (result.n_anchors, result.n_targets) == (n_anchors, n_targets)
    assert (result.number, result.setting, result.twin_epochs) == (number, setting, 1)
    errors = result.paper_protocol
    assert np.isfinite([*errors.twin_by_anchor, errors.direct, errors.twin_polished]).all()
    assert (errors.twin_recall is None) == (number == 4)


@pytest.mark.parametrize("number", range(1, 10))
def test_every_experiment_splits_60_20_20(number):
    problem = fi.problems.experiment(number)
    split, noisy = Split.of(problem, 0), Split.of(problem, 0, noisy=True)
    size = 500 if number <= 4 else 1000
    sizes = len(split.anchors_x), len(split.points_x), len(split.targets)
    assert sizes == (size * 6 // 10, size * 8 // 10, size * 2 // 10)
    np.testing.assert_array_equal(split.points_y, problem.forward(split.points_x))
    np.testing.assert_array_equal(noisy.points_x, split.points_x)
    relative = np.concatenate([noisy.points_y / split.points_y, noisy.targets / split.targets])
    assert np.std(relative) == pytest.approx(problem.noise.scale, rel=0.15)


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


def test_other_numbers_settings_and_seeds_are_refused():
    with pytest.raises(ValueError, match="experiments 1 to 9, got 10"):
        paper_result(10)
    with pytest.raises(ValueError, match="setting must be"):
        paper_result(1, "noise")
    with pytest.raises(ValueError, match="setting must be"):
        run_experiment(fi.problems.cubic, setting="noise")
    with pytest.raises(TypeError, match="random_state must be an integer"):
        run_experiment(fi.problems.cubic, 0.5)
    with pytest.raises(ValueError, match="n_jobs"):
        run_tables((1,), n_jobs=0)


@pytest.mark.parametrize("setting", ["known_forward", "noisy_data"])
def test_same_seed_same_numbers(setting):
    first, second, other = (
        dataclasses.replace(
            run_experiment(fi.problems.cubic, seed, setting=setting, recipe=SHORT), fit_seconds={}
        )
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first.nearest_five != other.nearest_five


def test_processes_give_the_same_numbers():
    alone, together = (
        run_tables((1, 4), tables=(1,), seeds=(0,), recipe=SHORT, n_jobs=n) for n in (1, 2)
    )
    for number in (1, 4):
        assert alone[1].paper_protocol(number) == together[1].paper_protocol(number)


def test_recall_counts_solutions_that_were_found():
    problem = fi.problems.cubic  # x^3 - x = 0 at -1, 0 and 1, = 6 at 2
    x = np.array([[[-1.0], [0.03], [-0.99]], [[2.0], [1.0], [1.0]]])
    assert branch_recall(problem, np.array([[0.0], [6.0]]), x) == 3 / 4
    x[0, 1] = 0.05  # more than 1 % of the width, 4
    assert branch_recall(problem, np.array([[0.0], [6.0]]), x) == 2 / 4
    assert branch_recall(problem, np.array([[7.0]]), x[:1]) is None
    assert branch_recall(fi.problems.half_ball, np.array([[0.5]]), np.zeros((1, 5, 2))) is None


def test_moments_over_seeds():
    one, two = (
        Errors((value,) * 5, (2 * value,) * 5, value, direct=3 * value) for value in (1.0, 2.0)
    )
    moments = Moments.of([one, two])
    assert moments.mean == Errors((1.5,) * 5, (3.0,) * 5, 1.5, direct=4.5)
    assert moments.std == Errors((0.5,) * 5, (1.0,) * 5, 0.5, direct=1.5)


def test_network_of_the_paper_is_of_raw_numbers():
    rng = np.random.default_rng(0)
    p, q, n = 2, 3, 7
    pairs = Pairs(*(rng.normal(size=(n, width)) for width in (p, q, p, q)))
    scaling = RawPairs.of_shape(p, q)
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
    recipe = dataclasses.replace(
        SHORT_PAPER,
        **{
            part: {**getattr(SHORT_PAPER, part), "learning_rate_init": 2e-3, "max_iter": 60}
            for part in ("known_forward", "noisy_data", "learned_forward")
        },
    )
    result = run_experiment(fi.problems.two_link_arm, 0, setting=setting, recipe=recipe)
    errors = result.nearest_five
    assert errors.twin_by_anchor[0] < 0.8 * errors.nearest_by_anchor[0]


@pytest.mark.filterwarnings("ignore:Training ended after max_iter")
def test_recipe_of_the_paper_on_fixed_pairs():
    recipe = dataclasses.replace(SHORT_PAPER, fresh_pairs=False)
    errors = run_experiment(fi.problems.half_ball, 0, recipe=recipe).paper_protocol
    assert np.isfinite([*errors.twin_by_anchor, errors.twin_polished]).all()


def test_hyper_parameters_are_the_papers():
    for part in (PAPER.known_forward, PAPER.noisy_data, PAPER.direct, PAPER.learned_forward):
        assert part["hidden_layer_sizes"] == (640, 640)
        assert (part["batch_size"], part["max_iter"]) == (32, 2000)
        assert (part["n_iter_no_change"], part["plateau_patience"]) == (100, 40)
    rates = [PAPER.known_forward, PAPER.noisy_data, PAPER.learned_forward]
    assert [part["learning_rate_init"] for part in rates] == [1e-5, 1e-5, 1e-4]


def test_results_have_the_papers_keys(tables):
    content = json.loads(json.dumps(results_content(tables, SHORT, (3, 4)), allow_nan=False))
    for protocol in ("paper_protocol", "nearest_protocol"):
        of_8 = content[protocol]["experiments"]["8"]
        assert {"knn_by_anchor", "itnnr_by_anchor", "itnnr_best_exact", "nn"} < set(
            of_8["known_forward"]
        )
        assert "itnnr_best_learned" in of_8["noisy_data"]
        assert "itnnr_branch_recall" not in of_8["known_forward"]
        assert len(of_8["known_forward"]["knn_by_anchor"]["mean"]) == 5
    ours = content["paper_protocol"]["experiments"]["1"]["known_forward"]["nn"]["mean"]
    seeds = [result.paper_protocol.direct for result in tables[1].results[1]]
    assert ours == [pytest.approx(np.mean(seeds))]
    assert len(content["fit_seconds"]["8"]["noisy_data"]["forward"]) == 2


def test_report_has_ours_beside_the_papers(tables):
    text = report_text(tables, SHORT, (3, 4), ["figure_8.png"])
    for piece in ("Table 1", "Table 2", "(0.0051 ± 0.0013)", "(0.0247 ± ", "![figure_8.png]"):
        assert piece in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| ")}
    assert min(widths) >= 5


@pytest.mark.parametrize("table", [1, 2])
def test_figure_by_anchor_has_the_papers_and_ours(tables, table):
    figure = draw_by_anchor(tables[table])
    first = figure.axes[0]
    labels = first.get_legend_handles_labels()[1]
    assert len(labels) == {1: 6, 2: 8}[table]
    assert first.get_yscale() == "log"


def test_ablation_changes_one_thing_at_a_time():
    recipe = shortened(FAST, 2)  # schedules differ from the second epoch on
    rows = ablation((1,), recipe=recipe)
    assert rows[0].change == "as it is"
    best = {row.change: row.errors.mean.twin_best for row in rows}
    assert len(best) == len(rows) > 5
    assert all(value != best["as it is"] for name, value in best.items() if name != "as it is")
