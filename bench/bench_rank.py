"""Ranking candidates by residual, beside NumPy's argsort."""

import numpy as np
import pytest

from fastinv.backends import get_backend


@pytest.mark.parametrize("peer", ["fastinv", "numpy"])
@pytest.mark.parametrize("k", [5, 50])
def bench_rank(benchmark, k, peer):
    residuals = np.random.default_rng(72).exponential(size=(100_000, k))
    residuals[::17, k // 2] = np.nan
    benchmark.group = f"rank 100000 rows of {k}"
    expected = np.argsort(residuals, axis=1, kind="stable")
    if peer == "numpy":
        order = benchmark(np.argsort, residuals, axis=1, kind="stable")
    else:
        order = benchmark(get_backend("cpp").rank, residuals)
    np.testing.assert_array_equal(order, expected)
