"""Ranking against NumPy's stable argsort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastinv.backends import get_backend

AWKWARD = st.sampled_from([0.0, -0.0, 1.0, 1.5, -1.0, 5e-324, 1e308, np.inf, -np.inf, np.nan])
shapes = st.tuples(st.sampled_from([0, 1, 7, 33]), st.sampled_from([1, 2, 7, 24, 25, 33]))


@pytest.mark.parametrize("name", ["cpp", "reference"])
@given(arrays(np.float64, shapes, elements=AWKWARD | st.floats(allow_nan=True)))
def test_order_is_that_of_a_stable_sort(name, residuals):
    order = get_backend(name).rank(residuals)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(order, np.argsort(residuals, axis=1, kind="stable"))


def test_all_ties_keep_their_order():
    for k in (5, 24, 25, 300):
        order = get_backend("cpp").rank(np.zeros((3, k)))
        np.testing.assert_array_equal(order, np.tile(np.arange(k), (3, 1)))
