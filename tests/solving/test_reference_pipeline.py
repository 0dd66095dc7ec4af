"""The reference pipeline, rule by rule: proposals, replacement, statuses, groups and keys."""

from __future__ import annotations

import ctypes
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastinv.backends import (
    CandidateFlag,
    Candidates,
    LearnedForward,
    PipelineSpec,
    ReferenceBackend,
    TwinModel,
)
from fastinv.backends.reference import pipeline as reference_pipeline
from fastinv.functions.networks import NetworkSpec
from fastinv.solutions import Status

BACKEND = ReferenceBackend()
SEED_TWIN = 301
SEED_ROWS = 302
C, A, E, B, U, I = (  # noqa: E741
    Status.CONVERGED, Status.APPROXIMATE, Status.EXTRAPOLATED,
    Status.OUT_OF_BOUNDS, Status.UNREACHABLE, Status.INVALID,
)  # fmt: skip
NAN, INF = np.nan, np.inf
CLIPPED, EXTRAPOLATED = CandidateFlag.CLIPPED, CandidateFlag.EXTRAPOLATED


@ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_double), ctypes.POINTER(ctypes.c_double),
                  ctypes.c_int64)  # fmt: skip
def square(x, y, n_rows):
    for row in range(n_rows):
        y[row] = x[row] * x[row]


SQUARE = ctypes.cast(square, ctypes.c_void_p).value


def line_spec(**changes):
    """Anchors -3, …, 3 on the parabola y = x²: p = q = 1, no twin, no bounds."""
    anchors_x = np.arange(-3.0, 4.0)[:, None]
    spec = PipelineSpec(
        anchors_x=anchors_x,
        anchors_y=anchors_x**2,
        twin=None,
        forward=None,
        lower=np.array([-INF]),
        upper=np.array([INF]),
        tol=0.1,
        coverage=INF,
        x_spread=np.array([1.0]),
        anchors_exact=False,
    )
    return replace(spec, **changes)


def constant_twin(output, **changes):
    """A twin network on the line whose output is `output` for every pair."""
    one, zero = np.ones(1), np.zeros(1)
    twin = TwinModel(
        spec=NetworkSpec((3, 1)),
        parameters=np.array([0.0, 0.0, 0.0, output]),
        dy_scale=one, y_mean=zero, y_scale=one, x_mean=zero, x_scale=one, dx_scale=one,
        reach=INF,
    )  # fmt: skip
    return replace(twin, **changes)


def rank_residuals(residuals, *, x=None, flags=None, anchor=None, k=None, near=None, distance=0.0,
                   target=0.0, **changes):  # fmt: skip
    """Rank one row of candidates on the line whose images lie `residuals` above the target."""
    n = len(residuals)
    candidates = Candidates(
        x=np.asarray(x if x is not None else np.arange(n), dtype=float).reshape(1, n, 1),
        anchor=np.asarray(anchor if anchor is not None else np.arange(n)).reshape(1, n),
        flags=np.asarray(flags if flags is not None else [0] * n, dtype=np.uint8).reshape(1, n),
        anchor_distance=np.array([distance]),
    )
    return BACKEND.pipeline(line_spec(**changes)).rank(
        np.array([[target]]),
        candidates,
        target + np.asarray(residuals, dtype=float).reshape(1, n, 1),
        k=k or n,
        near=None if near is None else np.array([[float(near)]]),
    )


