"""Formulas whose units can be changed without compiling them again.

A formula is compiled once, and constants in it are frozen. These read their units from memory at
each call: ``units(x=[...], y=[...])`` sets them, and :data:`arm`, :data:`cubic` and :data:`valley`
are then the same functions in other units. Multiplying by a power of two is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

import fastinv as fi

_UNITS = np.ones(8)  # of four outputs, then one over those of four inputs
_ADDRESS = _UNITS.ctypes.data


@intrinsic
def _pointer(typing_context: Any, address: Any) -> Any:
    def code(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), code


@njit
def unit(i):
    return carray(_pointer(_ADDRESS), 8, np.float64)[i]


def units(x=(), y=()):
    """Set the units of inputs and outputs; those that are not given are 1."""
    _UNITS[:] = 1.0
    _UNITS[: len(y)] = y
    _UNITS[4 : 4 + len(x)] = 1.0 / np.asarray(x, dtype=float)


@fi.forward(n_inputs=2, n_outputs=2)
def arm(x, y):
    first, second = x[0] * unit(4), x[1] * unit(5)
    y[0] = unit(0) * (np.cos(first) + np.cos(first + second))
    y[1] = unit(1) * (np.sin(first) + np.sin(first + second))


@fi.forward(n_inputs=1, n_outputs=1)
def cubic(x, y):
    t = x[0] * unit(4)
    y[0] = unit(0) * (t**3 - t)


@fi.forward(n_inputs=2, n_outputs=1)
def valley(x, y):
    y[0] = unit(0) * ((x[0] * unit(4)) ** 2 + np.exp(x[1] * unit(5)))
