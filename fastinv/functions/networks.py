"""The shapes of networks and of the mixtures that they give.

A network is a :class:`NetworkSpec` and one flat parameter vector: for each layer its weights
``(n_in, n_out)`` row by row, then its biases.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from fastinv._common.arrays import FloatArray

Activation = Literal["relu", "silu", "tanh", "identity"]
Loss = Literal["squared_error", "absolute_error", "huber"]
Covariance = Literal["spherical", "diag", "full"]

ACTIVATIONS: tuple[Activation, ...] = ("relu", "silu", "tanh", "identity")
COVARIANCES: tuple[Covariance, ...] = ("spherical", "diag", "full")
LOSSES: tuple[Loss, ...] = ("squared_error", "absolute_error", "huber")


@dataclass(frozen=True)
class NetworkSpec:
    """Shape of a multilayer perceptron: hidden layers share an activation, the last is linear.

    Parameters
    ----------
    layer_sizes : tuple of int
        ``(n_inputs, *hidden, n_outputs)``, at least two entries, all positive.
    activation : {"relu", "silu", "tanh", "identity"}
    """

    layer_sizes: tuple[int, ...]
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if len(self.layer_sizes) < 2 or any(size < 1 for size in self.layer_sizes):
            raise ValueError(
                f"layer_sizes must hold at least two positive sizes, got {self.layer_sizes}"
            )
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {ACTIVATIONS}, got {self.activation!r}")

    @property
    def n_inputs(self) -> int:
        return self.layer_sizes[0]

    @property
    def n_outputs(self) -> int:
        return self.layer_sizes[-1]

    @property
    def n_parameters(self) -> int:
        return sum((a + 1) * b for a, b in pairwise(self.layer_sizes))

    def layers(self, parameters: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """Views ``(weights (n_in, n_out), biases (n_out,))`` of a flat parameter vector."""
        if parameters.shape != (self.n_parameters,):
            raise ValueError(
                f"parameters must have shape ({self.n_parameters},), got {parameters.shape}"
            )
        views = []
        start = 0
        for n_in, n_out in pairwise(self.layer_sizes):
            weights = parameters[start : start + n_in * n_out].reshape(n_in, n_out)
            start += n_in * n_out
            views.append((weights, parameters[start : start + n_out]))
            start += n_out
        return views


@dataclass(frozen=True)
class MixtureSpec:
    """A mixture of Gaussians in n_dims dimensions, and how a network's raw outputs give it.

    A raw row holds ``logits (K) | means (K x D, component by component) | log scales``; the last
    are K numbers for "spherical", K x D for "diag", and for "full" the lower triangle of the
    Cholesky factor L of each covariance ``L L^T``, row by row, K x D(D+1)/2, of which the diagonal
    entries are logarithms. With ``e = min_weight`` and ``s = min_scale``:

    ``weights = (1 - K e) softmax(logits) + e``, ``scales = s + exp(log scales)``; the diagonal of L
    is a scale likewise.

    Parameters
    ----------
    n_components : int
        K
    n_dims : int
        D
    covariance_type : {"spherical", "diag", "full"}, default="diag"
    min_weight : float, default=0.0
        At least 0, below 1 / K.
    min_scale : float, default=0.0
        In the units of the targets. The gradient of a scale falls as the scale gets close to this,
        but never becomes zero.
    """

    n_components: int
    n_dims: int
    covariance_type: Covariance = "diag"
    min_weight: float = 0.0
    min_scale: float = 0.0

    def __post_init__(self) -> None:
        for name in ("n_components", "n_dims"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.covariance_type not in COVARIANCES:
            raise ValueError(
                f"covariance_type must be one of {COVARIANCES}, got {self.covariance_type!r}"
            )
        if not 0.0 <= self.min_weight < 1.0 / self.n_components:
            raise ValueError(
                f"min_weight must be at least 0 and below 1 / n_components = "
                f"{1.0 / self.n_components:g}, got {self.min_weight}"
            )
        if not 0.0 <= self.min_scale < float("inf"):
            raise ValueError(f"min_scale must be at least 0 and finite, got {self.min_scale}")

    @property
    def n_scales(self) -> int:
        """Raw scale entries per component."""
        d = self.n_dims
        return {"spherical": 1, "diag": d, "full": d * (d + 1) // 2}[self.covariance_type]

    @property
    def n_raw(self) -> int:
        """Length of a raw row."""
        return self.n_components * (1 + self.n_dims + self.n_scales)
