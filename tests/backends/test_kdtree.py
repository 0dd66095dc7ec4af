"""The KD-tree: exact, ties to the lowest index, the same bits whatever its shape."""

from __future__ import annotations

import pickle
import platform

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from fastinv import _core
from fastinv.backends import ReferenceBackend
from fastinv.backends.cpp import CppBackend
from fastinv.neighbors import KDTree

DTYPES = [np.float32, np.float64]
VARIANTS = [(dtype, isa) for dtype in DTYPES for isa in _core.isas()]
TREES = {np.float32: _core.KDTreeFloat32, np.float64: _core.KDTreeFloat64}


def search(points, queries, k, *, isa="", leaf_size=16, n_threads=1):
    """Distances and indices from the compiled tree itself, without the checks of `KDTree`."""
    tree = TREES[points.dtype.type](points, leaf_size, isa)
    distances = np.full((len(queries), k), -1, dtype=points.dtype)
    indices = np.full((len(queries), k), -1, dtype=np.int64)
    tree.query(queries, k, distances, indices, n_threads)
    return distances, indices


def brute_force(points, queries, k, *, fused=False):
    """The same by NumPy, in the dtype of the points: dimensions are added in ascending order.

    `fused` rounds products and sums once, for float32: in float64 its products are exact.
    """
    squared = np.zeros((len(queries), len(points)), dtype=points.dtype)
    for d in range(points.shape[1]):
        difference = points[:, d] - queries[:, d, None]
        if fused:
            squared = (difference.astype(np.float64) ** 2 + squared).astype(np.float32)
        else:
            squared += difference * difference
    indices = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return np.sqrt(np.take_along_axis(squared, indices, axis=1)), indices


def assert_same(found, wanted):
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])


