"""Functions as kernels run them, without Python: machine code, or a network with its scalings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastinv._common.arrays import Float64Array, FloatArray
from fastinv.functions.networks import NetworkSpec


@dataclass(frozen=True, eq=False)
class RowCode:
    """Machine code ``void(const double *x, double *out, int64_t n_rows)``.

    Parameters
    ----------
    address : int
        Where it begins.
    owner : object
        The object that keeps it in memory. Kernels hold it as long as they may call the code.
    """

    address: int
    owner: Any = field(repr=False)


@dataclass(frozen=True, eq=False)
class CompiledCode:
    """f as machine code.

    Parameters
    ----------
    n_inputs, n_outputs : int
    values : RowCode
        x (n, p) to f(x) (n, q).
    jacobian : RowCode or None
        x (n, p) to dy_i/dx_j (n, q, p); None takes central differences.
    """

    n_inputs: int
    n_outputs: int
    values: RowCode
    jacobian: RowCode | None = None

    @property
    def n_weights(self) -> int:
        """The number of weights that an evaluation uses: none."""
        return 0


@dataclass(frozen=True, eq=False)
class NetworkCode:
    """f as a network: ``f(x) = y_mean + y_scale * net((x - x_mean) / x_scale)``.

    Parameters
    ----------
    spec : NetworkSpec
    parameters : ndarray of shape (spec.n_parameters,)
    x_mean, x_scale : ndarray of shape (p,), float64
    y_mean, y_scale : ndarray of shape (q,), float64
    """

    spec: NetworkSpec
    parameters: FloatArray
    x_mean: Float64Array
    x_scale: Float64Array
    y_mean: Float64Array
    y_scale: Float64Array

    @property
    def n_inputs(self) -> int:
        """p"""
        return self.spec.n_inputs

    @property
    def n_outputs(self) -> int:
        """q"""
        return self.spec.n_outputs

    @property
    def n_weights(self) -> int:
        """The number of weights that an evaluation uses."""
        return self.spec.n_parameters


Code = CompiledCode | NetworkCode
