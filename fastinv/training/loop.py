"""The training loop of every network: batches, schedule, early stopping, checkpoints, progress.

Python runs only between epochs; an epoch is one call of a backend's trainer.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, Protocol

import numpy as np

from fastinv._common.arrays import FloatArray
from fastinv.backends.protocol import Trainer
from fastinv.training.checkpoints import CheckpointFile, Identity, fingerprint
from fastinv.training.options import SCHEDULES, Schedule, Training
from fastinv.training.pace import Pace
from fastinv.training.progress import Epoch, epoch_progress

__all__ = [
    "SCHEDULES",
    "AfterEpoch",
    "EpochSource",
    "FixedData",
    "History",
    "Outcome",
    "Schedule",
    "Training",
    "train",
]

Stop = Literal["no_change", "max_iter", "interrupted"]
Rows = tuple[FloatArray, FloatArray]
AfterEpoch = Callable[[Trainer, int, np.random.Generator], int]


class EpochSource(Protocol):
    """The source of the rows of each epoch."""

    def epoch(self, rng: np.random.Generator) -> Rows:
        """Inputs ``(n, n_inputs)`` and targets ``(n, n_outputs)`` of the next epoch; random
        numbers come from `rng` alone."""
        ...

    def fingerprint(self) -> str:
        """Differs between sources that give different rows from the same `rng`."""
        ...


@dataclass(frozen=True, eq=False)
class FixedData:
    """The same rows in every epoch: `X` ``(n, n_inputs)`` and `Y` ``(n, n_outputs)``."""

    X: FloatArray
    Y: FloatArray

    def epoch(self, rng: np.random.Generator) -> Rows:
        return self.X, self.Y

    def fingerprint(self) -> str:
        return fingerprint((self.X, self.Y))


@dataclass(frozen=True)
class History:
    """Results of each epoch: training loss, validation loss (empty without a validation set),
    learning rate, and what `after_epoch` changed (empty without one)."""

    loss: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()
    learning_rate: tuple[float, ...] = ()
    n_changes: tuple[int, ...] = ()

    @property
    def last_epoch(self) -> Epoch:
        validation_loss = self.validation_loss[-1] if self.validation_loss else None
        return Epoch(len(self.loss), self.loss[-1], validation_loss, self.learning_rate[-1])

    def with_epoch(
        self, loss: float, validation_loss: float | None, rate: float, n_changes: int | None
    ) -> History:
        return History(
            (*self.loss, loss),
            (*self.validation_loss, *(() if validation_loss is None else (validation_loss,))),
            (*self.learning_rate, rate),
            (*self.n_changes, *(() if n_changes is None else (n_changes,))),
        )


@dataclass(frozen=True, eq=False)
class Outcome:
    """Result of a training.

    Attributes
    ----------
    parameters : ndarray of shape (n_parameters,)
        Parameters after the epoch with the lowest validation loss, or without a validation set, the
        last epoch.
    history : History
    best_loss : float
        Lowest training loss of an epoch.
    best_validation_loss : float or None
    stopped : {"no_change", "max_iter", "interrupted"}
    """

    parameters: FloatArray
    history: History
    best_loss: float
    best_validation_loss: float | None
    stopped: Stop


@dataclass(frozen=True, eq=False)
class _State:
    """The state after a whole number of epochs. It is replaced in one step, so that an
    interruption always finds a consistent state."""

    parameters: FloatArray
    best_parameters: FloatArray
    best_loss: float = math.inf
    best_validation_loss: float = math.inf
    n_no_change: int = 0  # epochs without progress
    n_plateau: int = 0  # the same, but restarts after each reduction of the rate
    n_reductions: int = 0
    plateau_loss: float = math.inf  # reference loss for plateaus, with a plateau_tol
    history: History = field(default_factory=History)

    @property
    def epoch(self) -> int:
        return len(self.history.loss)

    def after_epoch(
        self,
        training: Training,
        parameters: FloatArray,
        loss: float,
        validation_loss: float | None,
        rate: float,
        n_changes: int | None,
    ) -> _State:
        if training.early_stopping and validation_loss is not None:
            judged, best_before = validation_loss, self.best_validation_loss
        else:
            judged, best_before = loss, self.best_loss
        progress = judged <= best_before - training.tol
        plateau_tol = training.plateau_tol
        descends = progress if plateau_tol is None else judged < self.plateau_loss - plateau_tol
        n_plateau = 0 if descends else self.n_plateau + 1
        reduce = n_plateau >= training.plateau_patience
        best = validation_loss is None or validation_loss < self.best_validation_loss
        return _State(
            parameters=parameters,
            best_parameters=parameters if best else self.best_parameters,
            best_loss=min(self.best_loss, loss),
            best_validation_loss=min(
                self.best_validation_loss, math.inf if validation_loss is None else validation_loss
            ),
            n_no_change=0 if progress else self.n_no_change + 1,
            n_plateau=0 if reduce else n_plateau,
            n_reductions=self.n_reductions + reduce,
            plateau_loss=judged if descends else self.plateau_loss,
            history=self.history.with_epoch(loss, validation_loss, rate, n_changes),
        )


def train(
    trainer: Trainer,
    source: EpochSource,
    training: Training,
    *,
    rng: np.random.Generator,
    validation: Rows | None = None,
    network: Mapping[str, object] | None = None,
    after_epoch: AfterEpoch | None = None,
    n_threads: int | Pace = 1,
) -> Outcome:
    """Train until progress ends, ``max_iter`` epochs are done, or Ctrl-C.

    Ctrl-C keeps the result of the finished epochs and warns; without any it raises.
    With a checkpoint the training continues from an existing file and ends with the same bits as
    if it had never stopped.

    Parameters
    ----------
    trainer : Trainer
        At its first parameters. Afterwards it is in the last state of the training.
    source : EpochSource
    training : Training
    rng : numpy.random.Generator
        Draws the rows and their order. Its state must fit JSON, like that of PCG64.
    validation : (X, Y) or None, default=None
        Rows to judge parameters by, shaped like those of `source`.
    network : mapping or None, default=None
        JSON-like description of the network and its loss, for the checkpoint to compare.
    after_epoch : callable or None, default=None
        Called with the trainer, the number of epochs done and `rng` before each validation. It may
        change the trainer's state, and returns the number of changes. For a checkpointed
        training to resume to the same bits, it must depend on these arguments alone.
    n_threads : int or Pace, default=1
        Has no influence on the result.

    Returns
    -------
    Outcome

    Raises
    ------
    ValueError
        Early stopping without a validation set; a checkpoint that is damaged, of another format
        or of another training.
    FloatingPointError
        If a loss or a parameter stops being finite.

    Warns
    -----
    UserWarning
        If interrupted.
    """
    if training.early_stopping and validation is None:
        raise ValueError("early_stopping needs a validation set, got validation=None")
    first = trainer.parameters()
    state = _State(parameters=first, best_parameters=first)
    file = None
    if training.checkpoint is not None:
        identity = _identity(source, training, rng, validation, network or {}, first)
        file = CheckpointFile(training.checkpoint, identity)
        state = _resumed(file, trainer, rng, state)
    pace = n_threads if isinstance(n_threads, Pace) else Pace(n_threads)
    interrupted = False
    try:
        with epoch_progress(training.max_iter, state.epoch, training.verbose) as report:
            while not _has_ended(training, state):
                state = _next_state(
                    trainer, source, training, state, rng, validation, after_epoch, pace
                )
                report(state.history.last_epoch)
                if file is not None and _is_due(training, state):
                    _save(file, trainer, rng, state)
    except KeyboardInterrupt:
        if state.epoch == 0:
            raise
        interrupted = True
        kept = "last" if validation is None else "best"
        warnings.warn(
            f"Training interrupted after {state.epoch} epochs: the {kept} weights are kept",
            UserWarning,
            stacklevel=2,
        )
    ended: Stop = "no_change" if _is_stuck(training, state) else "max_iter"
    return Outcome(
        parameters=state.best_parameters,
        history=state.history,
        best_loss=state.best_loss,
        best_validation_loss=None if validation is None else state.best_validation_loss,
        stopped="interrupted" if interrupted else ended,
    )


def _next_state(
    trainer: Trainer,
    source: EpochSource,
    training: Training,
    state: _State,
    rng: np.random.Generator,
    validation: Rows | None,
    after_epoch: AfterEpoch | None,
    pace: Pace,
) -> _State:
    """Train for one epoch and evaluate it."""
    rate = training.rate(state.epoch, state.n_reductions)
    X, Y = source.epoch(rng)
    order = rng.permutation(len(X))
    with pace.epoch() as n_threads:
        loss = trainer.train_epoch(
            X, Y, order, batch_size=training.batch_size, learning_rate=rate, n_threads=n_threads
        )
    n_changes = None if after_epoch is None else after_epoch(trainer, state.epoch + 1, rng)
    validation_loss = None
    if validation is not None:
        validation_loss = trainer.loss(*validation, n_threads=n_threads)
    parameters = trainer.parameters()
    _check_finite(state.epoch + 1, rate, loss, validation_loss, parameters)
    return state.after_epoch(training, parameters, loss, validation_loss, rate, n_changes)


def _is_stuck(training: Training, state: _State) -> bool:
    patience = training.n_iter_no_change
    return patience is not None and state.n_no_change > patience


def _has_ended(training: Training, state: _State) -> bool:
    return state.epoch >= training.max_iter or _is_stuck(training, state)


def _is_due(training: Training, state: _State) -> bool:
    return _has_ended(training, state) or state.epoch % training.checkpoint_every == 0


def _check_finite(
    epoch: int, rate: float, loss: float, validation_loss: float | None, parameters: FloatArray
) -> None:
    finite = math.isfinite(loss) and math.isfinite(validation_loss or 0.0)
    if not (finite and np.isfinite(parameters).all()):
        raise FloatingPointError(
            f"training diverged in epoch {epoch} at learning rate {rate:g}: training loss {loss}, "
            f"validation loss {validation_loss}; lower learning_rate_init, or scale the data"
        )


def _identity(
    source: EpochSource,
    training: Training,
    rng: np.random.Generator,
    validation: Rows | None,
    network: Mapping[str, object],
    first_parameters: FloatArray,
) -> Identity:
    generator = np.frombuffer(json.dumps(rng.bit_generator.state).encode(), dtype=np.uint8)
    return Identity(
        options=training.identity(),
        network=network,
        data=source.fingerprint() + fingerprint(validation or ()),
        start=fingerprint((first_parameters, generator)),
    )


def _save(file: CheckpointFile, trainer: Trainer, rng: np.random.Generator, state: _State) -> None:
    progress = {
        "best_loss": state.best_loss,
        "best_validation_loss": state.best_validation_loss,
        "n_no_change": state.n_no_change,
        "n_plateau": state.n_plateau,
        "n_reductions": state.n_reductions,
        "plateau_loss": state.plateau_loss,
        "history": asdict(state.history),
        "rng": rng.bit_generator.state,
    }
    tensors = {f"trainer.{name}": tensor for name, tensor in trainer.state().items()}
    file.save(tensors | {"best_parameters": state.best_parameters}, progress)


def _resumed(
    file: CheckpointFile, trainer: Trainer, rng: np.random.Generator, start: _State
) -> _State:
    """The state in `file`, restoring `trainer` and `rng`; `start` without a file."""
    like = {f"trainer.{name}": tensor for name, tensor in trainer.state().items()}
    found = file.load(like | {"best_parameters": start.best_parameters})
    if found is None:
        return start
    tensors, progress = found
    best_parameters = tensors.pop("best_parameters")
    rng.bit_generator.state = progress.pop("rng")
    trainer.load_state({name.removeprefix("trainer."): t for name, t in tensors.items()})
    history = History(**{name: tuple(values) for name, values in progress.pop("history").items()})
    return _State(trainer.parameters(), best_parameters, history=history, **progress)
