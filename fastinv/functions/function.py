"""The functions that solvers invert."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
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
    """

    n_inputs: int
    n_outputs: int
    exact: bool

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
