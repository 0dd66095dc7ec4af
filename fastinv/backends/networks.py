"""Networks and their training, as backends offer them."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from fastinv._common.arrays import FloatArray, IntArray


class Network(Protocol):
    """An immutable network: safe to call from any number of threads at once."""

    def forward(
        self, X: FloatArray, *, out: FloatArray | None = None, n_threads: int = 1
    ) -> FloatArray:
        """Outputs ``(n, n_outputs)`` of the rows of `X` ``(n, n_inputs)``."""
        ...


class Trainer(Protocol):
    """Parameters with Adam's moments (Kingma & Ba 2015, algorithm 1)."""

    def train_epoch(
        self,
        X: FloatArray,
        Y: FloatArray,
        order: IntArray,
        *,
        batch_size: int,
        learning_rate: float,
        n_threads: int = 1,
    ) -> float:
        """One step per batch of `order`, the last batch possibly smaller.

        Returns the mean of the loss over the rows of `order`, each at the parameters before the
        step of its batch. An epoch that Ctrl-C ends has taken whole steps, and can be followed by
        others; only of a batch of many thousand rows, a part of the parameters may have moved.
        """
        ...

    def loss(self, X: FloatArray, Y: FloatArray, *, n_threads: int = 1) -> float:
        """Mean loss over rows and outputs at the present parameters."""
        ...

    def parameters(self) -> FloatArray:
        """A copy of the present parameters, flat."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of ``parameters``, ``first_moment``, ``second_moment``, ``step`` (0-d int64)."""
        ...

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from what :meth:`state` returned."""
        ...
