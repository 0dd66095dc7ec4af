"""f: what a solver inverts, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
from fastinv.functions.code import Code


class Function(ABC):
    """f: R^p -> R^q. Its kinds are formulas that are compiled
    (:class:`~fastinv.functions.compiled.ForwardFunction`), Python callables, and what was learned
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
        """What messages call f."""

    @property
    def code(self) -> Code | None:
        """f as kernels run it; None where only Python can evaluate it."""
        return None

    @abstractmethod
    def __call__(self, X: ArrayLike) -> Float64Array:
        """Images (n, n_outputs) of the rows of `X` (n, n_inputs), float64."""

    def images(self, x: Float64Array) -> Float64Array:
        """Images ``(..., q)`` of `x` ``(..., p)``: NaN where x is not finite, unseen by f."""
        flat = x.reshape(-1, self.n_inputs)
        finite = np.isfinite(flat).all(axis=1)
        if finite.all():
            images = self(flat)
        else:
            images = np.full((len(flat), self.n_outputs), np.nan)
            images[finite] = self(flat[finite])
        return images.reshape(*x.shape[:-1], self.n_outputs)
