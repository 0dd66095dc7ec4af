"""What each ingredient of a recipe buys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastinv.problems import experiment
from fastinv.reproduce import FAST, PAPER, ablation, run_experiment
from fastinv.reproduce.data import Split

# Schedules differ from the second epoch on.
SHORT = replace(
    FAST,
    known_forward={
        **FAST.known_forward,
        "network__max_iter": 2,
        "pairs__n_pairs": 4000,
        "pairs__pairs_per_epoch": 2048,
    },
    noisy_data={**FAST.noisy_data, "network__max_iter": 20},
    direct={**FAST.direct, "max_iter": 1},
    n_direct=200,
    n_ranked=7,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTINV_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def rows(told):
    return ablation((1,), recipe=SHORT, on_start=told.append, on_result=lambda: told.append("done"))


def found(rows, setting, ingredient):
    return {
        row.change: row for row in rows if (row.setting, row.ingredient) == (setting, ingredient)
    }


def test_every_change_changes_something(rows):
    known = [row for row in rows if row.setting == "known_forward" and row.seconds is not None]
    unchanged = known[0]
    assert (unchanged.change, unchanged.ratio) == ("unchanged", 1.0)
    assert len(known) > 15
    # Which are all anchors that experiment 1 has.
    same = [row.change for row in known[1:] if row.best == unchanged.best]
    assert same == ["300"]
    assert len({(row.setting, row.ingredient, row.change) for row in rows}) == len(rows)


def test_changes_that_are_none_are_left_out(rows):
    assert "ReLU" not in found(rows, "known_forward", "activation")
    assert "absolute" not in found(rows, "known_forward", "loss")
    assert {"squared", "Huber, 0.1"} == set(found(rows, "known_forward", "loss"))


def test_work_is_told(rows, told):
    n_trainings = sum(row.setting == "known_forward" and row.seconds is not None for row in rows)
    assert told[0] == n_trainings + 1
    assert told[1:] == ["done"] * told[0]


def test_unchanged_rows_are_those_of_the_experiment(rows):
    for setting, name in (("known_forward", "twin_best"), ("noisy_data", "twin_best_learned")):
        errors = run_experiment(experiment(1), 0, setting=setting, recipe=SHORT).nearest_five
        row = found(rows, setting, "recipe")["unchanged"]
        assert (row.first, row.best) == (errors.twin_by_anchor[0], getattr(errors, name))
        polish = found(rows, setting, "polish")
        assert polish["twin, on"].best == errors.twin_polished
        assert polish["kNN, on"].best == errors.nearest_polished
        at_random = found(rows, setting, "ranking")["at random (expected)"]
        assert at_random.best == pytest.approx(np.sqrt(np.mean(np.square(errors.twin_by_anchor))))


def test_more_anchors_ranked_by_the_exact_f_are_no_worse(rows):
    tried = found(rows, "known_forward", "anchors tried")
    best = [found(rows, "known_forward", "recipe")["unchanged"].best]
    best += [tried[name].best for name in ("10", "50", "all")]
    assert best == sorted(best, reverse=True)
    # After each of two passes.
    assert [tried[name].n_evaluations for name in ("10", "50", "all")] == [20, 100, 600]


def test_the_exact_f_is_the_limit_of_the_learned_one(rows):
    learned = found(rows, "noisy_data", "learned f")
    ranked = {name: row.best for name, row in learned.items() if name.endswith("ranking")}
    assert min(ranked, key=ranked.get) == "exact f, ranking"
    exact = found(rows, "noisy_data", "ranking")["by the exact f"]
    assert ranked["exact f, ranking"] == exact.best
    assert learned["exact f, polish"].best < 0.8 * learned["the recipe's, polish"].best
    for name, row in learned.items():
        assert (row.seconds is None) == name.startswith("exact")


def test_fewer_anchors_are_the_first_of_all():
    problem = experiment(7)
    few, all_of_them = Split.of(problem, 3, n_anchors=7), Split.of(problem, 3)
    np.testing.assert_array_equal(few.anchors_x, all_of_them.anchors_x[:7])
    np.testing.assert_array_equal(few.anchors_y, all_of_them.anchors_y[:7])
    np.testing.assert_array_equal(few.targets, all_of_them.targets)
    np.testing.assert_array_equal(few.points_x[7:], all_of_them.points_x[600:])


@pytest.mark.filterwarnings("ignore:Training ended after max_iter")
def test_radius_of_the_recipe_scales():
    recipe = replace(PAPER.with_networks(max_iter=1, hidden_layer_sizes=(8,)), n_direct=200)
    halved = replace(recipe, pair_radius_factor=0.5)
    one, other = (run_experiment(experiment(4), 0, recipe=each) for each in (recipe, halved))
    assert one.paper_protocol.direct == other.paper_protocol.direct
    assert one.paper_protocol.twin_best != other.paper_protocol.twin_best