# Candidates


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_candidates_follow_the_formula_of_the_twin_network(dtype):
    rng = np.random.default_rng(SEED_TWIN)
    p, q, n_anchors = 2, 3, 33
    spec = NetworkSpec((2 * q + p, 5, p), "tanh")
    twin = TwinModel(
        spec=spec,
        parameters=rng.normal(size=spec.n_parameters).astype(dtype),
        dy_scale=rng.uniform(1, 2, q), y_mean=rng.normal(size=q), y_scale=rng.uniform(1, 2, q),
        x_mean=rng.normal(size=p), x_scale=rng.uniform(1, 2, p), dx_scale=rng.uniform(0.1, 1, p),
        reach=1.0,
    )  # fmt: skip
    anchors_x, anchors_y = rng.normal(size=(n_anchors, p)), rng.normal(size=(n_anchors, q))
    pipeline = BACKEND.pipeline(
        PipelineSpec(
            anchors_x, anchors_y, twin, None,
            lower=np.full(p, -0.5), upper=np.array([0.5, INF]),
            tol=0.0, coverage=INF, x_spread=np.ones(p),
        )
    )  # fmt: skip
    targets = rng.normal(size=(7, q))
    found = pipeline.candidates(targets, n_neighbors=4)
    network = BACKEND.network(spec, twin.parameters)
    for row, y in enumerate(targets):
        distances = [math.dist(y, y_a) for y_a in anchors_y]
        assert found.anchor[row].tolist() == sorted(range(n_anchors), key=distances.__getitem__)[:4]
        assert found.anchor_distance[row] == pytest.approx(min(distances), rel=1e-14)
        for j, a in enumerate(found.anchor[row]):
            features = [
                *((y - anchors_y[a]) / twin.dy_scale),
                *((anchors_y[a] - twin.y_mean) / twin.y_scale),
                *((anchors_x[a] - twin.x_mean) / twin.x_scale),
            ]
            output = network.forward(np.array([features]))[0]
            free = anchors_x[a] + twin.dx_scale * output
            clipped = [min(max(free[0], -0.5), 0.5), max(free[1], -0.5)]
            np.testing.assert_allclose(found.x[row, j], clipped, rtol=1e-13, atol=1e-14)
            flags = EXTRAPOLATED * (max(abs(output)) > 1.0) + CLIPPED * (clipped != free.tolist())
            assert found.flags[row, j] == flags
    assert set(found.flags.ravel()) == {0, 1, 2, 3}  # every combination has been seen


def test_without_a_twin_the_anchors_are_the_candidates():
    pipeline = BACKEND.pipeline(line_spec())
    found = pipeline.candidates(np.array([[1.1], [9.0]]), n_neighbors=3)
    assert found.anchor.tolist() == [[2, 4, 3], [0, 6, 1]]  # ties to the lowest index
    assert found.x[:, :, 0].tolist() == [[-1.0, 1.0, 0.0], [-3.0, 3.0, -2.0]]
    np.testing.assert_allclose(found.anchor_distance, [0.1, 0.0], atol=1e-15)
    assert not found.flags.any()


def test_extrapolation_begins_beyond_the_reach():
    for output, flag in [(1.0, 0), (-1.0, 0), (1.0 + 1e-12, EXTRAPOLATED), (-2.0, EXTRAPOLATED)]:
        twin = constant_twin(output, reach=1.0)
        found = BACKEND.pipeline(line_spec(twin=twin)).candidates(np.zeros((1, 1)), n_neighbors=1)
        assert found.flags.item() == flag


def test_clipping_begins_beyond_the_bounds():
    for output, x, flag in [(0.5, 0.5, 0), (0.6, 0.5, CLIPPED), (-9.0, -0.5, CLIPPED)]:
        spec = line_spec(twin=constant_twin(output), lower=np.array([-0.5]), upper=np.array([0.5]))
        found = BACKEND.pipeline(spec).candidates(np.zeros((1, 1)), n_neighbors=1)
        assert (found.x.item(), found.flags.item()) == (x, flag)


# Statuses


@pytest.mark.parametrize(
    ("residual", "flags", "distance", "expected"),
    [
        (0.0, 0, 0.0, C),
        (0.1, 0, 0.0, C),  # tol itself
        (0.1, CLIPPED | EXTRAPOLATED, 9.0, C),
        (0.2, 0, 0.0, A),
        (0.2, EXTRAPOLATED, 0.0, E),
        (0.2, CLIPPED, 0.0, B),
        (0.2, CLIPPED | EXTRAPOLATED, 0.0, B),
        (2.0, 0, 1.5, U),
        (2.0, CLIPPED | EXTRAPOLATED, 1.5, U),
        (2.0, 0, 1.0, A),  # an anchor at the very edge of the coverage
        (1.0, 0, 1.5, A),  # an image at the very edge of the coverage
        (NAN, CLIPPED, 9.0, I),
        (INF, 0, 9.0, I),
        (-INF, 0, 9.0, I),
        (1e300, 0, 9.0, U),  # its square overflows
    ],
)
def test_the_first_status_that_holds(residual, flags, distance, expected):
    ranked = rank_residuals([residual], flags=[flags], distance=distance, coverage=1.0)
    assert ranked.status.item() == expected
    assert ranked.residual.item() == pytest.approx(INF if expected == I else residual)
    assert ranked.status.dtype == np.int8


