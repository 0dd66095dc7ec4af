"""Which solutions come first, and which are wanted: `near`, `weights`, `within`, `cost`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinv as fi

QUARTIC = fi.problems.quartic
ARM = fi.problems.two_link_arm


@pytest.fixture(scope="module")
def quartic():
    """x⁴ - 4x² = -1 at ±0.518 and ±1.932."""
    return fi.NearestSolver(QUARTIC.forward, bounds=QUARTIC.bounds, random_state=0).fit()


@pytest.fixture(scope="module")
def turning():
    full = [(-np.pi, np.pi)] * 2
    return fi.NearestSolver(ARM.forward, bounds=full, periods=2 * np.pi, random_state=0).fit()


OUTER, INNER = np.sqrt(2 + np.sqrt(3)), np.sqrt(2 - np.sqrt(3))


def values(found, row=0):
    return found.x[row, : found.count[row], 0]


def test_by_distance_to_a_state(quartic):
    assert values(quartic.solve_all(-1.0)) == pytest.approx([-OUTER, -INNER, INNER, OUTER])
    near = quartic.solve_all(-1.0, near=[0.6])
    assert values(near) == pytest.approx([INNER, -INNER, OUTER, -OUTER])
    each = quartic.solve_all([-1.0, -1.0], near=[[-3.0], [3.0]])
    assert values(each, 0) == pytest.approx([-OUTER, -INNER, INNER, OUTER])
    assert values(each, 1) == pytest.approx([OUTER, INNER, -INNER, -OUTER])


def test_a_row_keeps_together_when_it_is_sorted(quartic):
    plain, near = quartic.solve_all(-1.0), quartic.solve_all(-1.0, near=[0.6])
    rows = {x.tobytes(): i for i, x in enumerate(plain.x[0, :4])}
    for i in range(4):
        j = rows[near.x[0, i].tobytes()]
        assert near.residual[0, i] == plain.residual[0, j]
        assert near.anchor[0, i] == plain.anchor[0, j]


def test_only_what_is_within_reach(quartic):
    weights = [1.0]  # plain distances
    found = quartic.solve_all(-1.0, near=[0.6], weights=weights, within=1.2)
    assert found.count[0] == 2
    assert values(found) == pytest.approx([INNER, -INNER])
    assert np.isnan(found.x[0, 2:]).all()
    assert np.isinf(found.residual[0, 2:]).all()
    assert (found.anchor[0, 2:] == -1).all()
    assert (found.status[0, 2:] == fi.Status.INVALID).all()
    assert "1 target, 2 in all" in repr(found)
    edge = abs(OUTER - 0.6)
    for within, count in ((edge * 1.0001, 3), (edge * 0.9999, 2), (0.0, 0)):
        found = quartic.solve_all(-1.0, near=[0.6], weights=weights, within=within)
        assert found.count[0] == count


def test_nothing_within_reach(quartic):
    found = quartic.solve_all([-1.0, 100.0], near=[0.6], within=0.0)
    assert found.count.tolist() == [0, 0]
    assert np.isnan(found.x[0]).all()
    assert (found.status[0] == fi.Status.INVALID).all()
    assert found.explain(0).endswith("nothing that was found is wanted, or finite")
    # What cannot be reached still says how far away it is.
    assert found.status[1, 0] == fi.Status.UNREACHABLE
    assert found.error[1, 0, 0] == pytest.approx(-100.0)
    assert found.residual[1, 0] == pytest.approx(100.0 / quartic.y_scale_[0])


def test_weights_and_units(turning):
    """By default a difference counts in standard deviations of the anchors."""
    y = ARM.forward([0.3, 1.2])  # or (1.5, -1.2)
    for state, first in (([0.3, -1.2], 0), ([1.5, 1.2], 1)):
        by_shoulder = turning.solve_all(y, near=state, weights=[1.0, 0.0]).best[0]
        by_elbow = turning.solve_all(y, near=state, weights=[0.0, 1.0]).best[0]
        expected = [[0.3, 1.2], [1.5, -1.2]]
        np.testing.assert_allclose(by_shoulder, expected[first], atol=1e-8)
        np.testing.assert_allclose(by_elbow, expected[1 - first], atol=1e-8)
    spread = turning.problem_.region.scale
    reach = np.linalg.norm((np.array([1.5, -1.2]) - [0.3, 1.2]) / spread)
    for factor, count in ((1.001, 2), (0.999, 1)):
        found = turning.solve_all(y, near=[0.3, 1.2], within=factor * reach)
        assert found.count[0] == count


def test_angles_are_near_across_the_seam(turning):
    state = np.array([-np.pi + 0.01, 0.5])
    y = ARM.forward([np.pi - 0.01, 0.5])
    found = turning.solve_all(y, near=state, weights=[1.0, 1.0], within=0.03)
    assert found.count[0] == 1
    np.testing.assert_allclose(found.best[0], [np.pi - 0.01, 0.5], atol=1e-8)
    rigid = fi.NearestSolver(ARM.forward, bounds=[(-np.pi, np.pi)] * 2, random_state=0).fit()
    assert rigid.solve_all(y, near=state, weights=[1.0, 1.0], within=0.03).count[0] == 0
    # solve knows the periods too.
    assert np.abs(turning.solve(y, near=state).best[0] - [np.pi - 0.01, 0.5]).max() < 1e-6


@settings(max_examples=30, deadline=None)
@given(
    turns=st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
    seed=st.integers(0, 50),
)
def test_a_state_is_the_same_after_full_turns(turning, turns, seed):
    x, y = ARM.sample(7, random_state=seed)
    plain = turning.solve_all(y, near=x)
    turned = turning.solve_all(y, near=x + 2 * np.pi * np.array(turns))
    np.testing.assert_array_equal(plain.count, turned.count)
    gaps = plain.x[:, 0] - x
    assert np.abs(gaps - 2 * np.pi * np.round(gaps / (2 * np.pi))).max() < 1e-5
    np.testing.assert_array_equal(plain.x[:, 0], turned.x[:, 0])


def test_by_a_cost(quartic):
    seen = []

    def cost(x):
        seen.append(x)
        return np.abs(x[:, 0] + 1.0)

    found = quartic.solve_all([-1.0, 100.0, np.nan, 1.0], cost=cost)
    assert values(found) == pytest.approx([-INNER, -OUTER, INNER, OUTER])
    assert found.count.tolist() == [4, 0, 0, 0]
    assert found.status[1, 0] == fi.Status.UNREACHABLE
    assert all(np.isfinite(x).all() for x in seen)


def test_an_infinite_cost_is_a_cost(quartic):
    """-inf comes first, inf last, and no solution is lost."""

    def cost(x):
        return np.select(
            [x[:, 0] > 1.0, x[:, 0] > 0.0, x[:, 0] > -1.0], [0.0, -np.inf, 3.0], np.inf
        )

    found = quartic.solve_all([-1.0, 1.0], cost=cost)
    assert found.count.tolist() == quartic.solve_all([-1.0, 1.0]).count.tolist() == [4, 0]
    assert values(found) == pytest.approx([INNER, OUTER, -INNER, -OUTER])
    found = quartic.solve_all(-1.0, cost=lambda x: np.full(len(x), np.inf))
    assert values(found) == pytest.approx(values(quartic.solve_all(-1.0)))  # equals stay in order


def test_distances_beyond_all_numbers_lose_no_solution(quartic):
    assert quartic.solve_all(-1.0, near=[1e200]).count[0] == 4
    assert quartic.solve_all(-1.0, near=[1e200], within=1e100).count[0] == 0


def test_no_targets(quartic):
    assert quartic.solve_all(np.zeros((0, 1)), near=np.zeros((0, 1))).count.shape == (0,)
    assert quartic.solve_all(np.zeros((0, 1)), cost=lambda x: x[:, 0]).count.shape == (0,)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"within": 1.0}, ValueError, "within needs near"),
        ({"weights": [1.0]}, ValueError, "weights needs near"),
        ({"near": [0.0], "cost": len}, ValueError, "cost and near cannot both"),
        ({"near": [0.0, 1.0]}, ValueError, r"near must have shape \(1,\) or \(1, 1\), got \(2,\)"),
        ({"near": ["a"]}, ValueError, "near must hold real numbers"),
        ({"near": [0.0], "within": -1}, ValueError, "within must be finite and at least 0"),
        ({"near": [0.0], "within": "a"}, TypeError, "within must be a number"),
        ({"near": [0.0], "weights": [1, 1]}, ValueError, r"weights must have shape \(1,\), got"),
        ({"near": [0.0], "weights": [-1]}, ValueError, "weights must be finite and not negative"),
        ({"near": [0.0], "weights": [np.nan]}, ValueError, "weights must be finite"),
        ({"cost": 3}, TypeError, "cost must be callable, got 3"),
        ({"cost": lambda x: x}, ValueError, r"cost must return shape \(4,\) .*got \(4, 1\)"),
        ({"cost": lambda x: x[:, 0] * np.nan}, ValueError, "cost must not return NaN"),
        ({"cost": lambda x: ["a"] * 4}, ValueError, "what cost returns must hold real numbers"),
    ],
)
def test_wrong_preferences(quartic, options, error, message):
    with pytest.raises(error, match=message):
        quartic.solve_all(-1.0, **options)


@pytest.mark.parametrize("refine", [False, None])
def test_distances_are_periodic_with_and_without_a_polish(refine):
    """From -3.1 to 3.1 it is a twelfth of a unit around the seam, and 1.1 to -2."""
    anchors = [[3.1], [-2.0], [0.0]]
    f = fi.forward(n_inputs=1, n_outputs=1)(_zero)
    solver = fi.NearestSolver(
        f, bounds=[(-np.pi, np.pi)], periods=2 * np.pi, n_candidates=3, refine=refine
    ).fit(anchors)
    assert solver.solve(0.0, near=[-3.1]).best.tolist() == [[3.1]]
    assert solver.solve(0.0, near=[-2.5]).best.tolist() == [[-2.0]]


def _zero(x, y):
    y[0] = 0.0 * x[0]