@st.composite
def searches(draw):
    """Points and queries on a small grid, so that squared distances are exact and ties abound."""
    n = draw(st.integers(1, 300))
    d = draw(st.one_of(st.integers(1, 40), st.just(200)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points = rng.integers(-draw(st.integers(0, 20)), 21, size=(n, d)).astype(float)
    if draw(st.booleans()):  # on a line
        points = points[:, :1] * rng.integers(-3, 4, size=d)
    if draw(st.booleans()):  # many duplicates
        points = points[rng.integers(0, max(1, n // 10), size=n)]
    queries = np.concatenate([rng.integers(-40, 41, size=(4, d)), points[:3]]).astype(float)
    k = draw(st.one_of(st.integers(1, n), st.just(n)))
    return points, queries, k, draw(st.integers(1, 40))


@pytest.mark.parametrize(("dtype", "isa"), VARIANTS)
@settings(max_examples=200, deadline=None)
@given(case=searches())
def test_it_equals_brute_force_where_arithmetic_is_exact(dtype, isa, case):
    points, queries, k, leaf_size = case
    points, queries = points.astype(dtype), queries.astype(dtype)
    found = search(points, queries, k, isa=isa, leaf_size=leaf_size)
    assert_same(found, brute_force(points, queries, k))


@pytest.mark.parametrize(("dtype", "isa"), VARIANTS)
@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 2000),
    d=st.integers(1, 40),
    leaf_size=st.integers(1, 40),
    scale=st.sampled_from([1e-18, 1.0, 1e15]),
    data=st.data(),
)
def test_the_shape_of_the_tree_changes_no_bit(dtype, isa, seed, n, d, leaf_size, scale, data):
    rng = np.random.default_rng(seed)
    points = (scale * rng.normal(size=(n, d))).astype(dtype)
    queries = np.concatenate([points[:2], (scale * rng.normal(size=(5, d))).astype(dtype)])
    k = data.draw(st.one_of(st.integers(1, min(n, 60)), st.integers(1, n)))
    found = search(points, queries, k, isa=isa, leaf_size=leaf_size)
    assert_same(found, search(points, queries, k, isa=isa, leaf_size=n))
    by_numpy, _ = brute_force(points, queries, k)
    rounding = 50 * np.finfo(dtype).eps
    np.testing.assert_allclose(found[0], by_numpy, rtol=rounding, atol=1e-22)
    assert all(len(set(row)) == k for row in found[1].tolist())


@pytest.mark.parametrize("isa", _core.isas())
def test_sums_run_over_the_dimensions_in_order_with_one_rounding_a_step(isa):
    rng = np.random.default_rng(6021)
    points = rng.normal(size=(3000, 5)).astype(np.float32)
    queries = rng.normal(size=(100, 5)).astype(np.float32)
    fused = isa != "baseline" or platform.machine().lower() in ("aarch64", "arm64")
    found = search(points, queries, 40, isa=isa)
    assert_same(found, brute_force(points, queries, 40, fused=fused))


@pytest.mark.parametrize(("dtype", "isa"), VARIANTS)
@pytest.mark.parametrize("k", [1, 7, 32, 33, 500])
def test_threads_and_batches_change_no_bit(dtype, isa, k):
    rng = np.random.default_rng(6022)
    points = rng.normal(size=(2000, 3)).astype(dtype)
    queries = rng.normal(size=(333, 3)).astype(dtype)
    together = search(points, queries, k, isa=isa)
    assert_same(search(points, queries, k, isa=isa, n_threads=2), together)
    for i in (0, 64, 332):
        alone = search(points, queries[i : i + 1], k, isa=isa)
        assert_same(alone, (together[0][i : i + 1], together[1][i : i + 1]))


@pytest.mark.parametrize(("dtype", "isa"), VARIANTS)
def test_distances_of_many_points_are_scipys(dtype, isa):
    rng = np.random.default_rng(6023)
    points = rng.normal(size=(20_000, 3)).astype(dtype)
    queries = rng.normal(size=(500, 3)).astype(dtype)
    for k in (1, 5, 100):
        distances, indices = search(points, queries, k, isa=isa)
        wanted, _ = cKDTree(points).query(queries, k=np.arange(1, k + 1))
        np.testing.assert_allclose(distances, wanted, rtol=4 * np.finfo(dtype).eps)
        direct = np.linalg.norm(points[indices] - queries[:, None], axis=2)
        np.testing.assert_allclose(distances, direct, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("dtype", "isa"), VARIANTS)
@pytest.mark.parametrize("k", [1, 32, 33, 5000])
def test_equal_points_come_in_the_order_of_their_indices(dtype, isa, k):
    points = np.full((5000, 2), 0.25, dtype=dtype)
    distances, indices = search(points, points[:3] + dtype(3), k, isa=isa)
    np.testing.assert_array_equal(indices, np.tile(np.arange(k), (3, 1)))
    np.testing.assert_allclose(distances, np.sqrt(18.0), rtol=1e-6)


@pytest.mark.parametrize(("dtype", "isa"), VARIANTS)
def test_a_descending_line_keeps_its_ties_in_order(dtype, isa):
    # From the middle of a line every distance occurs twice, and the lower index is to the right.
    points = np.arange(1000, -1, -1, dtype=dtype)[:, None]
    wanted = [500, *(500 + sign * i for i in range(1, 501) for sign in (-1, 1))]
    for k in (1, 10, 32, 200, 1001):
        _, indices = search(points, np.array([[500]], dtype=dtype), k, isa=isa)
        assert indices[0].tolist() == wanted[:k]


@pytest.mark.parametrize(("dtype", "isa"), VARIANTS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_kernel_survives_queries_that_are_not_finite(dtype, isa, bad):
    rng = np.random.default_rng(6024)
    points = rng.normal(size=(100, 3)).astype(dtype)
    query = np.array([[0.0, bad, 0.0]], dtype=dtype)
    for k in (1, 33, 100):
        distances, indices = search(points, query, k, isa=isa)
        assert np.isinf(distances).all()
        np.testing.assert_array_equal(indices[0], np.arange(k))


@pytest.mark.parametrize("isa", _core.isas())
def test_distances_that_overflow_are_infinite_and_in_order(isa):
    points = np.array([[3e38], [1.0], [-3e38], [2.0]], dtype=np.float32)
    distances, indices = search(points, np.zeros((1, 1), dtype=np.float32), 4, isa=isa)
    assert indices.tolist() == [[1, 3, 0, 2]]
    assert distances.tolist() == [[1.0, 2.0, np.inf, np.inf]]


def test_the_compiled_tree_checks_its_sizes():
    points = np.zeros((4, 2))
    with pytest.raises(ValueError, match="at least one row"):
        _core.KDTreeFloat64(np.zeros((0, 2)), 16, "")
    with pytest.raises(ValueError, match="at least one column"):
        _core.KDTreeFloat64(np.zeros((4, 0)), 16, "")
    with pytest.raises(ValueError, match="leaf_size must be at least 1, got 0"):
        _core.KDTreeFloat64(points, 0, "")
    with pytest.raises(ValueError, match="'mmx' is not available"):
        _core.KDTreeFloat64(points, 16, "mmx")
    with pytest.raises(TypeError, match="dtype float64"):
        _core.KDTreeFloat64(points.astype(np.float32), 16, "")
    for k in (0, 5):
        with pytest.raises(
            ValueError, match=f"k must be from 1 to the number of points, 4, got {k}"
        ):
            search(points, points, k)
    tree = _core.KDTreeFloat64(points, 2**62, "baseline")
    assert (tree.n_points, tree.n_dims, tree.isa) == (4, 2, "baseline")
    with pytest.raises(ValueError, match="2 columns, got 3"):
        tree.query(np.zeros((1, 3)), 1, np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int64), 1)


def test_a_tree_keeps_its_own_points():
    points = np.arange(6.0).reshape(3, 2)
    tree = KDTree(points)
    points[:] = 100
    distances, indices = tree.query([[4.0, 5.0]])
    assert (distances.tolist(), indices.tolist()) == ([[0.0]], [[2]])
    with pytest.raises(ValueError, match="read-only"):
        tree.points[0] = 1


@pytest.mark.parametrize("backend", ["auto", "cpp", "reference"])
@pytest.mark.parametrize(
    ("given", "kept"), [("f4", "f4"), ("f8", "f8"), ("i8", "f8"), (">f8", "f8")]
)
def test_shapes_and_dtypes(backend, given, kept):
    tree = KDTree(np.arange(21).reshape(7, 3).astype(given), backend=backend)
    for queries, shape in (
        (np.zeros((5, 3)), (5, 4)),
        (np.zeros((5, 3), dtype=np.float32), (5, 4)),
        (np.zeros((3, 5)).T, (5, 4)),
        ([0, 1, 2], (4,)),
        (np.zeros((0, 3)), (0, 4)),
    ):
        distances, indices = tree.query(queries, k=4)
        assert distances.shape == indices.shape == shape
        assert (distances.dtype, indices.dtype) == (np.dtype(kept), np.dtype(np.int64))
    assert repr(tree) == f"KDTree(7 points in 3 dimensions, {np.dtype(kept)})"


@pytest.mark.parametrize("dtype", DTYPES)
def test_backends_agree(dtype):
    rng = np.random.default_rng(6025)
    points = rng.integers(-9, 10, size=(700, 3)).astype(dtype)
    queries = rng.integers(-9, 10, size=(50, 3)).astype(dtype)
    wanted = KDTree(points, backend=ReferenceBackend()).query(queries, k=33)
    for isa in _core.isas():
        assert_same(KDTree(points, backend=CppBackend(isa)).query(queries, k=33), wanted)


def test_out_receives_the_results():
    rng = np.random.default_rng(6026)
    tree = KDTree(rng.normal(size=(50, 2)))
    queries = rng.normal(size=(4, 2))
    out = np.empty((4, 3)), np.empty((4, 3), dtype=np.int64)
    assert tree.query(queries, k=3, out=out) is out
    assert_same(out, tree.query(queries, k=3))
    alone = np.empty(3), np.empty(3, dtype=np.int64)
    tree.query(queries[1], k=3, out=alone)
    assert_same(alone, (out[0][1], out[1][1]))
    with pytest.raises(ValueError, match=r"out: distances must be writeable and of shape \(4, 2\)"):
        tree.query(queries, k=2, out=out)
    with pytest.raises(TypeError, match="out: indices must be an array of dtype int64, got int32"):
        tree.query(queries, k=3, out=(out[0], out[1].astype(np.int32)))
    with pytest.raises(TypeError, match="out must be a pair"):
        tree.query(queries, k=3, out=out[0])


def test_it_can_be_pickled():
    rng = np.random.default_rng(6027)
    for dtype in DTYPES:
        tree = KDTree(rng.normal(size=(200, 4)).astype(dtype), leaf_size=33)
        copy = pickle.loads(pickle.dumps(tree))
        assert copy.leaf_size == 33
        assert copy.points.dtype == dtype
        queries = rng.normal(size=(20, 4))
        assert_same(copy.query(queries, k=9), tree.query(queries, k=9))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"points": np.zeros(3)}, ValueError, r"points must have shape \(n, d\), got shape \(3,\)"),
        ({"points": np.zeros((0, 3))}, ValueError, r"points must not be empty, got shape \(0, 3\)"),
        ({"points": np.zeros((3, 0))}, ValueError, r"points must not be empty, got shape \(3, 0\)"),
        ({"points": [[0.0], [np.nan]]}, ValueError, "points must be finite .* in 1 of 2 rows: 1$"),
        ({"points": [["a"]]}, ValueError, "points must hold real numbers"),
        ({"leaf_size": 0}, ValueError, "leaf_size must be positive, got 0"),
        ({"leaf_size": 1.5}, TypeError, "leaf_size must be an integer, got 1.5"),
        ({"backend": "cuda"}, ValueError, "backend 'cuda' is not available"),
    ],
)
def test_bad_points_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        KDTree(**({"points": np.zeros((3, 2))} | arguments))


