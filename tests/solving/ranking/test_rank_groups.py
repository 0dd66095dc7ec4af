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
EXACT, ROOT = CandidateFlag.EXACT, CandidateFlag.ROOT

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


EXACTLY, NEARLY, BY_RESIDUAL, UNTRUSTED, COPY, INVALID = range(6)


def rank_by_the_rules(rows, near, distance, *, root, trust_residual, polish):
    """Columns of x, residual, anchor and status, for candidates (residual, x, flags)."""
    ranks, solutions = [], []
    usable = [residual for residual, x, _ in rows if np.isfinite(residual) and np.isfinite(x)]
    closest = min(usable, default=INF)
    for j, (residual, x, flags) in enumerate(rows):
        if math.isnan(x) or not math.isfinite(residual):
            residual = INF
        converged = residual <= 0.1
        if root:
            converged = residual < INF and bool(flags & EXACT or (converged and flags & ROOT))
        status = (
            I if residual == INF
            else C if converged
            else Status.UNREACHABLE if distance > 0.3 and closest > 0.3
            else Status.OUT_OF_BOUNDS if flags & CLIPPED
            else Status.EXTRAPOLATED if flags & EXTRAPOLATED
            else A
        )  # fmt: skip
        group, key = BY_RESIDUAL, residual
        if residual == INF:
            group = INVALID
        elif flags & EXTRAPOLATED and not trust_residual:
            group = UNTRUSTED
        elif converged and flags & EXACT:
            group, key = EXACTLY, x if near is None else abs(x - near)
        elif converged and near is not None:
            group, key = NEARLY, abs(x - near)
        ranks.append([group, not (group == EXACTLY and near is None), key, j])
        solutions.append((x, residual, j, status))
    for x, residual, j, status in solutions if polish else []:
        same = [o for o in solutions if status == C == o[3] and o[0] == x]
        if any((o[1], o[2]) < (residual, j) for o in same):
            ranks[j][0] = COPY
    order = [rank[-1] for rank in sorted(ranks)]  # copies are sorted by what orders the others
    return zip(*(solutions[j] for j in order), strict=True)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.2, 0.5, 3.0, NAN, INF]),
            st.sampled_from([-1.0, 0.0, 0.5, 1.0, NAN]),
            st.integers(0, 15),
        ),
        min_size=1,
        max_size=33,
    ),
    near=st.sampled_from([None, 0.0, 0.5]),
    distance=st.sampled_from([0.0, 0.2, 5.0]),
    root=st.booleans(),
    trust_residual=st.booleans(),
    polish=st.booleans(),
)
def test_against_the_rules_for_one_row(backend, rows, near, distance, root, trust_residual, polish):
    how = {"root": root, "trust_residual": trust_residual, "polish": polish}
    expected = rank_by_the_rules(rows, near, distance, **how)
    residuals, xs, flags = zip(*rows, strict=True)
    ranked = rank_residuals(
        backend, residuals, x=xs, flags=flags, near=near, distance=distance, coverage=0.3, **how,
        anchors_x=np.zeros((33, 1)),
    )  # fmt: skip
    found = [ranked.x[0, :, 0], ranked.residual[0], ranked.anchor[0], ranked.status[0]]
    for column, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(column, wanted)


def test_exact_ones_first_by_coordinates(backend):
    """Rounding orders nothing; the distance to a state does."""
    x, flags = [3.0, -1.0, 2.0, -5.0, 0.0], [EXACT, EXACT, EXACT, 0, EXACT | EXTRAPOLATED]
    residuals = [1e-16, 3e-16, 0.0, 0.0, 2e-16]
    ranked = rank_residuals(backend, residuals, x=x, flags=flags)
    assert ranked.x[0, :, 0].tolist() == [-1.0, 0.0, 2.0, 3.0, -5.0]
    assert ranked.residual[0].tolist() == [3e-16, 2e-16, 0.0, 1e-16, 0.0]
    ranked = rank_residuals(backend, residuals, x=x, flags=flags, near=2.2)
    assert ranked.x[0, :, 0].tolist() == [2.0, 3.0, 0.0, -1.0, -5.0]
    ranked = rank_residuals(backend, residuals, x=x, flags=flags, trust_residual=False)
    assert ranked.x[0, :, 0].tolist() == [-1.0, 2.0, 3.0, -5.0, 0.0]


def test_coordinates_count_one_after_the_other_and_in_units_of_the_separation(backend):
    setup = Setup(np.zeros((4, 2)), np.zeros((4, 1)), None, scale=[1.0, 2.0])
    x = [[[1.0, -1.0], [1.0 + 1e-9, -2.0], [1.0 - 1e-9, 5.0], [-3.0, 9.0]]]
    candidates = candidates_of(x, np.zeros((1, 4, 1)), flags=EXACT)
    ranked = setup.pipeline(backend).rank(setup.goal([[0.0]]), candidates, 4)
    assert ranked.anchor.tolist() == [[3, 1, 0, 2]]
