"""Several passes of the twin network: each candidate with its image is the next one's anchor."""

from dataclasses import replace

import numpy as np
import pytest
from chains import BACKENDS, Setup
from parabola import affine_twin

import fastinv as fi

by_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())


@fi.forward(n_inputs=1, n_outputs=1)
def root(x, y):
    y[0] = np.sqrt(x[0])


@fi.forward(n_inputs=1, n_outputs=1)
def line(x, y):
    y[0] = x[0]


def half_step(reach=10.0):
    """A network that takes half of the step that y = x asks for, and nothing else."""
    return affine_twin((0.5, 0.0, 0.0), reach=reach)


@by_backend
@pytest.mark.parametrize("n_passes", [1, 2, 3, 7])
def test_each_pass_starts_where_the_one_before_ended(backend, n_passes):
    anchors = np.array([[0.0], [3.0]])
    setup = Setup(anchors, anchors, line, half_step(), lower=-9.0, upper=9.0, tol=1e-9,
                  n_passes=n_passes)  # fmt: skip
    ranked = setup.solve(backend, [[1.0], [np.nan]], n_candidates=2, k=2)
    np.testing.assert_allclose(ranked.x[0].ravel(), [1 - 0.5**n_passes, 1 + 2 * 0.5**n_passes])
    assert np.isnan(ranked.x[1]).all()
    assert (ranked.status[1] == fi.Status.INVALID).all()


@by_backend
def test_a_pass_that_comes_no_closer_or_has_no_image_changes_nothing(backend):
    """The step overshoots for a root, or leads to where it is not a number."""
    anchors = np.array([[0.25], [4.0]])
    setup = Setup(anchors, np.sqrt(anchors), root, half_step(reach=0.1), lower=-9.0, upper=9.0,
                  tol=1e-9, anchors_exact=False)  # fmt: skip
    targets = np.array([[1.0], [-1.0], [-9.0]])
    once = setup.solve(backend, targets, n_candidates=2, k=2)
    more = replace(setup, n_passes=4).solve(backend, targets, n_candidates=2, k=2)
    assert (np.sort(more.residual) <= np.sort(once.residual)).all()
    assert np.isinf(more.residual[2]).any() == np.isinf(once.residual[2]).any()
    images = np.sqrt(np.where(more.x[:, :, 0] >= 0, more.x[:, :, 0], np.nan))
    residual = np.abs(images - targets)
    np.testing.assert_allclose(more.residual, np.where(np.isnan(residual), np.inf, residual))


@fi.forward(n_inputs=1, n_outputs=1)
def double(x, y):
    y[0] = 2.0 * x[0]


@fi.forward(n_inputs=1, n_outputs=1)
def with_holes(x, y):
    y[0] = np.inf if x[0] == 3.0 else -np.inf if x[0] == 5.0 else np.nan if x[0] == 7.0 else x[0]


def from_one_anchor(backend, forward, twin, anchor, target, *, bound=99.0, n_passes=2):
    """x, residual and status of what the passes make of one anchor, of which f is not exact."""
    anchors = np.array([[anchor]])
    images = np.full((1, 1), 2.0 * anchor) if forward is double else anchors
    setup = Setup(anchors, images, forward, twin, lower=-bound, upper=bound, tol=1e-9,
                  anchors_exact=False, n_passes=n_passes)  # fmt: skip
    found = setup.solve(backend, [[target]], n_candidates=1, k=1)
    return found.x.item(), found.residual.item(), fi.Status(found.status.item())


@by_backend
@pytest.mark.parametrize(
    ("weights", "bias", "n_passes", "x"),
    [
        ((0.0, 1.0, 0.0), 0.0, 2, 9.0),  # 1 + f(1) = 3, 3 + f(3) = 9
        ((0.0, 1.0, 0.0), 0.0, 3, 27.0),
        ((0.0, 0.0, 1.0), 0.0, 2, 4.0),
        ((0.0, 0.0, 1.0), 0.0, 3, 8.0),
        ((0.25, 0.0, 0.0), 0.0, 2, 45.25),  # 1 + 29.5 = 30.5, 30.5 + 14.75
    ],
)
def test_a_further_pass_sees_the_candidate_and_its_image(backend, weights, bias, n_passes, x):
    """Not the anchor, nor the anchor's image."""
    twin = affine_twin(weights, bias, reach=1e3)
    found, residual, _ = from_one_anchor(backend, double, twin, 1.0, 120.0, n_passes=n_passes)
    assert found == x
    assert residual == abs(2 * x - 120.0)


