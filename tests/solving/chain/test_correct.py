"""The second link: a step of the twin network, and into the bounds."""

import math

import numpy as np
import pytest
from chains import BACKENDS, REFERENCE, Setup
from parabola import affine_twin, parabola

from fastinv.backends import CandidateFlag, TwinModel
from fastinv.functions import NetworkSpec

CLIPPED, EXTRAPOLATED = CandidateFlag.CLIPPED, CandidateFlag.EXTRAPOLATED
ABOVE_1 = float(np.nextafter(np.float32(1), np.float32(2)))  # networks have float32 weights

by_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())


def corrected(backend, setup, targets, n_candidates):
    pipeline, goal = setup.pipeline(backend), setup.goal(targets)
    return pipeline.correct(goal, pipeline.propose(goal, n_candidates))


@by_backend
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_candidates_follow_the_formula_of_the_twin_network(backend, dtype):
    rng = np.random.default_rng(301)
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
    setup = Setup(anchors_x, anchors_y, None, twin, lower=[-0.5, -0.5], upper=[0.5, np.inf])
    targets = rng.normal(size=(7, q))
    found = corrected(backend, setup, targets, 4)
    network = REFERENCE.network(spec, twin.parameters)
    rounding = 1e-13 if backend is REFERENCE else 3e-6
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
            np.testing.assert_allclose(found.x[row, j], clipped, rtol=rounding, atol=rounding)
            flags = EXTRAPOLATED * (max(abs(output)) > 1.0) + CLIPPED * (clipped != free.tolist())
            assert found.flags[row, j] == flags
    assert set(found.flags.ravel()) == {0, 1, 2, 3}  # every combination has been seen


@by_backend
def test_without_a_twin_the_anchors_are_the_candidates(backend):
    found = corrected(backend, parabola(), [[1.1], [9.0]], 3)
    assert found.anchor.tolist() == [[2, 4, 3], [0, 6, 1]]  # ties to the lowest index
    assert found.x[:, :, 0].tolist() == [[-1.0, 1.0, 0.0], [-3.0, 3.0, -2.0]]
    np.testing.assert_allclose(found.anchor_distance, [0.1, 0.0], atol=1e-15)
    assert not found.flags.any()


@by_backend
def test_without_a_twin_anchors_are_moved_into_the_bounds(backend):
    found = corrected(backend, parabola(lower=-2.0, upper=2.5), [[9.0]], 3)
    assert found.anchor.tolist() == [[0, 6, 1]]
    assert found.x[:, :, 0].tolist() == [[-2.0, 2.5, -2.0]]
    assert found.flags.tolist() == [[CLIPPED, CLIPPED, 0]]


@by_backend
@pytest.mark.parametrize(
    ("output", "flag"), [(1.0, 0), (-1.0, 0), (ABOVE_1, EXTRAPOLATED), (-2.0, EXTRAPOLATED)]
)
def test_extrapolation_begins_beyond_the_reach(backend, output, flag):
    setup = parabola(twin=affine_twin(bias=output, reach=1.0))
    assert corrected(backend, setup, [[0.0]], 1).flags.item() == flag


@by_backend
@pytest.mark.parametrize(
    ("output", "x", "flag"), [(0.5, 0.5, 0), (0.6, 0.5, CLIPPED), (-9.0, -0.5, CLIPPED)]
)
def test_clipping_begins_beyond_the_bounds(backend, output, x, flag):
    setup = parabola(twin=affine_twin(bias=output), lower=-0.5, upper=0.5)
    found = corrected(backend, setup, [[0.0]], 1)
    assert (found.x.item(), found.flags.item()) == (x, flag)


@by_backend
@pytest.mark.parametrize("period", [np.inf, 1.0])
def test_a_period_does_not_keep_a_step_from_being_clipped(backend, period):
    """Steps of a network are no rotation: they end at the bounds of cyclic inputs, too."""
    setup = parabola(twin=affine_twin(bias=0.6), lower=-0.5, upper=0.5, periods=period)
    found = corrected(backend, setup, [[0.0]], 1)
    assert (found.x.item(), found.flags.item()) == (0.5, CLIPPED)