def test_status_codes_are_those_of_the_result_type():
    for status in Status:
        assert getattr(reference_pipeline, status.name) == status


def test_unreachable_looks_at_all_candidates_of_the_row():
    reached = rank_residuals([5.0, 0.5], distance=9.0, coverage=1.0, k=2)
    assert reached.status.tolist() == [[A, A]]
    # `near` puts a candidate first that is not the closest image; only k = 1 is returned.
    beyond = rank_residuals([5.0, 6.0, NAN], distance=9.0, coverage=1.0)
    assert beyond.status.tolist() == [[U, U, I]]
    hidden = rank_residuals([5.0, 0.5], flags=[0, EXTRAPOLATED], trust_residual=False, k=1,
                            distance=9.0, coverage=1.0)  # fmt: skip
    assert hidden.residual.tolist() == [[5.0]]
    assert hidden.status.tolist() == [[A]]


def test_an_x_that_is_not_finite_is_invalid_whatever_its_image():
    ranked = rank_residuals([0.0, 5.0], x=[NAN, 1.0])
    assert ranked.status.tolist() == [[A, I]]
    assert ranked.residual.tolist() == [[5.0, INF]]
    assert ranked.anchor.tolist() == [[1, 0]]
    assert np.isnan(ranked.x[0, 1, 0])


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("anchors_exact", [False, True])
def test_a_target_that_is_not_finite_leaves_the_other_rows_alone(bad, anchors_exact):
    rng = np.random.default_rng(SEED_ROWS)
    twin = constant_twin(0.25)
    spec = line_spec(forward=SQUARE, twin=twin, anchors_exact=anchors_exact, tol=1.0)
    pipeline = BACKEND.pipeline(spec)
    targets = rng.uniform(0.0, 9.0, (7, 1))
    near = rng.normal(size=(7, 1))
    whole = pipeline.solve(targets, n_neighbors=5, k=4, near=near)
    spoiled_targets = targets.copy()
    spoiled_targets[3] = bad
    spoiled = pipeline.solve(spoiled_targets, n_neighbors=5, k=4, near=near)

    others = np.arange(7) != 3
    for name in ("x", "residual", "anchor", "status"):
        before, after = getattr(whole, name), getattr(spoiled, name)
        assert before[others].tobytes() == after[others].tobytes()
    assert np.isnan(spoiled.x[3]).all()
    assert (spoiled.residual[3] == INF).all()
    assert (spoiled.anchor[3] == -1).all()
    assert (spoiled.status[3] == I).all()

    found = pipeline.candidates(spoiled_targets, n_neighbors=5)
    assert found.anchor[3].tolist() == [0, 1, 2, 3, 4]
    assert found.x[3, :, 0].tolist() == [-3.0, -2.0, -1.0, 0.0, 1.0]
    assert not found.flags[3].any()
    assert np.isnan(found.anchor_distance[3])


# Replacement by the anchor


def test_a_candidate_worse_than_its_anchor_is_replaced_by_it():
    # The target is 0; anchor 2 is x = -1 and anchor 4 is x = 1, both with residual 1.
    ranked = rank_residuals(
        [1.5, 1.0, NAN, 0.5],
        x=[-0.9, 0.9, 8.0, 0.7],
        flags=[CLIPPED | EXTRAPOLATED, CLIPPED, EXTRAPOLATED, EXTRAPOLATED],
        anchor=[2, 4, 4, 4],
        anchors_exact=True,
    )
    assert ranked.x[0, :, 0].tolist() == [0.7, -1.0, 0.9, 1.0]
    assert ranked.residual.tolist() == [[0.5, 1.0, 1.0, 1.0]]
    assert ranked.anchor.tolist() == [[4, 2, 4, 4]]
    assert ranked.status.tolist() == [[E, A, B, A]]  # equal residuals are not replaced


def test_an_x_that_is_not_finite_is_replaced_whatever_its_image():
    ranked = rank_residuals([0.0], x=[NAN], anchor=[4], anchors_exact=True)
    assert (ranked.x.item(), ranked.residual.item(), ranked.status.item()) == (1.0, 1.0, A)


def test_noisy_anchors_replace_nothing():
    ranked = rank_residuals([1.5, NAN], x=[-0.9, 8.0], anchor=[2, 4], anchors_exact=False)
    assert ranked.x[0, :, 0].tolist() == [-0.9, 8.0]
    assert ranked.status.tolist() == [[A, I]]


