"""Losses of raw network outputs, for networks that are trained elsewhere."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastinv._common.threads import threads_that_pay
from fastinv._common.validation import as_floats, check_integer, check_number, check_option
from fastinv.backends import Backend, get_backend
from fastinv.functions.networks import COVARIANCES, Covariance, MixtureSpec

FloatArray = NDArray[np.floating[Any]]

_FLOPS_PER_RAW_OUTPUT = 60.0  # an exponential and some arithmetic
_mixture_spec = lru_cache(maxsize=64)(MixtureSpec)  # most callers have one, for thousands of calls


def mixture_nll(
    raw: ArrayLike,
    targets: ArrayLike,
    n_components: int,
    covariance_type: Covariance = "diag",
    *,
    min_weight: float = 0.0,
    min_scale: float = 0.0,
    backend: str | Backend = "auto",
    n_threads: int | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Negative log-likelihood of Gaussian mixtures, and its gradient by a network's raw outputs.

    This is the loss of a mixture density network (Bishop 1994; Bishop 2006, Pattern Recognition
    and Machine Learning, eq. 5.148 to 5.157), by log-sum-exp throughout: target ``i`` under the
    mixture that row ``i`` of `raw` describes. With K = `n_components` and D the columns of
    `targets`, a row holds, in this order,

    - K logits: ``weights = (1 - K min_weight) softmax(logits) + min_weight``;
    - K x D means, component by component;
    - log scales, component by component, with ``scale = min_scale + exp(log scale)``: one each for
      "spherical"; D each for "diag"; for "full" the D (D + 1) / 2 entries of the lower triangle
      of the Cholesky factor L of the covariance ``L L^T``, row by row. Its diagonal entries
      are log scales; the others are used unchanged.

    Parameters
    ----------
    raw : array-like of shape (n, n_raw)
        float32 stays, everything else becomes float64. Masked entries count as NaN.
    targets : array-like of shape (n, D), or (n,) for D = 1
        Rounded to the dtype of `raw`.
    n_components : int
        K, at least 1.
    covariance_type : {"spherical", "diag", "full"}, default="diag"
    min_weight : float, default=0.0
        The least weight a component can have, at least 0 and below 1 / K.
    min_scale : float, default=0.0
        A floor under the scales, in the units of the targets, so that no component collapses onto
        a target that occurs twice.
    backend : {"auto", "cpp", "reference"} or Backend, default="auto"
    n_threads : int or None, default=None
        None takes one thread for little work, else what the machine and threadpoolctl's limits
        allow. It does not change the result.

    Returns
    -------
    loss : ndarray of shape (n,)
        In nats, not averaged.
    gradient : ndarray of shape (n, n_raw)
        ``d loss[i] / d raw[i]``.

    Raises
    ------
    ValueError
        If a shape does not fit, `n_components` is below 1, `covariance_type` is unknown, or
        `min_weight` or `min_scale` is out of range.
    TypeError
        If `n_components` or `n_threads` is not an integer, or a floor is not a number.

    Notes
    -----
    A negative loss is no error: a density, unlike a probability, may exceed 1, and does if
    scales are small in the units of the targets.

    Loss and gradient are finite for finite targets and for every `raw` except NaN, which gives NaN
    in its own row. A logit of -inf is a weight of exactly 0, with a gradient of 0 (if all are
    -inf, the weights are equal). To avoid overflow, log scales are limited to 40 in size
    (float64: 300) and distances to 1e15 scales (1e120), with the gradient at the limit.

    Examples
    --------
    The standard normal density at 0 is 0.3989, and at its mean only the log scale has a slope:

    >>> import numpy as np
    >>> loss, gradient = mixture_nll([[0.0, 0.0, 0.0]], [0.0], n_components=1)
    >>> float(np.exp(-loss[0]).round(4)), gradient.tolist()
    (0.3989, [[0.0, 0.0, 1.0]])
    """
    raw = as_floats(raw, "raw")
    targets = as_floats(targets, "targets", raw.dtype)
    if raw.ndim != 2:
        raise ValueError(f"raw must have shape (n, n_raw), got shape {raw.shape}")
    if targets.ndim == 1:
        targets = targets[:, None]
    if targets.ndim != 2 or len(targets) != len(raw) or targets.shape[1] == 0:
        raise ValueError(
            f"targets must have shape ({len(raw)}, D) or ({len(raw)},), one row for each of raw, "
            f"got shape {targets.shape}"
        )
    mixture = _mixture_spec(
        check_integer(n_components, "n_components"),
        targets.shape[1],
        check_option(covariance_type, "covariance_type", COVARIANCES),
        check_number(min_weight, "min_weight", minimum=0.0),
        check_number(min_scale, "min_scale", minimum=0.0),
    )
    if raw.shape[1] != mixture.n_raw:
        raise ValueError(
            f"raw must have {mixture.n_raw} columns for n_components={mixture.n_components}, "
            f"covariance_type={covariance_type!r} and targets of {mixture.n_dims} columns, "
            f"got shape {raw.shape}"
        )
    threads = threads_that_pay(n_threads, flops=raw.size * _FLOPS_PER_RAW_OUTPUT)
    loss, gradient = get_backend(backend).mixture_nll(raw, targets, mixture, n_threads=threads)
    # The reference backend always computes in float64.
    return loss.astype(raw.dtype, copy=False), gradient.astype(raw.dtype, copy=False)
