"""The paper's experiments in its protocol, and in ours beside it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import fastinv as fi
from fastinv.reproduce import FAST, Errors, Moments, Split, run_experiment, run_tables
from fastinv.reproduce.candidates import branch_recall

BEST_OF_PAPER = {1: 0.0051, 7: 0.0040}
SHORT = replace(
    FAST.with_networks(max_iter=1),
    n_direct=200,
    n_ranked=7,
    known_forward={**FAST.known_forward, "network__max_iter": 1, "pairs__n_pairs": 2000},
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTINV_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module", params=[1, 7])
def result(request):
    recipe = replace(FAST, known_forward={"network__max_iter": 30}, direct=SHORT.direct)
    return run_experiment(fi.problems.experiment(request.param), 0, recipe=recipe)


@pytest.fixture(scope="module")
def noisy():
    recipe = replace(FAST, n_ranked=20)
    return run_experiment(fi.problems.two_link_arm, 0, setting="noisy_data", recipe=recipe)


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
        assert errors.twin_best_learned is errors.twin_polished_many is errors.least is None


def test_noisy_data_are_judged_by_the_exact_f(noisy):
    for errors in (noisy.paper_protocol, noisy.nearest_five):
        # Whoever knows f chooses better; noise of 1 % is all that a learned f leaves.
        assert 0.0 < errors.twin_best < errors.twin_best_learned < 0.03
        assert errors.twin_best_learned < errors.twin_by_anchor[0] < errors.nearest_by_anchor[0]
        assert 1e-4 < errors.twin_polished < 0.03
        assert 1e-4 < errors.twin_polished_many < 0.03
        assert errors.twin_polished_many != errors.twin_polished
        assert errors.least < min(errors.twin_best, errors.twin_polished, errors.twin_polished_many)
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


def test_other_settings_and_seeds_are_refused():
    with pytest.raises(ValueError, match="setting must be"):
        run_experiment(fi.problems.cubic, setting="noise")
    with pytest.raises(TypeError, match="random_state must be an integer"):
        run_experiment(fi.problems.cubic, 0.5)
    with pytest.raises(ValueError, match="n_jobs"):
        run_tables((1,), n_jobs=0)


@pytest.mark.parametrize("setting", ["known_forward", "noisy_data"])
def test_the_learner_is_the_recipes(setting):
    class Learner(fi.DistilledRegressor):
        fitted = 0

        def fit(self, X, y):
            type(self).fitted += 1
            return super().fit(X, y)

    recipe = replace(SHORT, learner=Learner)
    run_experiment(fi.problems.cubic, 0, setting=setting, recipe=recipe)
    assert Learner.fitted == (setting == "noisy_data")


def test_same_command_same_numbers_for_any_number_of_processes():
    first, second = (
        run_tables((1,), seeds=(1, 2), recipe=SHORT, n_jobs=n_jobs) for n_jobs in (1, 2)
    )
    assert first.keys() == second.keys() == {1, 2}
    for table in (1, 2):
        results = zip(first[table].results[1], second[table].results[1], strict=True)
        for one, other in results:
            assert replace(one, fit_seconds={}) == replace(other, fit_seconds={})
        one, other = first[table].results[1]
        assert one.nearest_five != other.nearest_five  # another seed


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
