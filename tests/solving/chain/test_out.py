"""Arrays that solutions are written to lie apart in memory, of each other and of the targets."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastinv as fi
from fastinv.backends import Ranked, get_backend
from fastinv.functions import Goal

ARM = fi.problems.two_link_arm
ARRAYS = ("targets", "x", "residual", "anchor", "status")
N, K, P, Q = 6, 2, 2, 2  # q = k, so that targets and residuals may be the same array


@pytest.fixture(scope="module")
def solver():
    return fi.NearestSolver(ARM.forward, bounds=ARM.bounds, n_candidates=K, random_state=0).fit()


def in_pieces(names, offset=0):
    """Result arrays, those of `names` in one piece of memory, each `offset` bytes after the one
    before it, the others in pieces of their own."""
    shapes = dict(zip(ARRAYS, [(N, Q), (N, K, P), (N, K), (N, K), (N, K)], strict=True))
    dtypes = dict(zip(ARRAYS, "dddlb", strict=True))
    memory = np.zeros(4096, dtype=np.uint8)
    arrays, start = [], 0
    for name in ARRAYS:
        size = int(np.prod(shapes[name])) * np.dtype(dtypes[name]).itemsize
        piece = memory[start : start + size] if name in names else np.zeros(size, dtype=np.uint8)
        start += offset * (name in names)
        arrays.append(piece.view(dtypes[name]).reshape(shapes[name]))
    return arrays


PAIRS = [(a, b) for i, a in enumerate(ARRAYS) for b in ARRAYS[i + 1 :]]


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("offset", [0, 8])
def test_solver_refuses_overlapping_arrays(solver, first, second, offset):
    out = fi.Solutions(*in_pieces((first, second), offset))
    with pytest.raises(ValueError, match=rf"out\.{first} and out\.{second} must not overlap"):
        solver.solve(np.ones((N, Q)), out=out)


def test_one_array_in_two_places(solver):
    out = fi.Solutions(*in_pieces(()))
    same = fi.Solutions(out.residual, out.x, out.residual, out.anchor, out.status)
    with pytest.raises(ValueError, match=r"out\.targets and out\.residual must not overlap"):
        solver.solve(np.ones((N, Q)), out=same)


def test_neighbours_in_one_piece_of_memory_are_fine(solver):
    out = fi.Solutions(*in_pieces(ARRAYS, offset=512))
    y = ARM.sample(N, random_state=3)[1]
    expected = solver.solve(y)
    assert solver.solve(y, out=out) is out
    for name in ARRAYS:
        assert_array_equal(getattr(out, name), getattr(expected, name))


def test_targets_may_be_those_of_out(solver):
    y = ARM.sample(N, random_state=3)[1]
    expected = solver.solve(y)
    out = fi.Solutions(*in_pieces(()))
    out.targets[:] = y
    solver.solve(out.targets, near=None, out=out)
    assert_array_equal(out.x, expected.x)


def test_rows_of_a_larger_result(solver):
    y = ARM.sample(N, random_state=3)[1]
    expected, whole = solver.solve(y), solver.solve(np.zeros((2 * N, Q)))
    assert_array_equal(solver.solve(y, out=whole[N:]).x, expected.x)
    assert_array_equal(whole.x[N:], expected.x)


@pytest.mark.parametrize("backend", ["cpp", "reference"])
def test_backends_refuse_what_overlaps_the_targets(solver, backend):
    backend = get_backend(backend)
    anchors = backend.anchors(solver.anchors_x_, solver.anchors_y_)
    pipeline = backend.pipeline(solver.problem_, anchors, None, solver.options_)
    targets, *arrays = in_pieces(("targets", "residual"))
    with pytest.raises(ValueError, match=r"targets and out\.residual must not overlap"):
        pipeline.solve(Goal(targets, 0.1), n_candidates=K, k=K, out=Ranked(*arrays))
