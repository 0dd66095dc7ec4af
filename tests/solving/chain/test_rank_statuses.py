"""What ranking says of each solution: statuses, and anchors in place of worse candidates."""

from __future__ import annotations

import numpy as np
import pytest
from chains import BACKENDS
from parabola import rank_residuals

from fastinv.backends import CandidateFlag
from fastinv.backends.distances import distance as distance_in_y
from fastinv.functions import Status

C, A, E, B, U, I = (  # noqa: E741
    Status.CONVERGED, Status.APPROXIMATE, Status.EXTRAPOLATED,
    Status.OUT_OF_BOUNDS, Status.UNREACHABLE, Status.INVALID,
)  # fmt: skip
NAN, INF = np.nan, np.inf
CLIPPED, EXTRAPOLATED = CandidateFlag.CLIPPED, CandidateFlag.EXTRAPOLATED

pytestmark = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())


@pytest.mark.parametrize(
    ("residual", "flags", "distance", "expected"),
    [
        (0.0, 0, 0.0, C),
        (0.1, 0, 0.0, C),  # tol itself
        (np.nextafter(0.1, 1.0), 0, 0.0, A),
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
def test_the_first_status_that_holds(backend, residual, flags, distance, expected):
    ranked = rank_residuals(backend, [residual], flags=[flags], distance=distance, coverage=1.0)
    assert ranked.status.item() == expected
    assert ranked.residual.item() == pytest.approx(INF if expected == I else residual)
    assert ranked.status.dtype == np.int8


def test_unreachable_looks_at_all_candidates_of_the_row(backend):
    reached = rank_residuals(backend, [5.0, 0.5], distance=9.0, coverage=1.0, k=2)
    assert reached.status.tolist() == [[A, A]]
    beyond = rank_residuals(backend, [5.0, 6.0, NAN], distance=9.0, coverage=1.0)
    assert beyond.status.tolist() == [[U, U, I]]
    # One that is ranked last is not returned, and counts.
    hidden = rank_residuals(backend, [5.0, 0.5], flags=[0, EXTRAPOLATED], trust_residual=False,
                            k=1, distance=9.0, coverage=1.0)  # fmt: skip
    assert hidden.residual.tolist() == [[5.0]]
    assert hidden.status.tolist() == [[A]]


def test_an_x_that_is_not_finite_is_invalid_whatever_its_image(backend):
    ranked = rank_residuals(backend, [0.0, 5.0, 0.0], x=[NAN, 1.0, -INF])
    assert ranked.status.tolist() == [[A, I, I]]
    assert ranked.residual.tolist() == [[5.0, INF, INF]]
    assert ranked.anchor.tolist() == [[1, 0, 2]]
    np.testing.assert_array_equal(ranked.x[0, 1:, 0], [NAN, -INF])


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_target_that_is_not_finite_is_invalid(backend, bad):
    ranked = rank_residuals(backend, [0.0, 1.0], target=bad, anchors_exact=True, near=0.0)
    assert np.isnan(ranked.x).all()
    assert ranked.residual.tolist() == [[INF, INF]]
    assert ranked.anchor.tolist() == [[-1, -1]]
    assert ranked.status.tolist() == [[I, I]]


# Replacement by the anchor


def test_a_candidate_worse_than_its_anchor_is_replaced_by_it(backend):
    # The target is 0; anchor 2 is x = -1 and anchor 4 is x = 1, both with residual 1.
    ranked = rank_residuals(
        backend,
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


def test_an_x_that_is_not_finite_is_replaced_whatever_its_image(backend):
    ranked = rank_residuals(backend, [0.0], x=[NAN], anchor=[4], anchors_exact=True)
    assert (ranked.x.item(), ranked.residual.item(), ranked.status.item()) == (1.0, 1.0, A)


def test_noisy_anchors_replace_nothing(backend):
    ranked = rank_residuals(backend, [1.5, NAN], x=[-0.9, 8.0], anchor=[2, 4])
    assert ranked.x[0, :, 0].tolist() == [-0.9, 8.0]
    assert ranked.status.tolist() == [[A, I]]


def test_an_anchor_too_far_to_measure_replaces_nothing(backend):
    call = {"x": [8.0], "anchor": [4], "target": 1e308, "anchors_exact": True}
    ranked = rank_residuals(backend, [NAN], **call)
    assert (ranked.x.item(), ranked.residual.item(), ranked.status.item()) == (1.0, 1e308, A)
    ranked = rank_residuals(backend, [NAN], **call, anchors_y=np.full((7, 1), -1e308))
    assert (ranked.x.item(), ranked.residual.item(), ranked.status.item()) == (8.0, INF, I)


def test_replacement_counts_in_the_reach_of_the_row(backend):
    ranked = rank_residuals(
        backend, [5.0], anchor=[4], anchors_exact=True, distance=1.5, coverage=1.0
    )
    assert ranked.status.item() == A  # the anchor's residual, 1, is within the coverage


def test_residuals_whose_squares_overflow(backend):
    far = np.array([[3e200, 4e200], [3.0, 4.0]])
    np.testing.assert_allclose(distance_in_y(far, np.zeros(2)), [5e200, 5.0], rtol=1e-15)
    ranked = rank_residuals(backend, [3e200])
    assert ranked.residual.item() == 3e200


def test_inputs_are_left_as_they_were(backend):
    x, flags = np.array([NAN, 8.0]), np.array([1, 2], dtype=np.uint8)
    rank_residuals(backend, [5.0, 5.0], x=x, flags=flags, anchor=[4, 4], anchors_exact=True)
    np.testing.assert_array_equal(x, [NAN, 8.0])
    assert flags.tolist() == [1, 2]
