"""Regions: what their methods promise, and that the compiled chain means the same by them."""

import numpy as np
import pytest
from chains import BACKENDS, CPP, Setup, candidates_of, code_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastinv import _core
from fastinv.backends import CandidateFlag
from fastinv.functions import Goal, Region

INF, NAN = np.inf, np.nan
TURN = 2 * np.pi
P = 3

BOUNDS = st.sampled_from(
    [
        (-INF, INF), (-1.0, 1.0), (-np.pi, np.pi), (0.0, TURN), (-INF, 2.0), (0.25, INF),
        (0.1, 0.1 + TURN * (1 - 5e-13)), (-5.0, 20.0), (0.5, 0.5), (1e6, 1e6 + TURN),
    ]
)  # fmt: skip
PERIODS = st.sampled_from([INF, TURN, 2.0, 0.3])
SCALES = st.sampled_from([1.0, 0.6, 1e-3, 7.0])
# Where rounding to a number of turns has its edges, beside anything.
TURNS = st.sampled_from(
    [0.0, 0.25, 0.5, np.nextafter(0.5, 0), np.nextafter(0.5, 1), 1.0, 2.5, -0.5]
)
NUMBERS = st.one_of(
    st.floats(-30, 30), st.builds(lambda n, p: n * min(p, 9.0), TURNS, PERIODS),
    st.sampled_from([-1.0, 1.0, 0.1, 0.25, 0.5, -np.pi, np.pi, TURN, 1e6, 1e6 + 3]),
)  # fmt: skip


@st.composite
def regions(draw):
    lower, upper = zip(*draw(st.tuples(*[BOUNDS] * P)), strict=True)
    scale, periods = draw(st.tuples(*[SCALES] * P)), draw(st.tuples(*[PERIODS] * P))
    return Region(*(np.array(values) for values in (lower, upper, scale, periods)))


def points(n):
    return arrays(np.float64, (n, P), elements=NUMBERS)


@given(region=regions(), x=points(7))
def test_clip_is_the_nearest_point_inside_the_bounds(region, x):
    clipped = region.clip(x)
    assert region.contains(clipped).all()
    np.testing.assert_array_equal(region.clip(clipped), clipped)
    inside = (region.lower <= x) & (x <= region.upper)
    np.testing.assert_array_equal(clipped[inside], x[inside])
    on_a_bound = (clipped == region.lower) | (clipped == region.upper)
    assert on_a_bound[~inside].all()
    np.testing.assert_array_equal(region.contains(x), inside.all(axis=1))


@given(region=regions(), x=points(7))
def test_steps_may_cross_the_bounds_of_cyclic_inputs_alone(region, x):
    moved = region.clip_step(x)
    np.testing.assert_array_equal(moved, np.where(region.cyclic, x, region.clip(x)))
    assert region.allows(moved).all()
    np.testing.assert_array_equal(region.allows(x), (moved == x).all(axis=1))
    assert not (region.contains(x) & ~region.allows(x)).any()


@given(region=regions(), x=points(7))
def test_wrap_moves_cyclic_inputs_inside_the_bounds_by_whole_periods(region, x):
    wrapped, cyclic = region.wrap(x), region.cyclic
    np.testing.assert_array_equal(wrapped[:, ~cyclic], x[:, ~cyclic])
    inside = (region.lower <= wrapped) & (wrapped <= region.upper)
    assert inside[:, cyclic].all()
    turns = ((wrapped - x) / region.periods)[:, cyclic]
    # Bounds may be short of a period by 1e-12 of it.
    rounding = 1e-12 + 1e-15 * (np.abs(x) / region.periods)[:, cyclic]
    assert (np.abs(turns - np.round(turns)) <= rounding).all()
    for i in np.flatnonzero(cyclic):
        low, high, period = region.lower[i], region.upper[i], region.periods[i]
        if np.isfinite([low, high]).all():
            low, high = (low + high - period) / 2, (low + high + period) / 2
        elif np.isfinite(low):
            high = low + period
        elif np.isfinite(high):
            low = high - period
        else:
            low, high = -period / 2, period / 2
        assert (wrapped[:, i] >= low - 1e-9).all()
        assert (wrapped[:, i] <= high + 1e-9).all()


@given(region=regions(), x=points(7))
def test_wrap_changes_nothing_twice_but_for_the_seam(region, x):
    once = region.wrap(x)
    twice = region.wrap(once)
    assert (np.abs(region.difference(twice, once)) <= 1e-12 * (1 + np.abs(once))).all()
    moved = np.abs(twice - once)[:, region.cyclic]
    turn = np.abs(moved - region.periods[region.cyclic]) < 1e-9
    assert (turn | (moved <= 1e-9)).all()


