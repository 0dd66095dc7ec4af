"""The first link: anchors near a target, and spread in x."""

import numpy as np
import pytest
from chains import BACKENDS, Setup, assert_same_bits, polished_setup, targets_near
from hypothesis import given, settings
from hypothesis import strategies as st

from fastinv import _core


@pytest.mark.parametrize("name", BACKENDS)
def test_anchors_are_spread_in_x(name):
    """Nearest first; those close in x to a chosen one only where others are missing."""
    x = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [-5.0]])
    y = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [99.0]])

    def anchors(n_candidates, **options):
        setup = Setup(x, y, None, scale=0.5, **options)
        found = setup.pipeline(BACKENDS[name]).propose(setup.goal([[0.0]]), n_candidates)
        assert found.anchor_distance.tolist() == [0.0]
        np.testing.assert_array_equal(found.x[0], x[found.anchor[0]])
        np.testing.assert_array_equal(found.fx[0], y[found.anchor[0]])
        return found.anchor[0].tolist()

    assert anchors(2, branch_distance=0.0) == [0, 1]
    assert anchors(2, branch_distance=1.0) == [0, 3]
    assert anchors(3, branch_distance=1.0) == [0, 3, 5]
    assert anchors(3, branch_distance=1.0, pool_factor=1) == [0, 1, 2]
    assert anchors(2, branch_distance=1.0, pool_factor=2) == [0, 3]
    assert anchors(4, branch_distance=1.0) == [0, 3, 5, 1]
    assert anchors(6, branch_distance=1.0) == [0, 1, 2, 3, 4, 5]  # all there are, as they come
    assert anchors(2, branch_distance=0.3) == [0, 2]  # 0.2 apart are 0.4 units, 0.1 are 0.2


@pytest.mark.parametrize("name", BACKENDS)
def test_what_lies_across_a_period_is_not_far(name):
    """Without a polish, too."""
    x = np.array([[0.0], [6.2], [3.0]])
    y = np.array([[0.0], [1.0], [2.0]])
    for periods, second in [(np.inf, 1), (2 * np.pi, 2)]:
        setup = Setup(x, y, None, periods=periods, branch_distance=1.0)
        found = setup.pipeline(BACKENDS[name]).propose(setup.goal([[0.0]]), 2)
        assert found.anchor.tolist() == [[0, second]]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_target_that_is_not_finite_gets_the_first_anchors(name, bad):
    setup = polished_setup()
    targets = setup.anchors_y[[7, 3, 5]].copy()
    targets[1, 1] = bad
    found = setup.pipeline(BACKENDS[name]).propose(setup.goal(targets), 4)
    assert found.anchor[1].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(found.x[1], setup.anchors_x[:4])
    np.testing.assert_array_equal(found.fx[1], setup.anchors_y[:4])
    assert np.isnan(found.anchor_distance).tolist() == [False, True, False]
    assert found.anchor[[0, 2], 0].tolist() == [7, 5]
    assert not found.flags.any()


@settings(max_examples=40, deadline=None)
@given(
    isa=st.sampled_from(_core.isas()),
    branch_distance=st.sampled_from([0.0, 0.3, 100.0]),
    pool_factor=st.sampled_from([1, 3, 1000]),
    n=st.sampled_from([0, 1, 7, 33]),
    n_candidates=st.sampled_from([1, 5, 33, 60]),
    period=st.sampled_from([np.inf, 2.0, 0.7]),
    seed=st.integers(0, 50),
)
def test_against_the_reference_bit_for_bit(
    isa, branch_distance, pool_factor, n, n_candidates, period, seed
):
    setup = polished_setup(
        seed, n_anchors=60, branch_distance=branch_distance, pool_factor=pool_factor,
        periods=period, polish=False,
    )  # fmt: skip
    goal = setup.goal(targets_near(setup, n, seed))
    exact = setup.pipeline(BACKENDS["reference"]).propose(goal, n_candidates)
    found = setup.pipeline(BACKENDS[isa]).propose(goal, n_candidates, n_threads=2)
    np.testing.assert_allclose(found.anchor_distance, exact.anchor_distance, rtol=1e-15)
    exact.anchor_distance[:] = found.anchor_distance  # squares may be summed in another order
    assert_same_bits(found, exact)
    assert not found.flags.any()
