"""The search for all solutions of the reference, rule by rule, and the compiled one against it."""

from dataclasses import replace

import numpy as np
import pytest
from fastinv.backends.reference.region import Region

import fastinv as fi
from fastinv import _core
from fastinv.backends import get_backend
from fastinv.backends.protocol import PipelineSpec, RefineSpec
from fastinv.solutions import Status

REFERENCE = get_backend("reference")
CPP = {isa: get_backend("cpp", isa=isa) for isa in _core.isas()}
BACKENDS = {"reference": REFERENCE, **CPP}
INF, NAN = np.inf, np.nan
C, A, U, I = Status.CONVERGED, Status.APPROXIMATE, Status.UNREACHABLE, Status.INVALID  # noqa: E741


@fi.forward(n_inputs=1, n_outputs=1)
def square(x, y):
    y[0] = x[0] ** 2


@fi.forward(n_inputs=1, n_outputs=2)
def circle(x, y):
    y[0] = np.cos(x[0])
    y[1] = np.sin(x[0])


@fi.forward(n_inputs=2, n_outputs=2)
def elbow(x, y):
    """A planar arm: two solutions inside its reach, none outside."""
    y[0] = np.cos(x[0]) + 0.7 * np.cos(x[0] + x[1])
    y[1] = np.sin(x[0]) + 0.7 * np.sin(x[0] + x[1])


def make_spec(f, bounds, *, cap=400, period=INF, n_anchors=80, **changes):
    p = f.n_inputs
    lower, upper = np.full(p, bounds[0]), np.full(p, bounds[1])
    anchors_x = np.random.default_rng(70).uniform(lower, upper, size=(n_anchors, p))
    spec = PipelineSpec(
        anchors_x, f(anchors_x).reshape(n_anchors, -1), None, f.address, lower, upper, tol=1e-9,
        coverage=INF, x_spread=np.ones(p), refine=RefineSpec(None, cap, np.full(p, period), 1e-6),
    )  # fmt: skip
    return replace(spec, **changes)


def solve_all(backend, spec, targets, *, k=4, n_starts=80, tol=1e-9):
    targets = np.asarray(targets, dtype=float).reshape(-1, spec.anchors_y.shape[1])
    return backend.search(spec).solve_all(targets, k=k, n_starts=n_starts, tol=tol)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_solution_once_in_order_and_the_padding(name):
    spec = make_spec(square, (-2.0, 3.0))
    targets = [[1.0], [-1.0], [6.25], [9.5], [NAN], [0.0]]
    found, count = solve_all(BACKENDS[name], spec, targets, k=3)
    assert count.tolist()[:5] == [2, 0, 1, 0, 0]
    np.testing.assert_allclose(
        found.x[:5, :, 0],
        [[-1, 1, NAN], [0, NAN, NAN], [2.5, NAN, NAN], [3, NAN, NAN], [NAN] * 3], atol=1e-5,
    )  # fmt: skip
    np.testing.assert_allclose(
        found.residual[:5],
        [[0, 0, INF], [1, INF, INF], [0, INF, INF], [0.5, INF, INF], [INF] * 3], atol=1e-9,
    )  # fmt: skip
    assert found.status[:5].tolist() == [[C, C, I], [U, I, I], [C, I, I], [U, I, I], [I, I, I]]
    assert ((found.anchor >= 0) == np.isfinite(found.residual)).all()
    assert abs(found.x[5, 0, 0]) < 1e-4  # a double root


@pytest.mark.parametrize("name", BACKENDS)
def test_no_more_than_k(name):
    spec = make_spec(square, (-2.0, 3.0))
    found, count = solve_all(BACKENDS[name], spec, [[1.0]], k=1)
    assert count.tolist() == [1]
    assert abs(found.x[0, 0, 0]) == pytest.approx(1.0)


@pytest.mark.parametrize("name", BACKENDS)
def test_what_the_cap_cut_short_is_approximate(name):
    spec = make_spec(square, (-2.0, 3.0), cap=1)
    found, count = solve_all(BACKENDS[name], spec, [[1.2345]])
    assert count.tolist() == [0]
    assert found.status[0].tolist() == [A, I, I, I]