@given(region=regions(), a=points(7), b=points(7), c=points(7), turns=st.integers(-3, 3))
def test_distance_is_one_modulo_the_periods(region, a, b, c, turns):
    distance = region.distance(a, b)
    np.testing.assert_array_equal(distance, region.distance(b, a))
    assert (distance >= 0).all()
    assert not region.distance(a, a).any()
    rounding = 1e-9 + 1e-14 * max(np.abs(v).max() for v in (a, b, c)) / region.scale.min()
    with_detour = region.distance(a, c) + region.distance(c, b)
    assert (distance <= with_detour * (1 + 1e-9) + rounding).all()
    straight = np.sqrt((((a - b) / region.scale) ** 2).sum(axis=1))
    assert (distance <= straight * (1 + 1e-12)).all()
    longest = np.sqrt(((region.periods / 2 / region.scale) ** 2).sum())
    assert (distance <= longest * (1 + 1e-9)).all()
    moved = a + turns * np.where(np.isfinite(region.periods), region.periods, 0.0)
    np.testing.assert_allclose(region.distance(moved, b), distance, rtol=1e-9, atol=rounding)
    if np.isinf(region.periods).all():
        np.testing.assert_allclose(distance, straight, rtol=1e-15)


@given(region=regions(), a=points(7), b=points(7))
def test_differences_are_the_least_that_are_the_same_modulo_the_periods(region, a, b):
    difference = region.difference(a, b)
    half = np.where(np.isfinite(region.periods), region.periods / 2, INF)
    assert (np.abs(difference) <= half * (1 + 1e-12)).all() or np.abs(a - b).max() > 1e12
    np.testing.assert_array_equal(difference[:, np.isinf(half)], (a - b)[:, np.isinf(half)])
    np.testing.assert_array_equal(difference, -region.difference(b, a))


@given(region=regions(), x=points(7))
def test_touches_are_bounds_that_are_no_seam(region, x):
    x = np.vstack([x, region.clip(x)])
    on_a_bound = ((x <= region.lower) | (x >= region.upper)) & ~region.cyclic
    np.testing.assert_array_equal(region.touches(x), on_a_bound.any(axis=1))


@pytest.mark.parametrize(
    ("lower", "upper", "period", "cyclic"),
    [
        (-np.pi, np.pi, TURN, True),
        (-np.pi, np.pi - 1e-9, TURN, False),
        (0.1, 0.1 + TURN, TURN, True),  # but for rounding
        (-INF, INF, TURN, True),
        (0.0, INF, TURN, True),
        (-5.0, 5.0, TURN, True),
        (-INF, INF, INF, False),
        (0.0, 1.0, INF, False),
    ],
)
def test_cyclic_is_what_may_have_every_value_of_its_period(lower, upper, period, cyclic):
    region = Region(np.array([lower]), np.array([upper]), np.ones(1), np.array([period]))
    assert region.cyclic.tolist() == [cyclic]
    assert region.step_lower.tolist() == [-INF if cyclic else lower]
    assert region.step_upper.tolist() == [INF if cyclic else upper]


def test_by_hand():
    """The first input is free, the second is bounded, both repeat."""
    region = Region(np.zeros(2), np.array([4.0, 2.0]), np.array([0.5, 1.0]), np.array([3.0, 3.0]))
    assert region.n_inputs == 2
    assert region.cyclic.tolist() == [True, False]
    assert region.step_lower.tolist() == [-INF, 0.0]
    assert region.wrap(np.array([5.0, 5.0])).tolist() == [2.0, 5.0]
    assert region.distance(np.array([0.25, 0.0]), np.array([2.75, 0.0])) == 1.0
    assert region.distance(np.array([0.0, 0.0]), np.array([0.0, 2.0])) == 1.0
    assert region.touches(np.array([9.0, 2.0]))
    assert not region.touches(np.array([4.0, 1.0]))
    assert region.contains(np.array([4.0, 2.0]))
    assert not region.contains(np.array([4.5, 1.0]))


def test_what_is_not_finite():
    region = Region(np.array([-1.0, -INF]), np.array([1.0, INF]), np.ones(2), np.array([2.0, INF]))
    assert not region.contains(np.array([NAN, 0.0]))
    assert not region.allows(np.array([NAN, 0.0]))
    assert not region.touches(np.array([NAN, 0.0]))
    np.testing.assert_array_equal(region.wrap(np.array([NAN, INF])), [NAN, INF])
    np.testing.assert_array_equal(region.clip(np.array([INF, NAN])), [1.0, NAN])
    # Far apart is not "no number", where squares or differences overflow.
    assert region.distance(np.array([0.0, 1e308]), np.array([0.0, -1e308])) == INF


# What the compiled chain does


def native_chain(region, isa, n, k, **changes):
    """A chain for `n` targets 0 and `k` candidates each, and what makes its candidates."""
    setup = Setup(
        np.zeros((k, P)), np.zeros((k, 1)), None, lower=region.lower, upper=region.upper,
        scale=region.scale, periods=region.periods, anchors_exact=False, **changes,
    )  # fmt: skip
    return setup.pipeline(CPP[isa]), Goal(np.zeros((n, 1)), 0.0)


