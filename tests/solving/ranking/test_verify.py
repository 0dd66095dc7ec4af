"""The fifth link: anchors in place of worse candidates, and whether candidates are near a root."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from chains import BACKENDS, CPP, REFERENCE, Setup, assert_same_bits, candidates_of, folded
from hypothesis import given, settings
from hypothesis import strategies as st
from parabola import rank_residuals, square, verify_residuals

import fastinv as fi
from fastinv.backends import CandidateFlag
from fastinv.functions import CallableFunction, Status

A, C, E, B, I = (  # noqa: E741
    Status.APPROXIMATE, Status.CONVERGED, Status.EXTRAPOLATED, Status.OUT_OF_BOUNDS, Status.INVALID
)  # fmt: skip
NAN, INF = np.nan, np.inf
CLIPPED, EXTRAPOLATED = CandidateFlag.CLIPPED, CandidateFlag.EXTRAPOLATED
EXACT, ROOT = CandidateFlag.EXACT, CandidateFlag.ROOT

by_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())


@fi.forward(n_inputs=1, n_outputs=1)
def hill(x, y):
    """1 / (1 + x²): above 1 there is nothing."""
    y[0] = 1.0 / (1.0 + x[0] * x[0])


# Replacement by the anchor


@by_backend
def test_a_candidate_worse_than_its_anchor_is_replaced_by_it(backend):
    # The target is 0; anchor 2 is x = -1 and anchor 4 is x = 1, both with residual 1.
    call = {
        "x": [-0.9, 0.9, 8.0, 0.7], "anchor": [2, 4, 4, 4], "anchors_exact": True,
        "flags": [CLIPPED | EXTRAPOLATED, CLIPPED, EXTRAPOLATED, EXTRAPOLATED],
    }  # fmt: skip
    verified = verify_residuals(backend, [1.5, 1.0, NAN, 0.5], **call)
    assert verified.x[0, :, 0].tolist() == [-1.0, 0.9, 1.0, 0.7]
    assert verified.fx[0, :, 0].tolist() == [1.0, 1.0, 1.0, 0.5]
    assert verified.anchor.tolist() == [[2, 4, 4, 4]]
    assert verified.flags.tolist() == [[0, CLIPPED, 0, EXTRAPOLATED]]  # equal ones stay
    ranked = rank_residuals(backend, [1.5, 1.0, NAN, 0.5], **call, verified=True)
    assert ranked.x[0, :, 0].tolist() == [0.7, -1.0, 0.9, 1.0]
    assert ranked.status.tolist() == [[E, A, B, A]]


@by_backend
def test_an_x_that_is_not_finite_is_replaced_whatever_its_image(backend):
    ranked = rank_residuals(backend, [0.0], x=[NAN], anchor=[4], anchors_exact=True, verified=True)
    assert (ranked.x.item(), ranked.residual.item(), ranked.status.item()) == (1.0, 1.0, A)


@by_backend
def test_noisy_anchors_replace_nothing(backend):
    verified = verify_residuals(backend, [1.5, NAN], x=[-0.9, 8.0], anchor=[2, 4])
    assert verified.x[0, :, 0].tolist() == [-0.9, 8.0]
    np.testing.assert_array_equal(verified.fx[0, :, 0], [1.5, NAN])


@by_backend
def test_an_anchor_too_far_to_measure_replaces_nothing(backend):
    call = {"x": [8.0], "anchor": [4], "target": 1e308, "anchors_exact": True, "verified": True}
    ranked = rank_residuals(backend, [NAN], **call)
    assert (ranked.x.item(), ranked.residual.item(), ranked.status.item()) == (1.0, 1e308, A)
    # It takes the place, but its residual is no number.
    ranked = rank_residuals(backend, [NAN], **call, anchors_y=np.full((7, 1), -1e308))
    assert (ranked.residual.item(), ranked.status.item()) == (INF, I)


@by_backend
def test_replacement_counts_in_the_reach_of_the_row(backend):
    ranked = rank_residuals(
        backend, [5.0], anchor=[4], anchors_exact=True, distance=1.5, coverage=1.0, verified=True
    )
    assert ranked.status.item() == A  # the anchor's residual, 1, is within the coverage


@by_backend
def test_a_target_that_is_not_finite_changes_nothing(backend):
    verified = verify_residuals(
        backend, [5.0], x=[8.0], flags=[3], anchor=[3], target=NAN, anchors_exact=True, root=True
    )
    assert (verified.x.item(), verified.flags.item()) == (8.0, 3)


LATTICE = np.tile(np.arange(-3.0, 4.0), 5)[:, None]


@by_backend
@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, NAN, INF]),
            st.sampled_from([-1.0, 0.0, 0.5, 1.0, NAN, INF]),
            st.integers(0, 3),
            st.integers(0, len(LATTICE) - 1),
        ),
        min_size=1,
        max_size=33,
    ),
    anchors_exact=st.booleans(),
    polish=st.booleans(),
)
def test_replacement_by_the_rule_for_one_row(backend, rows, anchors_exact, polish):
    wanted = []
    for residual, x, flags, anchor in rows:
        image = LATTICE[anchor, 0] ** 2
        found = residual if math.isfinite(x) else INF
        better = not anchors_exact or found <= image
        wanted.append((x, residual, flags) if better else (LATTICE[anchor, 0], image, 0))
    residuals, xs, flags, anchors = zip(*rows, strict=True)
    verified = verify_residuals(
        backend, residuals, x=xs, flags=flags, anchor=anchors, anchors_exact=anchors_exact,
        polish=polish, anchors_x=LATTICE,
    )  # fmt: skip
    found = [verified.x[0, :, 0], verified.fx[0, :, 0], verified.flags[0]]
    for column, values in zip(found, zip(*wanted, strict=True), strict=True):
        np.testing.assert_array_equal(column, values)
    assert verified.anchor[0].tolist() == list(anchors)


# Roots


def hill_rows(targets, x, **changes):
    """One candidate of `hill` for each target, from an anchor at x = 2, and its flags verified."""
    targets, x = np.array(targets)[:, None], np.array(x, dtype=float)[:, None, None]
    anchors_x = np.full((3, 1), 2.0)
    setup = Setup(anchors_x, hill(anchors_x), hill, tol=0.1, root=True, **changes)
    return setup, setup.goal(targets), candidates_of(x, hill(x[:, :, 0])[:, None], anchor=0)


@by_backend
@pytest.mark.parametrize("polish", [False, True])
def test_a_candidate_near_a_root_is_flagged_and_one_near_none_is_not(backend, polish):
    """Above the top, the best point is within the tolerance, and no root of f - y is near it."""
    root = np.sqrt(1 / 0.6 - 1)
    x = [root, root + 1e-3, root + 0.03, 0.0, 1e-3]
    setup, goal, candidates = hill_rows([0.6, 0.6, 0.6, 1.01, 1.01], x, polish=polish)
    if not polish:  # much closer to the target than its anchor needs no derivative
        candidates.anchor[:] = 1
        setup.anchors_x[1] = 0.1
        setup = replace(setup, anchors_y=hill(setup.anchors_x), anchors_exact=False)
    pipeline = setup.pipeline(backend)
    verified = pipeline.verify(goal, candidates)
    near_or_exact = [EXACT | ROOT if polish else ROOT, ROOT, ROOT, 0, 0]
    assert verified.flags[:, 0].tolist() == near_or_exact
    assert pipeline.rank(goal, verified, 1).status[:, 0].tolist() == [C, C, C, A, A]
    anyway = pipeline.rank(replace(goal, root=False), verified, 1)
    assert anyway.status[:, 0].tolist() == [C] * 5


@by_backend
def test_without_a_polish_an_eighth_of_the_anchors_residual_is_enough(backend):
    """The anchor is x = 2 with f = 1/5."""
    x = 0.0
    for target, flag in [(1.09, ROOT), (1.12, 0)]:  # residuals of 0.09 of 0.89, 0.12 of 0.92
        setup, goal, candidates = hill_rows([target], [x])
        goal.tol = 0.2
        verified = setup.pipeline(backend).verify(goal, candidates)
        assert verified.flags.item() == flag


@by_backend
def test_what_the_tolerances_refuse_is_no_root_unless_it_is_exact(backend):
    root = np.sqrt(1 / 0.6 - 1)
    setup, goal, candidates = hill_rows([0.6, 0.6], [root, root + 1e-5], polish=True)
    goal.tol = 1e-12
    verified = setup.pipeline(backend).verify(goal, candidates)
    assert verified.flags[:, 0].tolist() == [EXACT | ROOT, 0]
    goal.tol, goal.error_tol = 0.1, np.array([1e-12])
    verified = setup.pipeline(backend).verify(goal, candidates)
    assert verified.flags[:, 0].tolist() == [EXACT | ROOT, 0]


@by_backend
@pytest.mark.parametrize("y_scale", [0.25, 1.0, 8.0])
def test_error_tol_limits_each_output_in_its_own_unit(backend, y_scale):
    """Whatever the units of the problem."""
    fx = [[[0.5, 0.125], [-0.5, -0.125], [0.5, 0.1250001], [0.5000001, 0.0], [NAN, 0.0]]]
    candidates = candidates_of(np.arange(10.0).reshape(1, 5, 2), fx, anchor=0)
    for tol, wanted in [(INF, [C, C, A, A, I]), (0.1 / y_scale, [A, A, A, A, I])]:
        setup = Setup(np.zeros((1, 2)), np.zeros((1, 2)), None, y_scale=y_scale, tol=tol,
                      error_tol=np.array([0.5, 0.125]))  # fmt: skip
        ranked = setup.pipeline(backend).rank(setup.goal([[0.0, 0.0]]), candidates, 5)
        status = dict(zip(ranked.x[0, :, 0], ranked.status[0], strict=True))
        assert [status[x] for x in (0.0, 2.0, 4.0, 6.0, 8.0)] == wanted


@by_backend
def test_error_tol_in_a_search(backend):
    """x² = 1 to one part in a hundred, where evaluations are few, and x² = -1e-3 to 1e-2."""
    x = np.linspace(-2.0, 2.0, 41)[:, None] + 0.003
    setup = Setup(x, square(x), square, lower=-2.0, upper=2.0, tol=INF, max_evaluations=400)
    for error_tol, n_found in [(1e-2, [2, 1]), (1e-4, [2, 0])]:
        goal = setup.goal([1.0, -1e-3])
        goal.error_tol = np.array([error_tol])
        found = setup.search(backend).solve_all(goal, k=4, n_starts=41)
        assert found.n_found.tolist() == n_found
        goal.root = True
        found = setup.search(backend).solve_all(goal, k=4, n_starts=41)
        assert found.n_found.tolist() == [2, 0]


# All backends, all sizes


def random_rows(seed, n, k=5):
    """Candidates of `folded` near roots, at folds, and anywhere; some images are NaN."""
    rng = np.random.default_rng([47, seed])
    truth = rng.uniform(-1, 1, size=(n, 2))
    truth[rng.random(n) < 0.3, 0] = 0.0  # a double root
    targets = folded(truth) if n else np.empty((0, 2))
    targets[rng.random(n) < 0.2, 0] -= 1e-6  # just beyond the fold, or not
    targets[rng.random(n) < 0.1] = NAN
    step = 10.0 ** rng.integers(-12, 0, size=(n, k, 1)) * rng.normal(size=(n, k, 2))
    step[rng.random((n, k)) < 0.2] = 0.0
    x = np.clip(truth[:, None] + step, -1, 1)
    fx = folded(x.reshape(-1, 2)).reshape(n, k, 2) if n else np.empty((0, k, 2))
    fx[rng.random((n, k)) < 0.1] = NAN
    return targets, candidates_of(x, fx, anchor=rng.integers(40, size=(n, k)))


@pytest.mark.parametrize("polish", [False, True])
@pytest.mark.parametrize("anchors_exact", [False, True])
@pytest.mark.parametrize("n", [0, 1, 7, 33])
def test_against_the_reference(n, polish, anchors_exact):
    anchors_x = np.random.default_rng(48).uniform(-1, 1, size=(40, 2))
    setup = Setup(
        anchors_x, folded(anchors_x), folded, lower=-1.0, upper=1.0, scale=0.6, tol=0.05, root=True,
        polish=polish, anchors_exact=anchors_exact, y_scale=[0.5, 4.0],
    )  # fmt: skip
    for seed in range(8):
        targets, candidates = random_rows(seed, n)
        goal = setup.goal(targets)
        exact = setup.pipeline(REFERENCE).verify(goal, candidates)
        if n == 33:
            kinds = set(exact.flags.ravel().tolist())
            assert kinds >= {0, ROOT} | ({EXACT | ROOT} if polish else set())
        for backend in CPP.values():
            for n_threads in (1, 2):
                found = setup.pipeline(backend).verify(goal, candidates, n_threads=n_threads)
                assert_same_bits(found, exact)
        for row in range(min(n, 3)):  # one row alone
            rows = slice(row, row + 1)
            alone = candidates_of(
                candidates.x[rows], candidates.fx[rows], anchor=candidates.anchor[rows]
            )
            part = setup.pipeline(REFERENCE).verify(goal.part(row, row + 1), alone)
            assert_same_bits(part, exact, rows)


def test_what_only_python_can_evaluate_is_verified_too():
    setup, goal, candidates = hill_rows([0.6, 1.01], [np.sqrt(1 / 0.6 - 1), 0.0], polish=True)
    slow = replace(setup, function=CallableFunction(lambda X: 1 / (1 + X**2), 1, 1))
    for backend in BACKENDS.values():
        verified = slow.pipeline(backend).verify(goal, candidates)
        assert verified.flags[:, 0].tolist() == [EXACT | ROOT, 0]
