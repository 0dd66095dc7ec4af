"""Anchors: the nearest of them, on every backend, against brute force and a KD-tree."""

import numpy as np
import pytest
from chains import BACKENDS, CPP, REFERENCE, polished_setup
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinv as fi
from fastinv import _core
from fastinv.backends import get_backend

by_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())


def random_anchors(seed, n, p, q, n_distinct):
    """`n` anchors, of whose images only some are distinct: the others tie."""
    rng = np.random.default_rng([65, seed])
    images = rng.normal(size=(n_distinct, q))[rng.integers(n_distinct, size=n)]
    return rng.normal(size=(n, p)), images


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(list(BACKENDS)),
    n=st.sampled_from([1, 7, 33, 300]),
    q=st.sampled_from([1, 2, 7]),
    n_targets=st.sampled_from([0, 1, 7, 33]),
    k=st.sampled_from([1, 5, 33]),
    ties=st.booleans(),
    seed=st.integers(0, 100),
)
def test_nearest_against_brute_force_and_a_tree(name, n, q, n_targets, k, ties, seed):
    x, y = random_anchors(seed, n, 2, q, n_distinct=5 if ties else n)
    k = min(k, n)
    anchors = BACKENDS[name].anchors(x, y)
    rng = np.random.default_rng([66, seed])
    targets = y[rng.integers(n, size=n_targets)] + rng.choice([0.0, 0.5], size=(n_targets, q))
    distances, indices = anchors.nearest(targets, k)
    assert (distances.shape, indices.shape) == ((n_targets, k), (n_targets, k))
    assert (distances.dtype, indices.dtype) == (np.float64, np.int64)
    for target, row, found in zip(targets, distances, indices, strict=True):
        exact = np.sqrt(((y - target) ** 2).sum(axis=1))
        order = np.argsort(exact.round(12), kind="stable")[:k]
        assert found.tolist() == order.tolist()  # ties go to the lowest index
        np.testing.assert_allclose(row, exact[order], rtol=1e-14, atol=1e-15)
    if n_targets:
        by_tree = fi.KDTree(y).query(targets, k)
        np.testing.assert_array_equal(indices, by_tree[1])
        np.testing.assert_allclose(distances, by_tree[0], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("isa", _core.isas())
def test_the_same_bits_for_every_batch_and_number_of_threads(isa):
    x, y = random_anchors(1, 400, 2, 3, n_distinct=300)
    targets = np.random.default_rng(67).normal(size=(150, 3))
    anchors = CPP[isa].anchors(x, y)
    distances, indices = anchors.nearest(targets, 5)
    for n_threads in (2, 3):
        again = anchors.nearest(targets, 5, n_threads=n_threads)
        assert again[0].tobytes() == distances.tobytes()
        assert again[1].tobytes() == indices.tobytes()
    for rows in (slice(0, 1), slice(3, 10), slice(149, 150)):
        part = anchors.nearest(targets[rows], 5)
        assert part[0].tobytes() == distances[rows].tobytes()
        assert part[1].tobytes() == indices[rows].tobytes()


@by_backend
def test_they_hold_what_they_were_made_of(backend):
    x, y = random_anchors(2, 33, 2, 3, n_distinct=33)
    anchors = backend.anchors(x, y)
    assert len(anchors) == 33
    np.testing.assert_array_equal(anchors.x, x)
    np.testing.assert_array_equal(anchors.y, y)


@by_backend
def test_strides_do_not_matter(backend):
    x, y = random_anchors(3, 33, 2, 3, n_distinct=33)
    wide_x, wide_y = np.zeros((33, 4)), np.zeros((33, 6))
    wide_x[:, ::2], wide_y[:, ::2] = x, y
    targets = np.asfortranarray(np.random.default_rng(68).normal(size=(7, 3)))
    wanted = backend.anchors(x, y).nearest(np.ascontiguousarray(targets), 4)
    found = backend.anchors(wide_x[:, ::2], wide_y[:, ::2]).nearest(targets, 4)
    for one, other in zip(found, wanted, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("what", ["pipeline", "search"])
def test_the_extension_takes_its_own_anchors_only(what):
    setup, cpp = polished_setup(), get_backend("cpp")
    foreign = REFERENCE.anchors(setup.anchors_x, setup.anchors_y)
    with pytest.raises(TypeError, match="anchors must be made by the cpp backend, got Anchors"):
        getattr(cpp, what)(setup.problem, foreign)
    getattr(cpp, what)(setup.problem, cpp.anchors(setup.anchors_x, setup.anchors_y))


@by_backend
@pytest.mark.parametrize("what", ["pipeline", "search"])
def test_anchors_of_other_sizes_are_refused(backend, what):
    setup = polished_setup()
    for p, q in [(3, 2), (2, 1)]:
        anchors = backend.anchors(*random_anchors(4, 9, p, q, n_distinct=9))
        words = f"anchors must have 2 inputs and 2 outputs, got {p} and {q}"
        with pytest.raises(ValueError, match=words):
            getattr(backend, what)(setup.problem, anchors)


@by_backend
def test_one_set_serves_many(backend):
    """Pipelines and searches share them; an index is built once."""
    setup = polished_setup()
    anchors = backend.anchors(setup.anchors_x, setup.anchors_y)
    pipeline = backend.pipeline(setup.problem, anchors, None, setup.options)
    search = backend.search(setup.problem, anchors, setup.options)
    goal = setup.goal(setup.anchors_y[:3])
    del anchors
    solved = pipeline.solve(goal, n_candidates=3, k=3)
    assert solved.residual.min(axis=1).tolist() == [0.0, 0.0, 0.0]  # at an anchor
    assert (search.solve_all(goal, k=4, n_starts=24).n_found > 0).all()
    assert len(pipeline.anchors) == len(setup.anchors_x)
