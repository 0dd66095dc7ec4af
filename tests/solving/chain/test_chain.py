"""The links of the chain one by one: native against the reference, and all of them are `solve`."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from chains import (
    BACKENDS,
    CPP,
    REFERENCE,
    assert_same_bits,
    candidates_of,
    polished_setup,
    random_setup,
    targets_near,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from parabola import affine_twin, parabola

from fastinv import _core
from fastinv.backends import CandidateFlag, Ranked
from fastinv.backends.chain import run_chain
from fastinv.functions import NetworkCode, NetworkSpec, Status

NAN = np.nan
C, A = Status.CONVERGED, Status.APPROXIMATE

SETUPS = {
    "lookup": random_setup(with_twin=False),
    "twin": random_setup(),
    "learned": random_setup(learned=True, n_passes=2),
    "passes": random_setup(n_passes=3, branch_distance=0.3),
    "polish": polished_setup(),
    "polish, twin": polished_setup(twin=random_setup(0, 2, 2).twin, n_passes=2),
    "polish, learned": random_setup(learned=True, polish=True, max_evaluations=30),
    "polish, periods": polished_setup(periods=2.0, anchors_exact=False),
}


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("case", SETUPS)
@pytest.mark.parametrize("with_near", [False, True])
def test_links_one_by_one_give_the_bits_of_solve(case, isa, with_near):
    setup = SETUPS[case]
    pipeline = setup.pipeline(CPP[isa])
    near = np.random.default_rng(46).normal(size=(40, 2)) if with_near else None
    goal = setup.goal(targets_near(setup, 40), near)
    whole = pipeline.solve(goal, n_candidates=6, k=4)
    for n_threads in (1, 2):
        assert_same_bits(run_chain(pipeline, goal, 6, 4, n_threads), whole)
    out = Ranked.empty(40, 4, 2)
    assert pipeline.solve(goal, n_candidates=6, k=4, n_threads=2, out=out) is out
    assert_same_bits(out, whole)


@settings(max_examples=80, deadline=None)
@given(
    isa=st.sampled_from(_core.isas()),
    case=st.sampled_from(list(SETUPS)),
    n=st.sampled_from([0, 1, 7, 33]),
    n_candidates=st.sampled_from([1, 5, 33]),
    with_near=st.booleans(),
    seed=st.integers(0, 50),
)
def test_each_link_against_the_reference(isa, case, n, n_candidates, with_near, seed):
    """Each from what the reference's link before it gave."""
    setup = SETUPS[case]
    exact, found = setup.pipeline(REFERENCE), setup.pipeline(CPP[isa])
    near = np.random.default_rng([47, seed]).normal(size=(n, 2)) if with_near else None
    goal = setup.goal(targets_near(setup, n, seed), near)
    finite = np.isfinite(goal.targets).all(axis=1)

    proposed = exact.propose(goal, n_candidates)
    ours = found.propose(goal, n_candidates, n_threads=2)
    np.testing.assert_allclose(ours.anchor_distance, proposed.anchor_distance, rtol=1e-14)
    assert_same_bits(replace(ours, anchor_distance=proposed.anchor_distance), proposed)

    corrected = exact.correct(goal, proposed)
    ours = found.correct(goal, proposed, n_threads=2)
    np.testing.assert_allclose(ours.x, corrected.x, rtol=0, atol=2e-6)
    assert (ours.flags != corrected.flags).sum() <= 1 + 0.03 * ours.flags.size

    evaluated = exact.evaluate(goal, corrected)
    ours = found.evaluate(goal, corrected, n_threads=2)
    tolerance = 1e-5 if "learned" in case else 1e-15
    np.testing.assert_allclose(ours.fx, evaluated.fx, rtol=tolerance, atol=tolerance)
    assert_same_bits(replace(ours, fx=evaluated.fx), evaluated)

    polished = exact.polish(goal, evaluated)
    ours = found.polish(goal, evaluated, n_threads=2)
    gaps = [np.linalg.norm(c.fx - goal.targets[:, None], axis=2) for c in (ours, polished)]
    same = np.isclose(gaps[0][finite], gaps[1][finite], rtol=1e-4, atol=1e-5, equal_nan=True)
    # The rounding of a float32 derivative may lead to another minimum.
    assert (~same).sum() <= (1 + 0.02 * same.size if "learned" in case else 0)
    started = np.linalg.norm(evaluated.fx - goal.targets[:, None], axis=2)
    assert (gaps[0][finite] <= started[finite] * (1 + 1e-6) + 1e-5).all()
    np.testing.assert_array_equal(ours.x[~finite], evaluated.x[~finite])
    np.testing.assert_array_equal(ours.anchor, evaluated.anchor)

    for candidates in (evaluated, polished):
        ranked = exact.rank(goal, candidates, n_candidates)
        ours = found.rank(goal, candidates, n_candidates)
        np.testing.assert_allclose(ours.residual, ranked.residual, rtol=1e-13, atol=1e-15)
        # Residuals that differ by rounding may be in any order.
        gaps = np.diff(np.sort(ranked.residual[finite], axis=1), axis=1)
        tied = ~finite
        tied[finite] = (gaps < 1e-12).any(axis=1)
        for field in ("x", "anchor", "status"):
            np.testing.assert_array_equal(
                getattr(ours, field)[~tied], getattr(ranked, field)[~tied], field
            )
        assert_same_bits(found.rank(goal, candidates, 1), Ranked(*(array[:, :1] for array in ours)))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("case", SETUPS)