def test_an_anchor_too_far_to_measure_replaces_nothing():
    ranked = rank_residuals([NAN], x=[8.0], anchor=[4], target=1e308, anchors_exact=True)
    assert (ranked.x.item(), ranked.residual.item(), ranked.status.item()) == (1.0, 1e308, A)
    ranked = rank_residuals(
        [NAN],
        x=[8.0],
        anchor=[4],
        target=1e308,
        anchors_exact=True,
        anchors_y=np.full((7, 1), -1e308),
    )
    assert (ranked.x.item(), ranked.residual.item(), ranked.status.item()) == (8.0, INF, I)


def test_residuals_whose_squares_overflow():
    np.testing.assert_allclose(
        reference_pipeline.distance(np.array([[3e200, 4e200], [3.0, 4.0]]), np.zeros(2)),
        [5e200, 5.0],
        rtol=1e-15,
    )


def test_replacement_counts_in_the_reach_of_the_row():
    ranked = rank_residuals([5.0], anchor=[4], anchors_exact=True, distance=1.5, coverage=1.0)
    assert ranked.status.item() == A  # the anchor's residual, 1, is within the coverage


# Groups and keys


def test_by_residual_with_ties_in_the_order_of_the_anchors():
    ranked = rank_residuals([2.0, NAN, 0.05, 2.0, INF, 0.0, 1.0], x=range(7))
    assert ranked.x[0, :, 0].tolist() == [5, 2, 6, 0, 3, 1, 4]
    assert ranked.status.tolist() == [[C, C, A, A, A, I, I]]
    assert ranked.residual.tolist() == [[0.0, 0.05, 1.0, 2.0, 2.0, INF, INF]]


def test_near_sorts_the_converged_ones_first_by_their_distance():
    ranked = rank_residuals([0.0, 0.05, 0.2, 0.1, 0.15, 0.1], x=[9, 3, 2, 1, 7, 3], near=2.0)
    assert ranked.x[0, :, 0].tolist() == [3, 1, 3, 9, 7, 2]
    assert ranked.residual[0] == pytest.approx([0.05, 0.1, 0.1, 0.0, 0.15, 0.2])


def test_near_is_measured_in_units_of_the_spread():
    candidates = Candidates(
        x=np.array([[[1.0, 0.0], [0.0, 3.0], [0.0, -1.0]]]),
        anchor=np.array([[0, 1, 2]]),
        flags=np.zeros((1, 3), dtype=np.uint8),
        anchor_distance=np.zeros(1),
    )
    anchors = np.zeros((3, 2))
    spec = line_spec(anchors_x=anchors, anchors_y=anchors[:, :1], lower=np.full(2, -INF),
                     upper=np.full(2, INF), x_spread=np.array([1.0, 10.0]))  # fmt: skip
    ranked = BACKEND.pipeline(spec).rank(
        np.zeros((1, 1)), candidates, np.zeros((1, 3, 1)), k=3, near=np.zeros((1, 2))
    )
    assert ranked.anchor.tolist() == [[2, 1, 0]]


def test_an_untrusted_residual_puts_extrapolations_behind_all_but_invalid_ones():
    arguments = {"flags": [EXTRAPOLATED, 0, 3, CLIPPED, EXTRAPOLATED, 0, 0]}
    residuals = [0.3, 0.5, 0.2, 0.4, NAN, NAN, 0.05]
    trusted = rank_residuals(residuals, **arguments)
    assert trusted.x[0, :, 0].tolist() == [6, 2, 0, 3, 1, 4, 5]
    untrusted = rank_residuals(residuals, **arguments, trust_residual=False)
    assert untrusted.x[0, :, 0].tolist() == [6, 3, 1, 2, 0, 4, 5]


