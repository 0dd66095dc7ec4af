"""The functions that solvers invert."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64
from fastinv.functions.code import Code


class Function(ABC):
    """A function f: R^p -> R^q. It is a compiled formula
    (:class:`~fastinv.functions.compiled.ForwardFunction`), a Python callable, or was learned
    from data.

    Attributes
    ----------
    n_inputs, n_outputs : int
        Dimensions p of x and q of y.
    exact : bool
        True for a formula or a callable, False for something learned from data.
    diff_step : tuple of p floats, or None
        How far central differences reach to each side of x, input by input, in units of a region's
        scale. None balances truncation against rounding.
    """

    n_inputs: int
    n_outputs: int
    exact: bool
    diff_step: tuple[float, ...] | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of f in messages."""

    @property
    def code(self) -> Code | None:
        """The kernels' form of f; None if only Python can evaluate it."""
        return None

    @abstractmethod
    def __call__(self, X: ArrayLike) -> Float64Array:
        """Images (n, n_outputs) of the rows of `X` (n, n_inputs), float64."""

    @property
    def has_jacobian(self) -> bool:
        """Whether f has a derivative of its own; else differences take its place."""
        return getattr(self, "jacobian", None) is not None

    def jacobians(self, x: Float64Array) -> Float64Array:
        """Its own derivative ``dy_i / dx_j`` ``(n, q, p)`` at finite `x` ``(n, p)``, as Python
        evaluates it."""
        raise NotImplementedError(f"{self.name} has no derivative that Python evaluates")

    def images(self, x: Float64Array) -> Float64Array:
        """Images ``(..., q)`` of `x` ``(..., p)``; NaN where x is not finite, without calling f."""
        flat = x.reshape(-1, self.n_inputs)
        finite = np.isfinite(flat).all(axis=1)
        if finite.all():
            images = self(flat)
        else:
            images = np.full((len(flat), self.n_outputs), np.nan)
            images[finite] = self(flat[finite])
        return images.reshape(*x.shape[:-1], self.n_outputs)


def checked_diff_step(diff_step: ArrayLike | None, n_inputs: int) -> tuple[float, ...] | None:
    """`diff_step` as one float for each input; a number holds for all of them.

    Raises
    ------
    ValueError
        It is no number and has another shape than ``(n_inputs,)``, or it is not positive and
        finite.
    """
    if diff_step is None:
        return None
    steps = as_float64(diff_step, "diff_step")
    if steps.shape not in ((), (n_inputs,)):
        raise ValueError(
            f"diff_step must be a number or one for each of {n_inputs} inputs, "
            f"got shape {steps.shape}"
        )
    if not ((steps > 0) & np.isfinite(steps)).all():
        raise ValueError(f"diff_step must be positive and finite, got {diff_step}")
    return tuple(np.broadcast_to(steps, n_inputs).tolist())
