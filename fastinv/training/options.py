"""Options of a training, and the learning rate of each epoch."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from typing import Literal

from fastinv._common.validation import check_flag, check_integer, check_number, check_option

Schedule = Literal["constant", "plateau", "cosine"]
SCHEDULES: tuple[Schedule, ...] = ("constant", "plateau", "cosine")


@dataclass(frozen=True)
class Training:
    """Options of a training, with scikit-learn's names where they exist.

    Parameters
    ----------
    batch_size : int, default=200
        Rows per step.
    learning_rate : {"constant", "plateau", "cosine"}, default="constant"
        How the learning rate develops, see :meth:`rate`.
    learning_rate_init : float, default=1e-3
    learning_rate_min : float, default=0.0
        Last rate of "plateau" and "cosine".
    plateau_factor : float, default=0.5
        Factor on the rate in "plateau", between 0 and 1.
    plateau_patience : int, default=5
        Epochs without progress before the rate falls.
    plateau_tol : float or None, default=None
        Progress in "plateau" is a loss lower by more than this than at the last progress, as in
        Keras, whose default is 1e-4. None uses `tol`.
    max_iter : int, default=200
        Epochs.
    early_stopping : bool, default=False
        Whether progress is judged by the loss on the validation set rather than in training.
    n_iter_no_change : int or None, default=10
        Training ends after more than this many epochs without progress; never with None.
    tol : float, default=1e-4
        Progress is a loss at least this much below the lowest so far.
    checkpoint : str, os.PathLike or None, default=None
        File to write the state of the training to, and to continue from if it exists.
    checkpoint_every : int, default=10
        Epochs between two writes.
    verbose : int or bool, default=0
        1 shows a progress bar, 2 also a line per epoch, both on standard error.
    """

    batch_size: int = 200
    learning_rate: Schedule = "constant"
    learning_rate_init: float = 1e-3
    learning_rate_min: float = 0.0
    plateau_factor: float = 0.5
    plateau_patience: int = 5
    plateau_tol: float | None = None
    max_iter: int = 200
    early_stopping: bool = False
    n_iter_no_change: int | None = 10
    tol: float = 1e-4
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: int = 10
    verbose: int = 0

    def __post_init__(self) -> None:
        for name in (
            "batch_size",
            "plateau_patience",
            "max_iter",
            "checkpoint_every",
        ):
            check_integer(getattr(self, name), name)
        if self.n_iter_no_change is not None:
            check_integer(self.n_iter_no_change, "n_iter_no_change")
        check_option(self.learning_rate, "learning_rate", SCHEDULES)
        check_number(self.learning_rate_init, "learning_rate_init", above=0.0)
        check_number(self.learning_rate_min, "learning_rate_min", minimum=0.0)
        if self.learning_rate_min > self.learning_rate_init:
            raise ValueError(
                f"learning_rate_min must be at most learning_rate_init, "
                f"got {self.learning_rate_min} and {self.learning_rate_init}"
            )
        check_number(self.plateau_factor, "plateau_factor", above=0.0, below=1.0)
        check_number(self.tol, "tol", minimum=0.0)
        if self.plateau_tol is not None:
            check_number(self.plateau_tol, "plateau_tol", minimum=0.0)
        check_flag(self.early_stopping, "early_stopping")
        verbose = int(self.verbose) if isinstance(self.verbose, bool) else self.verbose
        check_integer(verbose, "verbose", minimum=0)
        if self.checkpoint is not None and not isinstance(self.checkpoint, str | os.PathLike):
            raise TypeError(f"checkpoint must be a path or None, got {self.checkpoint!r}")

    def rate(self, epoch: int, n_reductions: int) -> float:
        """The learning rate of `epoch`, counted from 0, after `n_reductions` plateaus.

        With r0 = ``learning_rate_init`` and r1 = ``learning_rate_min`` it is r0 for "constant",
        ``max(r1, r0 * plateau_factor**n_reductions)`` for "plateau", and for "cosine"
        ``r1 + (r0 - r1) * (1 + cos(pi * epoch / max_iter)) / 2`` (Loshchilov & Hutter 2017,
        eq. 5, without restarts).
        """
        first, last = self.learning_rate_init, self.learning_rate_min
        if self.learning_rate == "plateau":
            return max(last, first * self.plateau_factor**n_reductions)
        if self.learning_rate == "cosine":
            return last + (first - last) * (1.0 + math.cos(math.pi * epoch / self.max_iter)) / 2.0
        return first

    def identity(self) -> dict[str, object]:
        """The options that affect the weights. Only "cosine" depends on ``max_iter``: other
        trainings may be continued for longer."""
        free = {"checkpoint", "checkpoint_every", "verbose"}
        if self.learning_rate != "cosine":
            free.add("max_iter")
        return {name: value for name, value in asdict(self).items() if name not in free}