def test_an_untrusted_extrapolation_stays_behind_even_when_converged_and_near():
    ranked = rank_residuals([0.05, 0.3], x=[2, 9], flags=[EXTRAPOLATED, 0], near=2.0,
                            trust_residual=False)  # fmt: skip
    assert ranked.x[0, :, 0].tolist() == [9, 2]
    assert ranked.status.tolist() == [[A, C]]


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
)
def test_rank_against_its_rules_for_one_row(rows, near, distance, anchors_exact, trust_residual):
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
            group = 3
        solutions.append((group, key, j, x, residual, flags, anchor))
    closest = min(solution[4] for solution in solutions)
    expected = []
    for _, _, _, x, residual, flags, anchor in sorted(solutions, key=lambda row: row[:3]):
        status = (
            I if residual == INF
            else C if residual <= 0.1
            else U if distance > 0.3 and closest > 0.3
            else B if flags & CLIPPED
            else E if flags & EXTRAPOLATED
            else A
        )  # fmt: skip
        expected.append((x, residual, anchor, status))

    residuals, xs, flags, anchors = zip(*rows, strict=True)
    ranked = rank_residuals(
        residuals, x=xs, flags=flags, anchor=anchors, near=near, distance=distance,
        coverage=0.3, anchors_exact=anchors_exact, trust_residual=trust_residual,
        anchors_x=LATTICE, anchors_y=LATTICE**2,
    )  # fmt: skip
    found = [ranked.x[0, :, 0], ranked.residual[0], ranked.anchor[0], ranked.status[0]]
    for column, wanted in zip(found, zip(*expected, strict=True), strict=True):
        np.testing.assert_array_equal(column, wanted)


# Solve


def test_fewer_solutions_are_the_first_ones():
    pipeline = BACKEND.pipeline(line_spec(forward=SQUARE, twin=constant_twin(0.1)))
    targets = np.linspace(0.0, 9.0, 33)[:, None]
    all_of_them = pipeline.solve(targets, n_neighbors=7, k=7)
    for k in (1, 3):
        some = pipeline.solve(targets, n_neighbors=7, k=k)
        for name in ("x", "residual", "anchor", "status"):
            np.testing.assert_array_equal(getattr(some, name), getattr(all_of_them, name)[:, :k])


def test_solve_is_candidates_then_f_then_rank():
    spec = line_spec(twin=constant_twin(0.1), forward=SQUARE, anchors_exact=True)
    targets = np.array([[1.2], [NAN], [4.0], [50.0]])
    near = np.array([[0.0], [1.0], [2.0], [3.0]])
    solved = BACKEND.pipeline(spec).solve(targets, n_neighbors=4, k=3, near=near)
    split = BACKEND.pipeline(replace(spec, forward=None))
    found = split.candidates(targets, n_neighbors=4)
    ranked = split.rank(targets, found, found.x**2, k=3, near=near)
    for name in ("x", "residual", "anchor", "status"):
        np.testing.assert_array_equal(getattr(solved, name), getattr(ranked, name))
    # y = 1.2 from x = ±1: 1.1 (residual 0.01) beats -1 (0.2), which its anchor has put back.
    np.testing.assert_allclose(solved.x[0, :2, 0], [1.1, -1.0], rtol=1e-15)
    np.testing.assert_allclose(solved.residual[0, :2], [0.01, 0.2], atol=1e-14)
    assert solved.anchor[0, :2].tolist() == [4, 2]
    assert solved.status[0, :2].tolist() == [C, A]


def test_solve_with_a_learned_forward_function():
    one = np.ones(1)
    forward = LearnedForward(  # f(x) = 10 + 2 (3 (x - 1) / 4 + 5) = 18.5 + 1.5 x
        NetworkSpec((1, 1)), np.array([3.0, 5.0]), x_mean=one, x_scale=4 * one, y_mean=10 * one,
        y_scale=2 * one,
    )  # fmt: skip
    pipeline = BACKEND.pipeline(line_spec(forward=forward))
    solved = pipeline.solve(np.array([[4.0]]), n_neighbors=2, k=2)
    np.testing.assert_allclose(solved.x[0, :, 0], [-2.0, 2.0])
    np.testing.assert_allclose(solved.residual[0], [11.5, 17.5], rtol=1e-14)


def test_no_targets():
    solved = BACKEND.pipeline(line_spec(forward=SQUARE)).solve(
        np.empty((0, 1)), n_neighbors=3, k=2, near=np.empty((0, 1))
    )
    assert solved.x.shape == (0, 2, 1)
    assert solved.residual.shape == solved.anchor.shape == solved.status.shape == (0, 2)


def test_inputs_are_left_as_they_were():
    x, flags = np.array([NAN, 8.0]), np.array([1, 2], dtype=np.uint8)
    rank_residuals([5.0, 5.0], x=x, flags=flags, anchor=[4, 4], anchors_exact=True)
    np.testing.assert_array_equal(x, [NAN, 8.0])
    assert flags.tolist() == [1, 2]
