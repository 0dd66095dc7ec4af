"""exp, log and tanh of every instruction set against NumPy in extended precision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastinv import _core

MAX_ULP = {"exp": 2.0, "log": 1.0, "tanh": 2.0}


def elementary(function, x, isa):
    out = np.empty_like(x)
    kernel = _core.elementary_float32 if x.dtype == np.float32 else _core.elementary_float64
    kernel(function, x, out, isa)
    return out


def error_in_ulp(found, exact):
    with np.errstate(over="ignore", under="ignore"):
        return np.abs(found - exact) / np.spacing(np.abs(exact).astype(found.dtype))


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", ["exp", "tanh"])
def test_error_is_at_most_two_units_in_the_last_place(function, dtype, isa):
    limit = {"tanh": 12.0, "exp": 86.0 if dtype == np.float32 else 707.0}[function]
    rng = np.random.default_rng(20)
    x = np.concatenate([np.linspace(-limit, limit, 40001), rng.normal(size=10000)]).astype(dtype)
    exact = getattr(np, function)(x.astype(np.longdouble))
    assert error_in_ulp(elementary(function, x, isa), exact).max() <= MAX_ULP[function]


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype, isa):
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, -0.0], dtype=dtype)
    np.testing.assert_array_equal(
        elementary("exp", x, isa), np.array([np.nan, np.inf, 0, np.inf, 0, 1, 1], dtype=dtype)
    )
    np.testing.assert_array_equal(
        elementary("tanh", x, isa), np.array([np.nan, 1, -1, 1, -1, 0, 0], dtype=dtype)
    )


@given(n=st.integers(0, 40), isa=st.sampled_from(_core.isas()))
def test_an_element_does_not_depend_on_its_place(n, isa):
    x = np.random.default_rng(21).normal(size=40).astype(np.float32) * 3
    for function in ("exp", "tanh"):
        whole = elementary(function, x, isa)
        np.testing.assert_array_equal(elementary(function, x[:n].copy(), isa), whole[:n])
        np.testing.assert_array_equal(elementary(function, x[n:].copy(), isa), whole[n:])


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logarithm(dtype, isa):
    """Of every power of two's neighbourhood, and of numbers near 1, where it is near 0."""
    rng = np.random.default_rng(22)
    exponents = np.arange(np.finfo(dtype).minexp, np.finfo(dtype).maxexp)
    x = np.ldexp(rng.uniform(0.99, 1.99, size=(20, len(exponents))), exponents).ravel()
    x = np.concatenate([x, np.linspace(0.5, 2.0, 40001)]).astype(dtype)
    x = x[(x >= np.finfo(dtype).tiny) & np.isfinite(x)]
    exact = np.log(x.astype(np.longdouble))
    found = elementary("log", x, isa)
    assert (found[exact == 0] == 0).all()
    error = error_in_ulp(found[exact != 0], exact[exact != 0])
    assert error.max() <= MAX_ULP["log"]
    special = elementary("log", np.array([np.inf, np.nan], dtype=dtype), isa)
    assert special[0] == np.inf
    assert np.isnan(special[1])
