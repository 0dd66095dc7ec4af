"""The order that ranking gives: groups, keys, and ties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from chains import BACKENDS, Setup, candidates_of
from hypothesis import given, settings
from hypothesis import strategies as st
from parabola import parabola, rank_residuals, square

from fastinv.backends import CandidateFlag
from fastinv.functions import CallableFunction, Status

C, A, I = Status.CONVERGED, Status.APPROXIMATE, Status.INVALID  # noqa: E741
NAN, INF = np.nan, np.inf
CLIPPED, EXTRAPOLATED = CandidateFlag.CLIPPED, CandidateFlag.EXTRAPOLATED

pytestmark = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())


def test_by_residual_with_ties_in_the_order_of_the_anchors(backend):
    ranked = rank_residuals(backend, [2.0, NAN, 0.05, 2.0, INF, 0.0, 1.0], x=range(7))
    assert ranked.x[0, :, 0].tolist() == [5, 2, 6, 0, 3, 1, 4]
    assert ranked.status.tolist() == [[C, C, A, A, A, I, I]]
    assert ranked.residual.tolist() == [[0.0, 0.05, 1.0, 2.0, 2.0, INF, INF]]


def test_near_sorts_the_converged_ones_first_by_their_distance(backend):
    ranked = rank_residuals(
        backend, [0.0, 0.05, 0.2, 0.1, 0.15, 0.1], x=[9, 3, 2, 1, 7, 3], near=2.0
    )
    assert ranked.x[0, :, 0].tolist() == [3, 1, 3, 9, 7, 2]
    assert ranked.residual[0] == pytest.approx([0.05, 0.1, 0.1, 0.0, 0.15, 0.2])


def test_near_is_measured_in_units_of_the_region(backend):
    anchors = np.zeros((3, 2))
    setup = Setup(anchors, anchors[:, :1], None, scale=[1.0, 10.0])
    candidates = candidates_of([[[1.0, 0.0], [0.0, 3.0], [0.0, -1.0]]], np.zeros((1, 3, 1)))
    goal = setup.goal([[0.0]], np.zeros((1, 2)))
    assert setup.pipeline(backend).rank(goal, candidates, 3).anchor.tolist() == [[2, 1, 0]]


@pytest.mark.parametrize("polish", [False, True])
def test_near_is_measured_modulo_the_periods(backend, polish):
    anchors = np.array([[0.1], [2.0], [6.1]])
    setup = parabola(anchors_x=anchors, anchors_y=np.zeros((3, 1)), lower=0.0, upper=2 * np.pi,
                     periods=2 * np.pi, polish=polish)  # fmt: skip
    pipeline, goal = setup.pipeline(backend), setup.goal([[0.0]], np.array([[0.0]]))
    ranked = pipeline.rank(goal, pipeline.propose(goal, 3), 3)
    assert ranked.anchor.tolist() == [[0, 2, 1]]
    apart = parabola(anchors_x=anchors, anchors_y=np.zeros((3, 1))).pipeline(backend)
    assert apart.rank(goal, apart.propose(goal, 3), 3).anchor.tolist() == [[0, 1, 2]]


def test_an_untrusted_residual_puts_extrapolations_behind_all_but_invalid_ones(backend):
    arguments = {"flags": [EXTRAPOLATED, 0, 3, CLIPPED, EXTRAPOLATED, 0, 0]}
    residuals = [0.3, 0.5, 0.2, 0.4, NAN, NAN, 0.05]
    trusted = rank_residuals(backend, residuals, **arguments)
    assert trusted.x[0, :, 0].tolist() == [6, 2, 0, 3, 1, 4, 5]
    untrusted = rank_residuals(backend, residuals, **arguments, trust_residual=False)
    assert untrusted.x[0, :, 0].tolist() == [6, 3, 1, 2, 0, 4, 5]


def test_an_untrusted_extrapolation_stays_behind_even_when_converged_and_near(backend):
    ranked = rank_residuals(backend, [0.05, 0.3], x=[2, 9], flags=[EXTRAPOLATED, 0], near=2.0,
                            trust_residual=False)  # fmt: skip
    assert ranked.x[0, :, 0].tolist() == [9, 2]
    assert ranked.status.tolist() == [[A, C]]


@pytest.mark.parametrize(
    "function", [square, CallableFunction(np.square, 1, 1)], ids=["formula", "callable"]
)
def test_copies_by_hand(backend, function):
    """Group 3: behind what did not converge, before what is invalid, the better one kept."""
    residuals, x = [0.2, 0.1, 0.9, 0.0, 0.1, 0.0], [5.0, 5.5, 7.0, 1.0, -5.0, NAN]
    options = {
        "tol": 0.25, "polish": True, "separation": 0.5, "periods": 10.0, "function": function
    }  # fmt: skip
    ranked = rank_residuals(backend, residuals, x=x, **options)
    # 5.5 is better than 5.0 within 0.5 of it; -5.0 is 5.0 modulo the period, and as good as 5.5.
    assert ranked.anchor.tolist() == [[3, 1, 2, 4, 0, 5]]
    tied = rank_residuals(backend, [0.1, 0.1], x=[5.0, 5.0], **options)
    assert tied.anchor.tolist() == [[0, 1]]
    # Where nothing was polished, nothing is a copy.
    options["polish"] = False
    plain = rank_residuals(backend, [0.1, 0.1, 0.9], x=[5.0, 5.0, 7.0], **options)
    assert plain.anchor.tolist() == [[0, 1, 2]]


LATTICE = np.tile(np.arange(-3.0, 4.0), 5)[:, None]


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.2, 0.5, 3.0, NAN, INF]),
            st.sampled_from([-1.0, 0.0, 0.5, 1.0, NAN]),
            st.integers(0, 3),
            st.integers(0, len(LATTICE) - 1),
        ),
        min_size=1,
        max_size=33,
    ),
    near=st.sampled_from([None, 0.0, 0.5]),
    distance=st.sampled_from([0.0, 0.2, 5.0]),
    anchors_exact=st.booleans(),
    trust_residual=st.booleans(),
    polish=st.booleans(),
)
def test_against_the_rules_for_one_row(
    backend, rows, near, distance, anchors_exact, trust_residual, polish
):
    solutions = []
    for j, (residual, x, flags, anchor) in enumerate(rows):
        if math.isnan(x) or not math.isfinite(residual):
            residual = INF
        anchor_x = LATTICE[anchor, 0]
        if anchors_exact and not residual <= anchor_x**2:
            x, residual, flags = anchor_x, anchor_x**2, 0
        group, key = 1, residual
        if flags & EXTRAPOLATED and not trust_residual:
            group = 2
        elif near is not None and residual <= 0.1:
            group, key = 0, abs(x - near)
        if residual == INF:
            group = 4
        solutions.append((group, key, j, x, residual, flags, anchor))
    if polish:
        converged = [solution for solution in solutions if solution[4] <= 0.1]
        for _, key, j, *others in converged:
            x, residual = others[:2]
            if any(o[3] == x and (o[4], o[2]) < (residual, j) for o in converged):
                solutions[j] = (3, key, j, *others)
    closest = min(solution[4] for solution in solutions)
    expected = []
    for _, _, _, x, residual, flags, anchor in sorted(solutions, key=lambda row: row[:3]):
        status = (
            I if residual == INF
            else C if residual <= 0.1
            else Status.UNREACHABLE if distance > 0.3 and closest > 0.3
            else Status.OUT_OF_BOUNDS if flags & CLIPPED
            else Status.EXTRAPOLATED if flags & EXTRAPOLATED
            else A
        )  # fmt: skip
        expected.append((x, residual, anchor, status))

    residuals, xs, flags, anchors = zip(*rows, strict=True)
    ranked = rank_residuals(
        backend, residuals, x=xs, flags=flags, anchor=anchors, near=near, distance=distance,
        coverage=0.3, anchors_exact=anchors_exact, trust_residual=trust_residual, polish=polish,
        anchors_x=LATTICE,
    )  # fmt: skip
    found = [ranked.x[0, :, 0], ranked.residual[0], ranked.anchor[0], ranked.status[0]]
    for column, wanted in zip(found, zip(*expected, strict=True), strict=True):
        np.testing.assert_array_equal(column, wanted)
