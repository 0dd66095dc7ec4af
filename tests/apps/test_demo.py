"""The demo: what it measures is what it says, and the twin network does what is promised."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import fastinv as fi
from fastinv.comparison import rmse_in_y, timed_fit
from fastinv.demo import PROBLEM, SAME_SOLUTION, distinct, draw_demo, run_demo
from fastinv.solutions import Solutions, Status


@pytest.fixture(scope="module")
def result():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTINV_NUM_THREADS", "1")
        return run_demo(n_targets=333, random_state=0, n_calls=50)


def test_twin_network_has_a_tenth_of_the_error_of_the_nearest_anchor(result):
    rmse = {name: method.rmse for name, method in result.methods.items()}
    assert rmse["twin_best"] <= rmse["nearest"] / 10
    assert rmse["twin_best"] < rmse["twin_first"] < rmse["nearest"] < rmse["direct"]
    assert result.improvement == rmse["nearest"] / rmse["twin_best"]


def test_polish_leaves_rounding_errors_and_finds_everything(result):
    assert result.methods["twin_polished"].rmse < 1e-9
    every, n_exact = result.enumerated, result.found[0].n_exact
    assert every.n_exact == n_exact
    assert 0.995 * n_exact <= every.n_found <= n_exact
    assert every.n_found == every.n_solutions
    assert every.microseconds_per_target > 0
    assert result.summary()["enumerated"]["n_found"] == every.n_found


def test_errors_are_those_of_the_solutions(result):
    errors = PROBLEM.forward(result.averages) - result.targets
    assert result.methods["direct"].rmse == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-12)
    distances = np.linalg.norm(result.anchors_y[None] - result.targets[:, None], axis=2)
    nearest = np.sqrt((distances.min(axis=1) ** 2).sum() / result.targets.size)
    assert result.methods["nearest"].rmse == pytest.approx(nearest, rel=1e-9)


def test_targets_are_reachable_and_counted(result):
    assert result.targets.shape == (333, 2)
    assert sum(result.status.values()) == 333
    assert result.status["UNREACHABLE"] == result.status["INVALID"] == 0
    assert set(result.status) == {status.name for status in Status}


def test_more_anchors_find_more_of_the_exact_solutions(result):
    few, many = result.found
    n_exact = sum(len(x) for x in PROBLEM.preimages(result.targets))
    assert few.n_exact == many.n_exact == n_exact
    assert (few.n_candidates, many.n_candidates) == (5, 40)
    assert 0.5 * n_exact < few.n_found < many.n_found <= n_exact
    assert many.n_found > 0.85 * n_exact


def test_times_are_positive_and_ordered(result):
    assert 0 < result.latency.p50 <= result.latency.p99
    assert result.latency.n_calls == 50
    assert all(method.microseconds_per_target > 0 for method in result.methods.values())
    assert set(result.fit_seconds) == {"twin", "direct"}


def test_summary_is_json(result):
    summary = result.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["n_targets"] == 333


def test_picture_shows_both_solutions_and_the_averages(result):
    figure = draw_demo(result, n_drawn=3)
    left, right = figure.axes
    labels = [[line.get_label() for line in axes.lines] for axes in (left, right)]
    assert labels[0].count("bent to the left") == labels[0].count("bent to the right") == 3
    assert "6 of 6 solutions found" in left.get_title()
    assert labels[1].count("average") == labels[1].count("miss") == 3
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) == len(set(texts)) == 7


@pytest.mark.parametrize("n_targets", [1, 7])
def test_few_targets(n_targets):
    small = run_demo(n_targets, 3, max_iter=1, n_calls=3)
    assert small.solutions.x.shape == (n_targets, 40, 2)
    figure = draw_demo(small)
    assert len(figure.axes) == 2


def test_same_seed_same_numbers():
    first, second, other = (run_demo(33, seed, max_iter=1, n_calls=1) for seed in (1, 1, 2))
    assert np.array_equal(first.solutions.x, second.solutions.x)
    assert np.array_equal(first.averages, second.averages)
    assert not np.array_equal(first.targets, other.targets)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_targets": 0}, ValueError, "n_targets must be positive"),
        ({"random_state": -1}, ValueError, "random_state must be at least 0"),
        ({"n_calls": 1.5}, TypeError, "n_calls must be an integer"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        run_demo(**arguments)


def test_distinct_merges_what_is_close_and_drops_what_did_not_converge():
    x = np.array([[[0.0, 0.0], [SAME_SOLUTION / 2, 0.0], [1.0, 0.0], [2.0, 0.0]]])
    status = np.array([[0, 0, 0, 1]], dtype=np.int8)
    solutions = Solutions(np.zeros((1, 2)), x, np.zeros((1, 4)), np.zeros((1, 4), int), status)
    assert distinct(solutions).tolist() == [[0.0, 0.0], [1.0, 0.0]]
    assert distinct(solutions, separation=5.0).tolist() == [[0.0, 0.0]]
    nothing = Solutions(
        solutions.targets, x, solutions.residual, solutions.anchor, np.ones((1, 4), dtype=np.int8)
    )
    assert distinct(nothing).shape == (0, 2)


def test_rmse_is_over_targets_and_components():
    x = np.array([[0.0, 0.0], [0.0, 0.0]])
    targets = fi.problems.two_link_arm.forward(x) + np.diag([3.0, 4.0])
    assert rmse_in_y(fi.problems.two_link_arm.forward, x, targets) == np.sqrt(25 / 4)


def test_an_interrupted_training_stops_everything(monkeypatch):
    solver = fi.TwinSolver(PROBLEM.forward, bounds=PROBLEM.bounds)

    def interrupted(X=None):
        solver.network_ = SimpleNamespace(stopped_="interrupted")

    monkeypatch.setattr(solver, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        timed_fit(solver)
