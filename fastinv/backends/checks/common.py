"""Checks of arguments that all backends share, so that all refuse the same input alike.

Each check returns None, or raises a TypeError (wrong kind or dtype) or a ValueError (wrong shape
or range) that names the argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastinv._common.validation import FLOAT32 as FLOAT32
from fastinv._common.validation import FLOAT64 as FLOAT64
from fastinv._common.validation import INTEGERS, NUMBERS
from fastinv.functions.networks import LOSSES, MixtureSpec, NetworkSpec

INT64 = np.dtype(np.int64)
FLOATS = (FLOAT32, FLOAT64)


def check_array(
    name: str,
    array: NDArray[Any],
    shape: tuple[int | None, ...],
    dtypes: Iterable[np.dtype[Any]] = FLOATS,
) -> None:
    """Check that `array` has one of `dtypes` and the `shape`; None is any length."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
    dtypes = tuple(dtypes)
    if array.dtype not in dtypes:
        wanted = " or ".join(str(dtype) for dtype in dtypes)
        raise TypeError(f"{name} must have dtype {wanted}, got {array.dtype}")
    if array.ndim != len(shape):
        _refuse_shape(name, array, shape)
    for have, want in zip(array.shape, shape, strict=True):
        if want is not None and have != want:
            _refuse_shape(name, array, shape)


def _refuse_shape(name: str, array: NDArray[Any], shape: tuple[int | None, ...]) -> NoReturn:
    lengths = ", ".join("n" if length is None else str(length) for length in shape)
    comma = "," if len(shape) == 1 else ""
    raise ValueError(f"{name} must have shape ({lengths}{comma}), got {array.shape}")


def check_finite(name: str, array: NDArray[Any]) -> None:
    if not np.isfinite(array).all():
        n_bad = int(np.count_nonzero(~np.isfinite(array)))
        raise ValueError(f"{name} must be finite, got {n_bad} entries that are NaN or infinite")


def check_not_empty(name: str, array: NDArray[Any]) -> None:
    if 0 in array.shape:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")


def check_count(name: str, value: int, *, high: int | None = None, high_name: str = "") -> None:
    """Check an integer from 1 to `high`, which messages call `high_name`."""
    if not isinstance(value, INTEGERS):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    if high is not None and value > high:
        raise ValueError(f"{name} must be at most {high_name} = {high}, got {value}")


def check_number(
    name: str, value: float, *, positive: bool = False, below: float | None = None
) -> None:
    """Check a real number: not NaN, at least 0 (above 0 if `positive`), under `below`."""
    if not isinstance(value, NUMBERS):
        raise TypeError(f"{name} must be a number, got {value!r}")
    fits = (value > 0 if positive else value >= 0) and (below is None or value < below)
    if not fits:
        wanted = "positive" if positive else "at least 0"
        if below is not None:
            wanted += " and finite" if below == np.inf else f" and below {below}"
        raise ValueError(f"{name} must be {wanted}, got {value}")


def check_parameters(
    name: str, spec: NetworkSpec, parameters: NDArray[Any], dtypes: Iterable[np.dtype[Any]] = FLOATS
) -> None:
    check_array(name, parameters, (spec.n_parameters,), dtypes)


def check_inputs(
    spec: NetworkSpec,
    X: NDArray[Any],
    out: NDArray[Any] | None,
    n_threads: int,
    dtypes: Iterable[np.dtype[Any]],
    out_dtype: np.dtype[Any],
) -> None:
    """Arguments of :meth:`Network.forward`."""
    check_array("X", X, (None, spec.n_inputs), dtypes)
    check_count("n_threads", n_threads)
    if out is None:
        return
    check_array("out", out, (len(X), spec.n_outputs), (out_dtype,))
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out must be C-contiguous and writeable")


def check_pairs(
    spec: NetworkSpec,
    n_targets: int,
    X: NDArray[Any],
    Y: NDArray[Any],
    n_threads: int,
    dtypes: Iterable[np.dtype[Any]] = FLOATS,
) -> None:
    """Check training data: `Y` ``(n, n_targets)`` has as many rows as `X`, at least one."""
    dtypes = tuple(dtypes)
    check_array("X", X, (None, spec.n_inputs), dtypes)
    check_array("Y", Y, (len(X), n_targets), dtypes)
    check_not_empty("X", X)
    check_count("n_threads", n_threads)


