"""The fourth link: candidates, polished, and what ranking then makes of them."""

from dataclasses import replace

import numpy as np
import pytest
from chains import BACKENDS, CPP, REFERENCE, folded, polished_setup, random_setup
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinv as fi
from fastinv import _core
from fastinv.functions import NetworkSpec


def assert_same_solutions(found, exact, tol):
    """Each converged solution of one is one of the other, row by row."""
    for row in range(len(found.x)):
        x = found.x[row][found.residual[row] <= tol]
        other = exact.x[row][exact.residual[row] <= tol]
        distances = np.linalg.norm(x[:, None] - other, axis=2)
        assert (len(x) == 0) == (len(other) == 0)
        assert (distances.min(axis=0, initial=np.inf) <= 1e-7).all()
        assert (distances.min(axis=1, initial=np.inf) <= 1e-7).all()


@settings(max_examples=30, deadline=None)
@given(
    isa=st.sampled_from(_core.isas()),
    with_twin=st.booleans(),
    branch_distance=st.sampled_from([0.0, 0.4, 100.0]),
    pool_factor=st.sampled_from([1, 3, 1000]),
    cap=st.sampled_from([5, 400]),
    n=st.sampled_from([0, 1, 7, 33]),
    n_candidates=st.sampled_from([1, 5, 33]),
    with_near=st.booleans(),
    exact=st.booleans(),
    seed=st.integers(0, 50),
)
def test_against_the_reference(
    isa, with_twin, branch_distance, pool_factor, cap, n, n_candidates, with_near, exact, seed
):
    setup = polished_setup(
        seed, twin=random_setup(seed, 2, 2).twin if with_twin else None, anchors_exact=exact,
        branch_distance=branch_distance, pool_factor=pool_factor, max_evaluations=cap,
    )  # fmt: skip
    rng = np.random.default_rng([44, seed])
    targets = folded(rng.uniform(-1.1, 1.1, size=(n, 2))).reshape(n, 2)
    targets[rng.random(n) < 0.1] = np.nan
    near = rng.normal(size=(n, 2)) if with_near else None
    call = {"n_candidates": n_candidates, "k": n_candidates, "near": near}
    found = setup.solve(CPP[isa], targets, **call, n_threads=2)
    exact = setup.solve(REFERENCE, targets, **call)
    if cap < 400 and with_twin:
        return  # a float32 network's start, which is not polished to its end
    converged = found.residual <= setup.tol
    np.testing.assert_array_equal(converged.sum(axis=1), (exact.residual <= setup.tol).sum(axis=1))
    np.testing.assert_allclose(
        np.sort(found.residual, axis=1), np.sort(exact.residual, axis=1), rtol=1e-6, atol=1e-9
    )
    assert_same_solutions(found, exact, setup.tol)


@pytest.mark.parametrize("name", BACKENDS)
def test_polish_finds_every_branch_and_puts_duplicates_last(name):
    truth = np.random.default_rng(45).uniform(0.3, 0.9, size=(33, 2))
    found = polished_setup().solve(BACKENDS[name], folded(truth), n_candidates=16, k=16)
    assert (found.residual < 1e-14).all()
    assert (found.status == fi.Status.CONVERGED).all()
    signs = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    for row in range(33):
        first = found.x[row, :4]
        order = np.lexsort(np.sign(first).T[::-1])
        np.testing.assert_allclose(first[order], signs * truth[row], atol=1e-7)
        # What is exact to rounding is sorted by coordinates. Copies come behind.
        assert order.tolist() == [0, 1, 2, 3]
        copies = np.linalg.norm(found.x[row, 4:, None] - first, axis=2)
        assert (copies.min(axis=1) <= 1e-6).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_polish_from_the_exact_anchor_where_the_network_is_worse(name):
    """The twin throws every candidate to a corner; the anchors' own basins must win."""
    net = NetworkSpec((6, 2), "tanh")
    parameters = np.zeros(net.n_parameters, dtype=np.float32)
    parameters[-2:] = 5.0
    twin = replace(random_setup(0, 2, 2).twin, spec=net, parameters=parameters)
    setup, backend = polished_setup(twin=twin), BACKENDS[name]
    targets = folded(np.array([[-0.5, -0.6], [0.5, -0.7]]))
    found = setup.solve(backend, targets, n_candidates=16, k=4)
    plain = polished_setup().solve(backend, targets, n_candidates=16, k=4)
    assert_same_solutions(found, plain, setup.tol)
    corner = replace(setup, anchors_exact=False).solve(backend, targets, n_candidates=16, k=1)
    assert (corner.x > 0).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_polished_solution_on_a_bound_is_out_of_bounds_unless_it_solves(name):
    setup = polished_setup(coverage=np.inf)
    targets = folded(np.array([[1.3, 0.5], [1.0, 1.0]]))  # outside, and in a corner
    found = setup.solve(BACKENDS[name], targets, n_candidates=16, k=16)
    on_bound = (np.abs(found.x) == 1.0).any(axis=2)
    status = np.where(on_bound[0], fi.Status.OUT_OF_BOUNDS, fi.Status.APPROXIMATE)
    assert on_bound[0].any()
    np.testing.assert_array_equal(found.status[0], status)
    assert (found.status[1][found.residual[1] < 1e-9] == fi.Status.CONVERGED).all()
    assert (found.residual[1] < 1e-9).any()