@settings(deadline=None)
@given(region=regions(), x=points(14), isa=st.sampled_from(_core.isas()))
def test_links_clip_as_python_does(region, x, isa):
    pipeline, goal = native_chain(region, isa, 2, 7)
    moved = pipeline.correct(goal, candidates_of(x.reshape(2, 7, P), np.zeros((2, 7, 1))))
    np.testing.assert_array_equal(moved.x.reshape(14, P), region.clip(x))
    clipped = (region.clip(x) != x).any(axis=1)
    np.testing.assert_array_equal(moved.flags.ravel(), CandidateFlag.CLIPPED * clipped)


@settings(deadline=None)
@given(region=regions(), x=points(14), name=st.sampled_from(list(BACKENDS)))
def test_polished_solutions_are_wrapped_and_flagged_as_python_does(region, x, name):
    """Their residual is 0: the polish leaves them where they are, but for the period."""
    x = region.clip_step(x)
    setup = Setup(
        np.zeros((7, P)), np.zeros((7, 1)), code_of(lambda x: 0.0, P, 1), lower=region.lower,
        upper=region.upper, scale=region.scale, periods=region.periods, polish=True,
    )  # fmt: skip
    pipeline, goal = setup.pipeline(BACKENDS[name]), Goal(np.zeros((2, 1)), 0.0)
    polished = pipeline.polish(goal, candidates_of(x.reshape(2, 7, P), np.zeros((2, 7, 1))))
    wrapped = region.wrap(x)
    np.testing.assert_array_equal(polished.x.reshape(14, P), wrapped)
    flags = CandidateFlag.CLIPPED * region.touches(wrapped)
    flags |= CandidateFlag.EXACT | CandidateFlag.ROOT
    np.testing.assert_array_equal(polished.flags.ravel(), flags)


@settings(deadline=None)
@given(region=regions(), x=points(7), state=points(1), isa=st.sampled_from(_core.isas()))
def test_solutions_are_near_as_python_measures(region, x, state, isa):
    """Equal distances are in the order of the anchors: one bit more or less would show."""
    x = np.vstack([x, x[::-1] + np.where(np.isinf(region.periods), 0.0, region.periods)])
    pipeline, goal = native_chain(region, isa, 1, 14)
    goal.near = state
    ranked = pipeline.rank(goal, candidates_of(x[None], np.zeros((1, 14, 1))), 14)
    order = np.argsort(region.distance(x, state), kind="stable")
    np.testing.assert_array_equal(ranked.anchor[0], order)


@settings(deadline=None)
@given(region=regions(), x=points(2), isa=st.sampled_from(_core.isas()))
def test_anchors_are_on_two_branches_beyond_the_distance_that_python_measures(region, x, isa):
    """Not at that distance itself."""
    distance = float(region.distance(x[0], x[1]))
    assume(0 < distance < 1e100)
    chosen = []
    for branch_distance in (distance, np.nextafter(distance, 0)):
        setup = Setup(
            np.vstack([x[:1], x[:1], x[1:]]), np.array([[0.0], [1.0], [2.0]]), None,
            lower=region.lower, upper=region.upper, scale=region.scale, periods=region.periods,
            branch_distance=branch_distance,
        )  # fmt: skip
        found = setup.pipeline(CPP[isa]).propose(Goal(np.zeros((1, 1)), 0.0), 2)
        chosen.append(found.anchor[0].tolist())
    assert chosen == [[0, 1], [0, 2]]


# Refusals

GOOD = {"lower": np.zeros(2), "upper": np.ones(2), "scale": np.ones(2), "periods": np.full(2, INF)}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("upper", np.ones(3), r"upper must be float64 of shape \(2,\), got float64 of \(3,\)"),
        ("scale", np.ones((2, 1)), r"scale must be float64 of shape \(2,\)"),
        ("periods", np.ones(2, dtype=np.float32), "periods must be float64 .*, got float32"),
        ("lower", np.zeros((2, 1)), "lower must be float64"),
        ("lower", np.full(2, 2.0), "lower must be at most upper in every input"),
        ("upper", np.array([1.0, NAN]), "lower must be at most upper in every input"),
        ("scale", np.array([1.0, 0.0]), "scale must be positive and finite"),
        ("scale", np.array([1.0, INF]), "scale must be positive and finite"),
        ("scale", np.array([1.0, NAN]), "scale must be positive and finite"),
        ("periods", np.array([1.0, 0.0]), "periods must be positive"),
        ("periods", np.array([1.0, -INF]), "periods must be positive"),
        ("periods", np.array([1.0, NAN]), "periods must be positive"),
    ],
)
def test_what_is_no_region(name, value, words):
    Region(**GOOD)
    with pytest.raises(ValueError, match=words):
        Region(**{**GOOD, name: value})