@pytest.mark.parametrize(
    ("queries", "k", "error", "message"),
    [
        (np.zeros((2, 2)), 1, ValueError, r"shape \(m, 3\) or \(3,\), got shape \(2, 2\)"),
        (np.zeros(2), 1, ValueError, r"shape \(m, 3\) or \(3,\), got shape \(2,\)"),
        (np.zeros((1, 1, 3)), 1, ValueError, r"got shape \(1, 1, 3\)"),
        (0.0, 1, ValueError, r"got shape \(\)"),
        ([[0, 0, 0], [0, np.inf, 0], [np.nan, 0, 0]], 1, ValueError, "in 2 of 3 rows: 1, 2$"),
        ([[0, 0, 1e39]], 1, ValueError, "finite in float32"),
        (np.zeros(3), 0, ValueError, "k must be positive, got 0"),
        (np.zeros(3), 8, ValueError, "k must be at most the number of points, 7, got 8"),
        (np.zeros(3), 2.0, TypeError, "k must be an integer, got 2.0"),
    ],
)
def test_bad_queries_are_refused(queries, k, error, message):
    tree = KDTree(np.arange(21, dtype=np.float32).reshape(7, 3))
    with pytest.raises(error, match=message):
        tree.query(queries, k=k)


@pytest.mark.parametrize(("dtype", "isa"), VARIANTS)
@pytest.mark.parametrize("n", [1, 7, 33, 5000])
@pytest.mark.parametrize("distinct", [2, 10**6])
def test_threads_build_the_same_tree(dtype, isa, n, distinct):
    rng = np.random.default_rng(6040)
    points = rng.integers(0, distinct, size=(n, 3)).astype(dtype)
    queries = rng.integers(0, distinct, size=(100, 3)).astype(dtype)
    k = min(n, 9)
    wanted = search(points, queries, k, isa=isa, leaf_size=n)
    for n_threads in (1, 2, 3, 8):
        tree = TREES[dtype](points, 16, isa, n_threads)
        found = tree.try_query(queries, k, None)
        assert_same(found, wanted)
        public = KDTree(points, n_threads=n_threads, backend=CppBackend(isa))
        assert_same(public.query(queries, k=k), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_that_cannot_be_told_apart_in_a_sample_are_cut_right(dtype):
    # Few distinct values among many points: cuts fall between points of equal coordinates.
    rng = np.random.default_rng(6041)
    points = np.zeros((40_000, 2), dtype=dtype)
    points[:, 0] = np.arange(40_000) % 2
    points[rng.integers(0, 40_000, size=50)] = 7
    queries = np.array([[0, 0], [1, 0], [7, 7], [0.5, 3]], dtype=dtype)
    assert_same(search(points, queries, 60), search(points, queries, 60, leaf_size=len(points)))


@pytest.mark.parametrize("n_dims", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_queries_in_any_order_get_their_own_rows(dtype, n_dims):
    # Enough numbers and queries for the tree to take them in an order of its own.
    rng = np.random.default_rng(6042)
    n_points = 2**22 // (n_dims * np.dtype(dtype).itemsize) + 1
    tree = KDTree(rng.normal(size=(n_points, n_dims)).astype(dtype))
    queries = rng.normal(scale=3, size=(1500, n_dims)).astype(dtype)
    queries[7] = 1e6  # far outside of the grid
    together = tree.query(queries, 3, n_threads=2)
    shuffled = rng.permutation(len(queries))
    wanted = together[0][shuffled], together[1][shuffled]
    assert_same(tree.query(queries[shuffled], 3), wanted)
    for begin in range(0, 1500, 500):  # too few to be put in order
        part = slice(begin, begin + 500)
        assert_same(tree.query(queries[part], 3), (together[0][part], together[1][part]))


def test_the_compiled_tree_checks_its_threads():
    with pytest.raises(ValueError, match="n_threads must be from 1 to 1024, got 0"):
        _core.KDTreeFloat64(np.zeros((3, 2)), 16, "", 0)


def slowly(tree, queries, k, **keywords):
    """`KDTree.query` without its short way."""
    slow = KDTree(tree.points)
    slow._index.try_query = lambda queries, k, out: None
    return slow.query(queries, k, **keywords)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given", DTYPES)
@pytest.mark.parametrize("shape", [(3,), (1, 3), (0, 3), (7, 3), (33, 3)])
def test_the_short_way_gives_the_same_bits(dtype, given, shape):
    rng = np.random.default_rng(6043)
    tree = KDTree(rng.normal(size=(600, 3)).astype(dtype))
    queries = rng.normal(size=shape).astype(given)
    for k in (1, 6, 200):
        short = tree._index.try_query(queries, k, None)
        assert short is not None
        wanted = slowly(tree, queries, k)
        for found in (short, tree.query(queries, k), tree.query(queries, k, n_threads=1)):
            assert_same(found, wanted)
            assert [a.dtype for a in found] == [a.dtype for a in wanted]
            assert [a.shape for a in found] == [a.shape for a in wanted]
        out = tuple(np.empty_like(a) for a in wanted)
        assert tree._index.try_query(queries, k, out) is out
        assert_same(out, wanted)


def test_the_short_way_leaves_what_is_unusual_to_the_checks():
    tree = KDTree(np.random.default_rng(6044).normal(size=(50, 3)))
    query = np.zeros(3)
    distances, indices = np.zeros(2), np.zeros(2, dtype=np.int64)
    both = np.empty(4)
    read_only = np.empty(2)
    read_only.flags.writeable = False
    unusual = [
        ([0.0, 0.0, 0.0], 2, None),
        (np.zeros(3, dtype=int), 2, None),
        (np.zeros(3, dtype=">f8"), 2, None),
        (np.zeros(6)[::2], 2, None),
        (np.zeros((3, 3), order="F"), 2, None),
        (np.ma.masked_array(query, mask=True), 2, None),
        (np.zeros((1, 1, 3)), 2, None),
        (np.zeros(()), 2, None),
        (np.zeros(2), 2, None),
        (np.array([0.0, np.nan, 0.0]), 2, None),
        (np.array([0.0, np.inf, 0.0]), 2, None),
        (np.zeros((10_000, 3)), 2, None),
        *((query, k, None) for k in (0, -1, 51, 2**70, True, np.int64(2), 2.0, "2", None)),
        *((query, 2, out) for out in ([distances, indices], (distances,), distances, "ab")),
        (query, 2, (distances, indices.astype(np.int32))),
        (query, 2, (distances.astype(np.float32), indices)),
        (query, 2, (np.empty(3), indices)),
        (query, 2, (np.empty((1, 2)), indices)),
        (query, 2, (np.empty(4)[::2], indices)),
        (query, 2, (read_only, indices)),
        (query, 2, (both[:2], both[1:3].view(np.int64))),
    ]
    for queries, k, out in unusual:
        assert tree._index.try_query(queries, k, out) is None
    with pytest.raises(TypeError, match="k must be an integer, got True"):
        tree.query(query, True)
    assert_same(tree.query(query, np.int64(2)), tree.query(query, 2))
    with pytest.raises(TypeError, match="n_threads must be an integer, got True"):
        tree.query(query, 2, n_threads=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_masked_values_are_refused(dtype):
    masked = np.ma.masked_array(np.zeros((3, 2), dtype), mask=[[0, 0], [1, 0], [0, 0]])
    with pytest.raises(ValueError, match=r"points must be finite .* in 1 of 3 rows: 1"):
        KDTree(masked)
    with pytest.raises(ValueError, match=r"queries must be finite .* in 1 of 3 rows: 1"):
        KDTree(np.zeros((3, 2), dtype)).query(masked)


def test_a_query_beyond_float32_is_refused_by_both_ways():
    tree = KDTree(np.zeros((3, 1), dtype=np.float32))
    for query in (np.array([1e39]), [1e39]):
        with pytest.raises(ValueError, match="finite in float32"):
            tree.query(query)


def test_results_may_replace_the_queries():
    tree = KDTree(np.random.default_rng(6045).normal(size=(50, 2)))
    queries = np.random.default_rng(6046).normal(size=(9, 2))
    wanted = tree.query(queries, 2)
    tree.query(queries, 2, out=(queries, np.empty((9, 2), dtype=np.int64)))
    np.testing.assert_array_equal(queries, wanted[0])