def test_links_leave_what_they_are_given_as_it_is(name, case):
    setup = SETUPS[case]
    pipeline, goal = setup.pipeline(BACKENDS[name]), setup.goal(targets_near(setup, 9))
    given_targets = goal.targets.copy()
    candidates = pipeline.propose(goal, 5)
    for link in ("correct", "evaluate", "polish"):
        before = candidates.copy()
        candidates = getattr(pipeline, link)(goal, candidates)
        after = candidates.copy()
        for field in fields(after):
            assert not np.may_share_memory(getattr(before, field.name), getattr(after, field.name))
        assert_same_bits(candidates, after)
    pipeline.rank(goal, candidates, 3)
    assert_same_bits(candidates, after)
    np.testing.assert_array_equal(goal.targets, given_targets)


@pytest.mark.parametrize("name", BACKENDS)
def test_the_polish_link_polishes_whatever_solve_does(name):
    """The option is about the whole chain."""
    plain = polished_setup(polish=False)
    targets = plain.anchors_y[:7] + 0.01
    pipeline, goal = plain.pipeline(BACKENDS[name]), plain.goal(targets)
    polished = pipeline.polish(goal, pipeline.propose(goal, 5))
    wanted = polished_setup().pipeline(BACKENDS[name])
    assert_same_bits(polished, wanted.polish(goal, wanted.propose(goal, 5)))
    assert (np.linalg.norm(polished.fx - targets[:, None], axis=2).min(axis=1) < 1e-9).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_solve_by_hand(name):
    setup = parabola(twin=affine_twin(bias=0.1), anchors_exact=True)
    goal = setup.goal([[1.2], [NAN], [4.0], [50.0]], np.array([[0.0], [1.0], [2.0], [3.0]]))
    solved = setup.pipeline(BACKENDS[name]).solve(goal, n_candidates=4, k=3)
    # y = 1.2 from x = ±1: 1.1 (residual 0.01) beats -1 (0.2), which its anchor has put back.
    np.testing.assert_allclose(solved.x[0, :2, 0], [1.1, -1.0], rtol=1e-8)
    np.testing.assert_allclose(solved.residual[0, :2], [0.01, 0.2], atol=1e-8)
    assert solved.anchor[0, :2].tolist() == [4, 2]
    assert solved.status[0, :2].tolist() == [C, A]


