"""What ranking says of each solution: its status."""

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


def test_residuals_whose_squares_overflow(backend):
    far = np.array([[3e200, 4e200], [3.0, 4.0]])
    np.testing.assert_allclose(
        distance_in_y(far, np.zeros(2), np.ones(2)), [5e200, 5.0], rtol=1e-15
    )
    halves = distance_in_y(far, np.zeros(2), np.array([0.5, 1.0]))
    np.testing.assert_allclose(halves, [np.hypot(1.5, 4) * 1e200, np.hypot(1.5, 4)], rtol=1e-15)
    ranked = rank_residuals(backend, [3e200])
    assert ranked.residual.item() == 3e200


def test_inputs_are_left_as_they_were(backend):
    x, flags = np.array([NAN, 8.0]), np.array([1, 2], dtype=np.uint8)
    rank_residuals(backend, [5.0, 5.0], x=x, flags=flags, anchor=[4, 4], anchors_exact=True)
    np.testing.assert_array_equal(x, [NAN, 8.0])
    assert flags.tolist() == [1, 2]