def check_loss(loss: str, huber_delta: float) -> None:
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {LOSSES}, got {loss!r}")
    check_number("huber_delta", huber_delta, positive=True, below=np.inf)


def check_mixture_rows(
    raw: NDArray[Any],
    targets: NDArray[Any],
    mixture: MixtureSpec,
    n_threads: int,
    *,
    same_dtype: bool = False,
) -> None:
    """Arguments of :meth:`Backend.mixture_nll`: any number of rows, NaN and infinity allowed."""
    check_array("raw", raw, (None, mixture.n_raw))
    dtypes = (raw.dtype,) if same_dtype else FLOATS
    check_array("targets", targets, (len(raw), mixture.n_dims), dtypes)
    check_count("n_threads", n_threads)


def check_components(
    weights: NDArray[Any], means: NDArray[Any], lower: NDArray[Any], n_threads: int
) -> None:
    """Arguments of :meth:`Backend.mixture_modes`."""
    check_array("means", means, (None, None, None), (FLOAT64,))
    n, k, d = means.shape
    check_array("weights", weights, (n, k), (FLOAT64,))
    check_array("lower", lower, (n, k, d, d), (FLOAT64,))
    check_count("n_threads", n_threads)


def check_mixture_network(spec: NetworkSpec, mixture: MixtureSpec) -> None:
    """Check that the network has as many outputs as the mixture takes."""
    if spec.n_outputs != mixture.n_raw:
        raise ValueError(
            f"spec must have mixture.n_raw = {mixture.n_raw} outputs, got {spec.n_outputs}"
        )


def check_adam(beta_1: float, beta_2: float, epsilon: float) -> None:
    check_number("beta_1", beta_1, below=1.0)
    check_number("beta_2", beta_2, below=1.0)
    check_number("epsilon", epsilon, positive=True, below=np.inf)


def check_epoch(
    order: NDArray[np.int64], n_rows: int, batch_size: int, learning_rate: float
) -> None:
    """Arguments of :meth:`Trainer.train_epoch` except its data of `n_rows` rows."""
    check_array("order", order, (None,), (INT64,))
    check_not_empty("order", order)
    if order.min() < 0 or order.max() >= n_rows:
        raise ValueError(
            f"order must hold row indices from 0 to {n_rows - 1}, "
            f"got {order.min()} to {order.max()}"
        )
    check_count("batch_size", batch_size)
    check_number("learning_rate", learning_rate, below=np.inf)


def check_state(
    spec: NetworkSpec, state: dict[str, NDArray[Any]], dtypes: Iterable[np.dtype[Any]]
) -> None:
    """Check a dictionary from :meth:`Trainer.state`."""
    wanted = {"parameters", "first_moment", "second_moment", "step"}
    if set(state) != wanted:
        raise ValueError(f"state must have the keys {sorted(wanted)}, got {sorted(state)}")
    dtypes = tuple(dtypes)
    for key in ("parameters", "first_moment", "second_moment"):
        check_parameters(f"state[{key!r}]", spec, state[key], dtypes)
    check_array("state['step']", state["step"], (), (INT64,))
    if state["step"] < 0:
        raise ValueError(f"state['step'] must be at least 0, got {state['step']}")


def check_points(points: NDArray[Any], leaf_size: int) -> None:
    check_array("points", points, (None, None))
    check_not_empty("points", points)
    check_finite("points", points)
    check_count("leaf_size", leaf_size)


def check_query(
    points_shape: tuple[int, ...],
    queries: NDArray[Any],
    k: int,
    n_threads: int,
    dtypes: Iterable[np.dtype[Any]],
) -> None:
    """Arguments of :meth:`NeighborIndex.query` over points of that shape."""
    check_array("queries", queries, (None, points_shape[1]), dtypes)
    check_finite("queries", queries)
    check_count("k", k, high=points_shape[0], high_name="the number of points")
    check_count("n_threads", n_threads)


def check_residuals(residuals: NDArray[np.float64]) -> None:
    check_array("residuals", residuals, (None, None), (FLOAT64,))
