"""What counts as sizes of hidden layers."""

from __future__ import annotations

import numpy as np
import pytest

import fastinv as fi
from fastinv.estimators.networks import check_hidden_layer_sizes


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((), ()),
        ([], ()),
        (7, (7,)),
        (np.int32(7), (7,)),
        ([8, np.int64(3)], (8, 3)),
        (range(2, 4), (2, 3)),
        (np.array([5, 6], dtype=np.int16), (5, 6)),
    ],
)
def test_integers_and_sequences_of_integers(sizes, expected):
    checked = check_hidden_layer_sizes(sizes)
    assert checked == expected
    assert all(type(size) is int for size in checked)


@pytest.mark.parametrize(
    "sizes",
    [
        *("", "8", b"x", bytearray(b"x"), memoryview(b"x")),
        *({}, {8: 4}, set(), {8}, frozenset({8}), iter([8]), None),
        *(8.0, [8.0], np.array([8.0]), np.array([]), True, [True], np.array([True])),
        *([[8]], [(8, 8)], np.array([[8]]), np.array(8.5), ["8"], [None]),
    ],
    ids=lambda sizes: type(sizes).__name__,
)
def test_all_else_is_refused(sizes):
    with pytest.raises(TypeError, match=r"^hidden_layer_sizes must be"):
        check_hidden_layer_sizes(sizes)


@pytest.mark.parametrize("sizes", [0, -1, (8, 0), np.array([-3])])
def test_sizes_are_positive(sizes):
    with pytest.raises(ValueError, match=r"^hidden_layer_sizes must be positive"):
        check_hidden_layer_sizes(sizes)


@pytest.mark.parametrize("sizes", ["", b"x", {}])
def test_estimators_refuse_it(sizes):
    X = np.linspace(-1, 1, 9)[:, None]
    for model in (fi.MLPRegressor(sizes), fi.MixtureDensityNetwork(hidden_layer_sizes=sizes)):
        with pytest.raises(TypeError, match=r"^hidden_layer_sizes must be"):
            model.fit(X, X[:, 0])
