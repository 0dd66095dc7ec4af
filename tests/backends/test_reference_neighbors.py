"""The reference neighbour search and ranking: order, ties, NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastinv.backends import ReferenceBackend

BACKEND = ReferenceBackend()
SEED_POINTS = 201
VALUES = [0.0, -0.0, 1.0, 1.0, 2.5, np.inf, -np.inf, np.nan, -np.nan]


@given(data=st.data(), n=st.integers(1, 33), m=st.sampled_from([0, 1, 7]), d=st.integers(1, 3))
def test_neighbors_on_a_lattice_with_duplicates(data, n, m, d):
    lattice = st.integers(-2, 2).map(float)
    points = data.draw(hnp.arrays(np.float64, (n, d), elements=lattice))
    queries = data.draw(hnp.arrays(np.float64, (m, d), elements=lattice))
    k = data.draw(st.integers(1, n))
    distances, indices = BACKEND.neighbors(points).query(queries, k)
    assert distances.shape == indices.shape == (m, k)
    assert indices.dtype == np.int64
    for row, query in enumerate(queries):
        squares = [sum((a - b) ** 2 for a, b in zip(query, point, strict=True)) for point in points]
        expected = sorted(range(n), key=lambda i: (squares[i], i))[:k]
        assert indices[row].tolist() == expected
        assert distances[row].tolist() == [math.sqrt(squares[i]) for i in expected]


def test_neighbors_of_float32_are_computed_in_float64():
    rng = np.random.default_rng(SEED_POINTS)
    points = rng.normal(size=(33, 3)).astype(np.float32)
    queries = rng.normal(size=(7, 3)).astype(np.float32)
    distances, indices = BACKEND.neighbors(points).query(queries, 5)
    expected = np.linalg.norm(queries.astype(float)[:, None] - points[indices], axis=2)
    assert distances.dtype == np.float64
    np.testing.assert_allclose(distances, expected, rtol=1e-15)


def test_an_overflowing_distance_is_farthest():
    points = np.array([[1e200], [1.0], [-1e200]])
    distances, indices = BACKEND.neighbors(points).query(np.array([[0.0]]), 3)
    assert indices.tolist() == [[1, 0, 2]]
    assert distances.tolist() == [[1.0, np.inf, np.inf]]


@given(hnp.arrays(np.float64, st.tuples(st.sampled_from([0, 1, 7]), st.integers(0, 33)),
                  elements=st.sampled_from(VALUES)))  # fmt: skip
def test_rank_is_stable_with_nan_last(residuals):
    order = BACKEND.rank(residuals)
    assert order.dtype == np.int64
    for row, found in zip(residuals.tolist(), order.tolist(), strict=True):
        expected = sorted(
            range(len(row)),
            key=lambda j: (math.isnan(row[j]), 0.0 if math.isnan(row[j]) else row[j], j),
        )
        assert found == expected


@pytest.mark.parametrize(
    ("points", "queries", "k", "error", "words"),
    [
        (np.zeros((0, 2)), None, 1, ValueError, "points must not be empty"),
        (np.array([[np.nan]]), None, 1, ValueError, "points must be finite"),
        (np.zeros(3), None, 1, ValueError, r"points must have shape \(n, n\), got \(3,\)"),
        (np.zeros((3, 2)), np.zeros((1, 3)), 1, ValueError, r"queries must have shape \(n, 2\)"),
        (np.zeros((3, 2)), np.array([[0.0, np.inf]]), 1, ValueError, "queries must be finite"),
        (np.zeros((3, 2)), np.zeros((1, 2)), 4, ValueError, "the number of points = 3, got 4"),
        (np.zeros((3, 2)), np.zeros((1, 2)), 0, ValueError, "k must be at least 1, got 0"),
        (np.zeros((3, 2)), np.zeros((1, 2)), 1.5, TypeError, "k must be an integer"),
        ([[0.0]], None, 1, TypeError, "points must be a NumPy array, got list"),
        (np.zeros((3, 2), dtype=int), None, 1, TypeError, "float32 or float64, got int64"),
    ],
)
def test_bad_arguments_are_refused(points, queries, k, error, words):
    with pytest.raises(error, match=words):
        BACKEND.neighbors(points).query(queries, k)
