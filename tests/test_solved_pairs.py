"""Training pairs that are solutions near anchors."""

import numpy as np
import pytest

import fastinv as fi
from fastinv.backends import get_backend
from fastinv.solvers.pairs import pair_radius
from fastinv.solvers.solved_pairs import solved_pairs

ARM = fi.problems.two_link_arm
CPP = get_backend("cpp")


def pairs_of(problem, n_anchors, n_pairs, seed):
    rng = np.random.default_rng(seed)
    bounds = np.asarray(problem.bounds)
    x = rng.uniform(bounds[:, 0], bounds[:, 1], size=(n_anchors, len(bounds)))
    anchors = x, problem.forward(x)
    radius = pair_radius(bounds, n_anchors)
    return solved_pairs(CPP, problem.forward, anchors, bounds, radius, n_pairs, rng), radius


@pytest.mark.parametrize("problem", [ARM, fi.problems.cubic, fi.problems.three_link_arm])
def test_most_pairs_are_solutions_near_their_anchors(problem):
    pairs, radius = pairs_of(problem, 500, 4000, seed=7101)
    bounds = np.asarray(problem.bounds)
    assert ((bounds[:, 0] <= pairs.x) & (pairs.x <= bounds[:, 1])).all()
    assert (np.abs(pairs.x - pairs.x_anchor) <= 4 * radius).all()
    np.testing.assert_array_equal(pairs.y_anchor, problem.forward(pairs.x_anchor))
    residual = np.linalg.norm(problem.forward(pairs.x) - pairs.y, axis=1)
    closer = np.linalg.norm(pairs.y_anchor - pairs.y, axis=1)
    assert np.median(residual) < 1e-3 * np.median(closer)
    assert np.mean(residual < 1e-3) > 0.8


def test_few_anchors_and_few_pairs():
    pairs, _ = pairs_of(ARM, 3, 7, seed=7102)
    assert len(pairs.x) <= 9
    first, rest = pairs.split(5)
    assert len(first.x) == min(5, len(pairs.x) // 2)
    assert len(first.x) + len(rest.x) == len(pairs.x)


def test_the_network_alone_is_better_by_far():
    """All five candidates, without polish: few large errors make most of the mean square."""
    settings = {
        "bounds": ARM.bounds, "n_anchors": 600, "max_iter": 30, "refine": False,
        "anchor_choice": "nearest", "random_state": 0, "hidden_layer_sizes": (128, 128, 128),
    }  # fmt: skip
    near = fi.TwinSolver(ARM.forward, **settings).fit()
    solved = fi.TwinSolver(ARM.forward, training_pairs="solved", n_pairs=100_000, **settings).fit()
    _, y = ARM.sample(500, random_state=1)
    ours, theirs = (np.sqrt(np.mean(s.solve(y).residual ** 2)) for s in (solved, near))
    assert ours < 0.7 * theirs
    again = fi.TwinSolver(ARM.forward, training_pairs="solved", n_pairs=100_000, **settings).fit()
    np.testing.assert_array_equal(again.solve(y).x, solved.solve(y).x)


def test_bad_settings():
    for name, value, message in (
        ("training_pairs", "fresh", "training_pairs must be 'near' or 'solved', got 'fresh'"),
        ("n_pairs", 0, "n_pairs must be positive"),
    ):
        solver = fi.TwinSolver(ARM.forward, bounds=ARM.bounds, **{name: value})
        with pytest.raises(ValueError, match=message):
            solver.fit()