@by_backend
@pytest.mark.parametrize(
    ("weights", "bias", "target", "bound", "reach", "x", "status"),
    [
        # The second step is left out, for it leads away: 1.5 -> 0, after the first was clipped, …
        ((3.0, 0.0, 0.0), 0.0, 1.0, 1.5, 9.0, 1.5, fi.Status.OUT_OF_BOUNDS),
        # … or 1 -> 1.5, clipped itself, at either bound, …
        ((0.0, 0.0, 0.0), 1.0, 1.2, 1.5, 9.0, 1.0, fi.Status.APPROXIMATE),
        ((0.0, 0.0, 0.0), -1.0, -1.2, 1.5, 9.0, -1.0, fi.Status.APPROXIMATE),
        # … or 3 -> -3, beyond the reach, …
        ((3.0, 0.0, 0.0), 0.0, 1.0, 99.0, 4.0, 3.0, fi.Status.APPROXIMATE),
        # … or 2 -> 2.5, in reach, after the first was not, …
        ((0.0, 0.0, -0.75), 2.0, 1.75, 99.0, 1.0, 2.0, fi.Status.EXTRAPOLATED),
        # … or no nearer: 2 -> 0.
        ((2.0, 0.0, 0.0), 0.0, 1.0, 99.0, 9.0, 2.0, fi.Status.APPROXIMATE),
        # It is taken, and its flags with it.
        ((1.5, 0.0, 0.0), 0.0, 1.25, 1.5, 9.0, 1.125, fi.Status.APPROXIMATE),
        ((0.0, 0.0, 0.0), 1.0, 5.0, 1.5, 9.0, 1.5, fi.Status.OUT_OF_BOUNDS),
        ((0.0, 0.0, 0.0), -1.0, -5.0, 1.5, 9.0, -1.5, fi.Status.OUT_OF_BOUNDS),
        ((0.0, 0.0, 1.0), 1.0, 5.0, 99.0, 1.5, 3.0, fi.Status.EXTRAPOLATED),
        ((0.5, 0.0, 0.0), 0.0, 4.0, 99.0, 1.5, 3.0, fi.Status.APPROXIMATE),
        ((0.0, 0.0, 0.0), 1.0, 5.0, 99.0, 1.0, 2.0, fi.Status.APPROXIMATE),  # just in reach
        ((0.0, 0.0, 0.0), 1.0, 5.0, 2.0, 9.0, 2.0, fi.Status.APPROXIMATE),  # just inside
    ],
)
def test_flags_are_those_of_the_step_that_was_taken_last(
    backend, weights, bias, target, bound, reach, x, status
):
    twin = affine_twin(weights, bias, reach)
    found = from_one_anchor(backend, line, twin, 0.0, target, bound=bound)
    assert found == (x, abs(x - target), status)


@by_backend
@pytest.mark.parametrize("hole", [3.0, 5.0, 7.0])
@pytest.mark.parametrize("n_passes", [2, 4])
def test_no_pass_starts_from_an_image_that_is_not_finite(backend, hole, n_passes):
    """The step does not depend on where it starts, and would lead out of the hole."""
    twin = affine_twin((0.0, 0.0, 0.0), 1.0, reach=9.0)
    found = from_one_anchor(backend, with_holes, twin, hole - 1, 20.0, n_passes=n_passes)
    assert found == (hole, np.inf, fi.Status.INVALID)
    # Nor does one end there.
    before = from_one_anchor(backend, with_holes, twin, hole - 2, 20.0, n_passes=n_passes)
    assert before == (hole - 1, 21.0 - hole, fi.Status.APPROXIMATE)