@pytest.mark.parametrize("name", BACKENDS)
def test_fewer_solutions_are_the_first_ones(name):
    setup = parabola(twin=affine_twin(bias=0.1))
    pipeline, goal = setup.pipeline(BACKENDS[name]), setup.goal(np.linspace(0.0, 9.0, 33))
    all_of_them = pipeline.solve(goal, n_candidates=7, k=7)
    for k in (1, 3):
        some = pipeline.solve(goal, n_candidates=7, k=k)
        for field in Ranked._fields:
            np.testing.assert_array_equal(getattr(some, field), getattr(all_of_them, field)[:, :k])


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("polish", [False, True])
def test_no_targets(name, polish):
    setup = parabola(polish=polish)
    goal = setup.goal(np.empty((0, 1)), np.empty((0, 1)))
    solved = setup.pipeline(BACKENDS[name]).solve(goal, n_candidates=3, k=2)
    assert solved.x.shape == (0, 2, 1)
    assert solved.residual.shape == solved.anchor.shape == solved.status.shape == (0, 2)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("bad", [NAN, np.inf, -np.inf])
@pytest.mark.parametrize("anchors_exact", [False, True])
@pytest.mark.parametrize("polish", [False, True])
def test_a_target_that_is_not_finite_leaves_the_other_rows_alone(name, bad, anchors_exact, polish):
    rng = np.random.default_rng(302)
    setup = parabola(twin=affine_twin(bias=0.25), anchors_exact=anchors_exact, tol=1.0,
                     polish=polish)  # fmt: skip
    pipeline = setup.pipeline(BACKENDS[name])
    targets, near = rng.uniform(0.0, 9.0, (7, 1)), rng.normal(size=(7, 1))
    whole = pipeline.solve(setup.goal(targets, near), n_candidates=5, k=4)
    targets[3] = bad
    spoiled = pipeline.solve(setup.goal(targets, near), n_candidates=5, k=4)
    others = np.arange(7) != 3
    assert_same_bits(Ranked(*(array[others] for array in spoiled)), whole, others)
    assert np.isnan(spoiled.x[3]).all()
    assert (spoiled.residual[3] == np.inf).all()
    assert (spoiled.anchor[3] == -1).all()
    assert (spoiled.status[3] == Status.INVALID).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_solve_with_a_learned_function(name):
    one = np.ones(1)
    code = NetworkCode(  # f(x) = 10 + 2 (3 (x - 1) / 4 + 5) = 18.5 + 1.5 x
        NetworkSpec((1, 1)), np.array([3.0, 5.0]), x_mean=one, x_scale=4 * one, y_mean=10 * one,
        y_scale=2 * one,
    )  # fmt: skip
    solved = parabola(function=code).solve(BACKENDS[name], [[4.0]], n_candidates=2, k=2)
    np.testing.assert_allclose(solved.x[0, :, 0], [-2.0, 2.0])
    np.testing.assert_allclose(solved.residual[0], [11.5, 17.5], rtol=1e-7)


@pytest.mark.parametrize("name", BACKENDS)
def test_no_step_to_or_from_what_is_not_finite(name):
    """No step from an image, or to a target, that is not finite; bounds hold all the same."""
    setup = parabola(twin=affine_twin(bias=0.5), lower=-2.0, upper=2.0)
    pipeline = setup.pipeline(BACKENDS[name])
    x = [[[1.0], [1.0], [9.0], [-9.0]], [[1.0], [1.0], [9.0], [0.0]]]
    fx = [[[1.0], [NAN], [np.inf], [1.0]], [[1.0], [1.0], [1.0], [1.0]]]
    given = candidates_of(x, fx, flags=CandidateFlag.EXTRAPOLATED)
    moved = pipeline.correct(setup.goal([[1.0], [NAN]]), given)
    clipped = CandidateFlag.CLIPPED
    assert moved.x[:, :, 0].tolist() == [[1.5, 1.0, 2.0, -2.0], [1.0, 1.0, 2.0, 0.0]]
    assert moved.flags.tolist() == [[0, 0, clipped, clipped], [0, 0, clipped, 0]]
