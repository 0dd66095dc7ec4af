"""The native chain as a whole: against the reference, and the same bits for every batch and number
of threads."""

import threading

import numpy as np
import pytest
from chains import BACKENDS, CPP, REFERENCE, assert_same_bits, random_setup, surface, targets_near
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinv as fi
from fastinv import _core
from fastinv.backends import get_backend
from fastinv.functions import ACTIVATIONS


def assert_alike(found, exact):
    """Equal but for the rounding of a float32 network; ranks may swap where keys almost tie."""
    same = (found.anchor == exact.anchor).all(axis=1)
    # Passes can lead several anchors to one solution.
    tied = (exact.residual[:, 1:] - 1e-4 < exact.residual[:, :-1]).any(axis=1)
    assert np.sum(~same & ~tied) <= 1 + 0.1 * len(same)
    np.testing.assert_allclose(found.x[same], exact.x[same], rtol=0, atol=2e-5)
    np.testing.assert_allclose(found.residual, exact.residual, rtol=1e-3, atol=1e-4)
    assert (found.status[same] == exact.status[same]).mean() > 0.97


@settings(max_examples=60, deadline=None)
@given(
    isa=st.sampled_from(_core.isas()),
    shape=st.sampled_from([(2, 3), (1, 1), (3, 2), (1, 7)]),
    with_twin=st.booleans(),
    learned=st.booleans(),
    activation=st.sampled_from(ACTIVATIONS),
    n=st.sampled_from([0, 1, 7, 33]),
    n_candidates=st.sampled_from([1, 5, 60]),
    n_passes=st.integers(1, 3),
    with_near=st.booleans(),
    seed=st.integers(0, 50),
)
def test_against_the_reference(
    isa, shape, with_twin, learned, activation, n, n_candidates, n_passes, with_near, seed
):
    p, q = shape
    setup = random_setup(
        seed, p, q, with_twin=with_twin, learned=learned, activation=activation, n_passes=n_passes
    )
    targets = targets_near(setup, n, seed)
    near = np.random.default_rng([42, seed]).normal(size=(n, p)) if with_near else None
    k = min(n_candidates, 3)
    call = {"n_candidates": n_candidates, "k": k, "near": near}
    found = setup.solve(CPP[isa], targets, **call, n_threads=2)
    exact = setup.solve(REFERENCE, targets, **call)
    assert found.x.shape == (n, k, p)
    if n:
        assert_alike(found, exact)


@pytest.mark.parametrize("isa", _core.isas())
def test_lookup_has_the_bits_of_the_reference(isa):
    """Without networks all is float64, and nothing may differ at all."""
    setup = random_setup(with_twin=False)
    targets = targets_near(setup, 200)
    found = setup.solve(CPP[isa], targets, n_candidates=9, k=4)
    exact = setup.solve(REFERENCE, targets, n_candidates=9, k=4)
    for field in ("x", "anchor", "status"):
        np.testing.assert_array_equal(getattr(found, field), getattr(exact, field))
    np.testing.assert_allclose(found.residual, exact.residual, rtol=1e-15)


BITS = {
    "lookup": lambda learned: random_setup(learned=learned, with_twin=False),
    "twin": lambda learned: random_setup(learned=learned),
    "passes": lambda learned: random_setup(learned=learned, n_passes=3),
    "polish": lambda learned: random_setup(
        learned=learned, polish=True, max_evaluations=30, branch_distance=0.3
    ),
}


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("n_candidates", [1, 5, 33])
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("kind", BITS)
def test_same_bits_for_every_batch_and_number_of_threads(kind, name, n_candidates, learned):
    setup = BITS[kind](learned)
    targets = targets_near(setup, 150)
    pipeline = setup.pipeline(BACKENDS[name])
    call = {"n_candidates": n_candidates, "k": min(n_candidates, 4)}
    whole = pipeline.solve(setup.goal(targets), **call)
    for n_threads in (2, 3):
        assert_same_bits(pipeline.solve(setup.goal(targets), **call, n_threads=n_threads), whole)
    for start, n in ((0, 1), (3, 7), (50, 33), (149, 1)):
        rows = slice(start, start + n)
        assert_same_bits(pipeline.solve(setup.goal(targets[rows]), **call), whole, rows)


@pytest.mark.parametrize("learned", [False, True])
def test_eight_threads_at_once_give_the_answers_of_one(learned):
    setup = random_setup(learned=learned)
    pipeline = setup.pipeline(get_backend("cpp"))
    goals = [setup.goal(targets_near(setup, 64, seed)) for seed in range(8)]
    expected = [pipeline.solve(goal, n_candidates=7, k=5) for goal in goals]
    found = [[] for _ in goals]
    together = threading.Barrier(8)

    def work(i):
        together.wait()
        for repeat in range(30):
            found[i].append(pipeline.solve(goals[i], n_candidates=7, k=5, n_threads=1 + repeat % 2))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answers, right in zip(found, expected, strict=True):
        assert len(answers) == 30
        for answer in answers:
            assert_same_bits(answer, right)


def test_residuals_are_those_of_f():
    setup = random_setup()
    targets = setup.anchors_y + 0.05
    found = setup.solve(get_backend("cpp"), targets, n_candidates=5, k=5)
    images = surface(found.x.reshape(-1, 2)).reshape(*found.x.shape[:2], 3)
    again = np.linalg.norm(images - targets[:, None], axis=2)
    np.testing.assert_allclose(found.residual, again, rtol=1e-14)
    assert (np.diff(found.residual, axis=1) >= 0).all()
    assert ((found.residual <= setup.tol) == (found.status == fi.Status.CONVERGED)).all()


@pytest.mark.parametrize("huge", [1e30, 1e200, -1e300])
@pytest.mark.parametrize("exact", [True, False])
def test_huge_targets_are_unreachable_not_invalid(huge, exact):
    setup = random_setup(anchors_exact=exact)
    targets = np.vstack([setup.anchors_y[:3], np.full((1, 3), huge)])
    for backend in (REFERENCE, get_backend("cpp")):
        found = setup.solve(backend, targets, n_candidates=4, k=4)
        assert (found.status[3] == fi.Status.UNREACHABLE).all()
        assert np.isfinite(found.x[3]).all()
        assert np.isfinite(found.residual[3]).all()
