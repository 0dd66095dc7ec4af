"""The paper's experiments: its numbers, its protocol, and ours beside it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import fastinv as fi
from fastinv.reproduce import Split, paper_result, run_experiment

BEST_OF_PAPER = {1: 0.0051, 7: 0.0040}


@pytest.fixture(scope="module", params=[1, 7])
def result(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTINV_NUM_THREADS", "1")
        return run_experiment(fi.problems.experiment(request.param), 0, max_iter=40)


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


def test_summary_is_json(result):
    summary = result.summary()
    assert json.loads(json.dumps(summary, allow_nan=False))["problem"] == result.problem
    assert set(summary["fit_seconds"]) == {"twin", "direct"}


@pytest.mark.parametrize(("number", "n_anchors", "n_targets"), [(4, 300, 100), (9, 600, 200)])
def test_sizes_are_the_papers(number, n_anchors, n_targets):
    problem = fi.problems.experiment(number)
    result = run_experiment(problem, 5, max_iter=1)
    assert (result.n_anchors, result.n_targets) == (n_anchors, n_targets)
    assert result.number == number
    numbers = [*result.paper_protocol.twin_by_anchor, result.nearest_five.direct]
    assert np.isfinite(numbers).all()


@pytest.mark.parametrize("number", range(1, 10))
def test_every_experiment_splits_60_20_20(number):
    split = Split.of(fi.problems.experiment(number), 0)
    size = 500 if number <= 4 else 1000
    assert (len(split.anchors_x), len(split.targets)) == (size * 6 // 10, size * 2 // 10)


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


def test_other_numbers_and_seeds_are_refused():
    with pytest.raises(ValueError, match="experiments 1 to 9, got 10"):
        paper_result(10)
    with pytest.raises(TypeError, match="random_state must be an integer"):
        run_experiment(fi.problems.cubic, 0.5)


def test_same_seed_same_numbers():
    first, second, other = (
        dataclasses.replace(run_experiment(fi.problems.cubic, seed, max_iter=1), fit_seconds={})
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first.nearest_five != other.nearest_five