@pytest.mark.parametrize("name", BACKENDS)
def test_solutions_are_one_modulo_the_period(name):
    """With bounds of two turns each angle is there once where the period is known, else twice."""
    spec = make_spec(circle, (-2 * np.pi, 2 * np.pi))
    targets = [[np.cos(3.0), np.sin(3.0)]]
    found, count = solve_all(BACKENDS[name], spec, targets)
    assert count.tolist() == [2]
    np.testing.assert_allclose(found.x[0, :2, 0], [3.0 - 2 * np.pi, 3.0], atol=1e-12)
    spec = make_spec(circle, (-2 * np.pi, 2 * np.pi), period=2 * np.pi)
    found, count = solve_all(BACKENDS[name], spec, targets)
    assert count.tolist() == [1]
    assert found.x[0, 0, 0] == pytest.approx(3.0, abs=1e-12)


@pytest.fixture(scope="module")
def elbow_oracle():
    """What the reference finds for 33 targets, the first four likely out of reach."""
    spec = make_spec(elbow, (-np.pi, np.pi), period=2 * np.pi, n_anchors=30)
    targets = elbow(np.random.default_rng(71).uniform(-3, 3, size=(33, 2)))
    targets[:4] *= 3.0
    found, count = solve_all(REFERENCE, spec, targets)
    assert set(count) == {0, 2}
    return spec, targets, found, count


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("n", [0, 1, 7, 33])
def test_the_compiled_search_finds_what_the_reference_does(elbow_oracle, isa, n):
    spec, targets, exact, exact_count = elbow_oracle
    found, count = solve_all(CPP[isa], spec, targets[:n], n_starts=24)
    assert count.tolist() == exact_count[:n].tolist()
    np.testing.assert_array_equal(found.status, exact.status[:n])
    np.testing.assert_allclose(found.x, exact.x[:n], atol=1e-6)
    np.testing.assert_allclose(found.residual, exact.residual[:n], atol=1e-12)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_path_keeps_to_its_branch(name):
    spec = make_spec(elbow, (-np.pi, np.pi), period=2 * np.pi)
    angles = np.stack([np.linspace(-2, 8, 50), np.full(50, 1.0)], axis=1)  # more than one turn
    targets = elbow(angles)
    targets[20] = NAN
    path = BACKENDS[name].search(spec).solve_path(targets, angles[0], n_starts=24, tol=1e-9)
    usable = np.arange(50) != 20
    assert (path.status[usable] == C).all()
    assert path.status[20] == I
    assert np.isnan(path.x[20]).all()
    assert not path.jumped.any()
    turns = np.round((path.x - angles) / (2 * np.pi))
    np.testing.assert_allclose((path.x - 2 * np.pi * turns)[usable], angles[usable], atol=1e-9)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_path_jumps_where_its_branch_ends(name):
    """x = -sqrt(y) leaves the bounds at y = 1; the other branch goes on; at y = 9 all ends."""
    spec = make_spec(square, (-1.0, 3.0))
    targets = np.array([[0.25], [0.81], [1.21], [1.44], [9.61], [0.25]])
    path = BACKENDS[name].search(spec).solve_path(targets, np.array([-0.4]), n_starts=24, tol=1e-9)
    assert path.jumped.tolist() == [False, False, True, False, False, False]
    assert path.status.tolist() == [C, C, C, C, U, C]
    np.testing.assert_allclose(path.x[:, 0], [-0.5, -0.9, 1.1, 1.2, 1.2, 0.5], atol=1e-12)
    np.testing.assert_allclose(path.residual, [0, 0, 0, 0, 9.61 - 1.44, 0], atol=1e-12)


def test_regions():
    spec = make_spec(elbow, (0.0, 4.0), period=3.0)
    spec = replace(spec, upper=np.array([4.0, 2.0]), x_spread=np.array([0.5, 1.0]))
    region = Region(spec)  # the first coordinate is free, the second is bounded, both repeat
    assert region.lower.tolist() == [-INF, 0.0]
    assert region.wrap(np.array([5.0, 5.0])).tolist() == [2.0, 5.0]
    assert region.distance(np.array([0.25, 0.0]), np.array([2.75, 0.0])) == 1.0
    assert region.distance(np.array([0.0, 0.0]), np.array([0.0, 2.0])) == 1.0
    assert region.touches(np.array([9.0, 2.0]))
    assert not region.touches(np.array([4.0, 1.0]))
    assert region.contains(np.array([4.0, 2.0]))
    assert not region.contains(np.array([4.5, 1.0]))
