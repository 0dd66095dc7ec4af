"""Time of the KD-tree beside SciPy's in the same run; both must find the same distances.

Run with ``pytest bench/bench_kdtree.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from fastinv.neighbors import KDTree

CASES = {  # name: n points, d, m queries, k, threads
    "single": (600, 2, 1, 6, 1),
    "anchors": (600, 2, 10_000, 6, 1),
    "nearest": (100_000, 3, 100_000, 1, 1),
    "batch": (100_000, 3, 100_000, 5, 1),
    "batch-2-threads": (100_000, 3, 100_000, 5, 2),
    "k=1000": (100_000, 3, 1_000, 1_000, 1),
    "10-d": (20_000, 10, 1_000, 5, 1),
    "200-d": (20_000, 200, 50, 5, 1),
}
LIBRARIES = ("fastinv", "scipy", "pykdtree")


def data(n, d, m, dtype):
    rng = np.random.default_rng(6030)
    return rng.random((n, d)).astype(dtype), rng.random((m, d)).astype(dtype)


def make_query(library, points, k, n_threads):
    """A function from queries to distances."""
    if library == "fastinv":
        tree = KDTree(points)
        return lambda queries: tree.query(queries, k, n_threads=n_threads)[0]
    if library == "scipy":
        tree = cKDTree(points)
        return lambda queries: tree.query(queries, k, workers=n_threads)[0].reshape(-1, k)
    module = pytest.importorskip("pykdtree.kdtree")
    if points.shape[1] > 127:
        pytest.skip("pykdtree takes at most 127 dimensions")
    tree = module.KDTree(points)
    return lambda queries: tree.query(queries, k)[0].reshape(-1, k)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_query(benchmark, case, library, dtype):
    n, d, m, k, n_threads = CASES[case]
    points, queries = data(n, d, m, dtype)
    query = make_query(library, points, k, n_threads)
    benchmark.group = f"query {case} {dtype}"
    distances = benchmark(query, queries)
    ours = make_query("fastinv", points, k, 1)(queries)
    np.testing.assert_allclose(ours, distances, rtol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_build(benchmark, library, dtype):
    points, queries = data(100_000, 3, 100, dtype)
    benchmark.group = f"build {dtype}"
    query = benchmark(make_query, library, points, 3, 1)
    wanted = make_query("scipy", points, 3, 1)(queries)
    np.testing.assert_allclose(query(queries), wanted, rtol=100 * np.finfo(dtype).eps)
