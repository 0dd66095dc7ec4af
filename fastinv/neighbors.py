"""Exact nearest neighbours in the Euclidean distance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastinv._common.threads import threads_that_pay
from fastinv._common.validation import as_floats, check_integer
from fastinv.backends import Backend, get_backend

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]

# Operations per coordinate for building.
_FLOPS_OF_BUILD = 100.0


class KDTree:
    """Exact k nearest points of a set; ties go to the lowest index.

    A KD-tree (Bentley 1975; Friedman, Bentley and Finkel 1977) with 16 children per node, whose
    boxes and points are measured a register at a time. Distances do not depend on the shape of
    the tree, the number of threads, or the batching of queries: all are what brute force in
    the dtype of the points gives. Points that lie in fewer dimensions than they have coordinates
    are searched fast in any dimension. Points spread evenly in 20 dimensions or more are
    searched no faster than by brute force.

    Parameters
    ----------
    points : array-like of shape (n, d)
        Copied. float32 stays, everything else becomes float64. n and d are at least 1; duplicates
        are allowed.
    leaf_size : int, default=16
        Points in a leaf, rounded up to a multiple of 16; `leaf_size` >= n is brute force. It
        changes the time a query takes, never its result.
    n_threads : int or None, default=None
        Threads that build the tree, which is the same for any number of them. None takes one for
        few points, else what the machine and threadpoolctl's limits allow.
    backend : {"auto", "cpp", "reference"} or Backend, default="auto"

    Attributes
    ----------
    points : ndarray of shape (n, d), read-only
    leaf_size : int

    Raises
    ------
    ValueError
        If `points` is not a matrix, is empty, or holds NaN or infinity, or if `leaf_size` is not
        positive.
    TypeError
        If `leaf_size` or `n_threads` is not an integer.

    Notes
    -----
    Points are compared by their squared distances, in the dtype of the points. For float32,
    distances above 1.8e19 are infinite and those below 1e-19 lose digits (float64: 1.3e154 and
    1.5e-154); the indices are then still distinct and valid, in ascending order where distances
    are equal.

    Examples
    --------
    >>> tree = KDTree([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    >>> distances, indices = tree.query([0.0, 0.0], k=2)
    >>> distances.tolist(), indices.tolist()
    ([0.0, 5.0], [0, 1])
    """

    def __init__(
        self,
        points: ArrayLike,
        *,
        leaf_size: int = 16,
        n_threads: int | None = None,
        backend: str | Backend = "auto",
    ) -> None:
        array = as_floats(points, "points")
        if array.ndim != 2:
            raise ValueError(f"points must have shape (n, d), got shape {array.shape}")
        if array.size == 0:
            raise ValueError(f"points must not be empty, got shape {array.shape}")
        _check_finite_rows(array, "points")
        self.leaf_size = check_integer(leaf_size, "leaf_size")
        self.points = array.copy()
        self.points.flags.writeable = False
        self._n_threads = n_threads
        self._backend = backend
        threads = threads_that_pay(n_threads, flops=_FLOPS_OF_BUILD * array.size)
        self._index = get_backend(backend).neighbors(
            self.points, leaf_size=self.leaf_size, n_threads=threads
        )

    def query(
        self,
        queries: ArrayLike,
        k: int = 1,
        *,
        n_threads: int | None = None,
        out: tuple[FloatArray, IntArray] | None = None,
    ) -> tuple[FloatArray, IntArray]:
        """The k nearest points of each query.

        Parameters
        ----------
        queries : array-like of shape (m, d) or (d,)
            Rounded to the dtype of the points.
        k : int, default=1
            From 1 to n.
        n_threads : int or None, default=None
            None takes one thread for few queries, else what the machine and threadpoolctl's
            limits allow.
        out : (ndarray, ndarray) or None, default=None
            Arrays that receive the results, of their shapes and dtypes, and are returned.

        Returns
        -------
        distances : ndarray of shape (m, k) or (k,), in the dtype of the points
            Ascending, in the units of the points.
        indices : ndarray of shape (m, k) or (k,), int64
            Rows of `points`.

        Raises
        ------
        ValueError
            If `queries` has the wrong shape or holds NaN or infinity, if `k` is not from 1 to n,
            or if an array of `out` has the wrong shape or shares memory with the other.
        TypeError
            If `k` or `n_threads` is not an integer, or if `out` is not a pair of arrays of the
            right dtypes.
        """
        # Few queries in plain arrays take less time than the checks below.
        if n_threads is None or (type(n_threads) is int and n_threads == 1):
            found = self._index.try_query(queries, k, out)
            if found is not None:
                return found
        n_points, n_dims = self.points.shape
        array = as_floats(queries, "queries", self.points.dtype)
        if array.ndim not in (1, 2) or array.shape[-1] != n_dims:
            raise ValueError(
                f"queries must have shape (m, {n_dims}) or ({n_dims},), got shape {array.shape}"
            )
        rows = array.reshape(-1, n_dims)
        _check_finite_rows(rows, "queries")
        k = check_integer(k, "k")
        if k > n_points:
            raise ValueError(f"k must be at most the number of points, {n_points}, got {k}")
        shape = (*array.shape[:-1], k)
        if out is not None:
            _check_out(out, shape, self.points.dtype)
        # The approximate cost of a query where the tree prunes well, in operations.
        threads = threads_that_pay(n_threads, flops=len(rows) * (1000.0 + 400.0 * k))
        distances, indices = self._index.query(rows, k, n_threads=threads)
        # The reference backend always computes in float64.
        distances = distances.astype(self.points.dtype, copy=False).reshape(shape)
        indices = indices.reshape(shape)
        if out is None:
            return distances, indices
        out[0][...] = distances
        out[1][...] = indices
        return out

    def __repr__(self) -> str:
        n_points, n_dims = self.points.shape
        return f"KDTree({n_points} points in {n_dims} dimensions, {self.points.dtype})"

    def __getstate__(self) -> dict[str, Any]:
        # The index is rebuilt, because it belongs to the instruction set of this machine.
        return {
            "points": self.points,
            "leaf_size": self.leaf_size,
            "n_threads": self._n_threads,
            "backend": self._backend,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _check_finite_rows(array: FloatArray, name: str) -> None:
    if np.isfinite(array).all():  # much faster than checking row by row
        return
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    first = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
    raise ValueError(
        f"{name} must be finite in {array.dtype}, got NaN or infinity in {len(bad)} of "
        f"{len(array)} rows: {first}"
    )


def _check_out(
    out: tuple[FloatArray, IntArray], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(f"out must be a pair (distances, indices), got {type(out).__name__}")
    for array, name, wanted in zip(
        out, ("distances", "indices"), (dtype, np.dtype(np.int64)), strict=True
    ):
        if not isinstance(array, np.ndarray) or array.dtype != wanted:
            found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"out: {name} must be an array of dtype {wanted}, got {found}")
        if array.shape != shape or not array.flags.writeable:
            raise ValueError(
                f"out: {name} must be writeable and of shape {shape}, got shape {array.shape}"
            )
    if np.shares_memory(*out):
        raise ValueError("out: distances and indices must not share memory")
