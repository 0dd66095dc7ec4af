"""The shared fit of estimators with a network: options, rows, training, results, pickling."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from fastinv._common.arrays import Float64Array, FloatArray
from fastinv._common.parameters import Effect, check_effects, only_with
from fastinv._common.threads import threads_that_pay
from fastinv._common.validation import RandomState
from fastinv.backends import get_backend
from fastinv.backends.protocol import Backend, Network, Trainer
from fastinv.estimators.networks import (
    Float32Array,
    check_resumable,
    initial_parameters,
    mean_and_scale,
    split_rows,
    standardize,
    training_flops,
)
from fastinv.functions.networks import NetworkSpec
from fastinv.training import AfterEpoch, EpochSource, Outcome, Rows, Schedule, Training, train
from fastinv.training.pace import Pace

_OPTIONS = {field.name for field in fields(Training)}


NETWORK_EFFECTS = (
    only_with(("plateau_factor", "plateau_patience"), "learning_rate", "plateau"),
    only_with(("huber_delta",), "loss", "huber"),
)
_DATA_EFFECTS = (
    only_with(("validation_fraction",), "early_stopping", True),
    Effect(
        ("tol",),
        lambda given: given.n_iter_no_change is not None or given.learning_rate == "plateau",
        "with n_iter_no_change=None and learning_rate={learning_rate!r}",
        "n_iter_no_change or learning_rate='plateau'",
    ),
    Effect(
        ("checkpoint_every",),
        lambda given: given.checkpoint is not None,
        "with checkpoint=None",
        "a checkpoint",
    ),
)


class NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """Base of the estimators that train a network by :func:`fastinv.training.train`.

    Their parameters have the names of :class:`fastinv.training.Training`. A subclass may replace

    - :meth:`_initial_parameters`, the first weights and biases;
    - ``_plateau_tol``, what keeps "plateau" from lowering the rate, see
      :class:`fastinv.training.Training`;
    - ``_effects``, which say where parameters act; where they do not, setting them is an error.
    """

    _effects: ClassVar[tuple[Effect, ...]] = NETWORK_EFFECTS
    _plateau_tol: ClassVar[float | None] = None

    backend: Any
    n_threads: int | None

    def _training(self, **changes: Any) -> Training:
        """The options of the training loop, checked; `changes` replace parameters."""
        options = {name: value for name, value in vars(self).items() if name in _OPTIONS}
        training = Training(**{**options, "plateau_tol": self._plateau_tol, **changes})
        check_effects(self, self._effects)
        return training

    def _initial_parameters(self, spec: NetworkSpec, rng: np.random.Generator) -> FloatArray:
        """First weights and biases, flat."""
        return initial_parameters(spec, rng)

    def _backend(self) -> Backend:
        return get_backend(self.backend)

    def _train(
        self,
        trainer: Trainer,
        spec: NetworkSpec,
        source: EpochSource,
        training: Training,
        *,
        identity: Mapping[str, object],
        rng: np.random.Generator,
        validation: Rows | None,
        batch_size: int,
        after_epoch: AfterEpoch | None = None,
    ) -> Outcome:
        """Train once.

        `identity` says, beside sizes, activation and backend, what a checkpoint must have in
        common with this training. A step takes `batch_size` rows at most.
        """
        network = {
            "layer_sizes": spec.layer_sizes,
            "activation": spec.activation,
            "backend": self._backend().name,
            **identity,
        }
        return train(
            trainer,
            source,
            training,
            rng=rng,
            validation=validation,
            network=network,
            after_epoch=after_epoch,
            n_threads=Pace.of(self.n_threads, training_flops(spec, batch_size)),
        )

    def _keep(self, spec: NetworkSpec, outcome: Outcome) -> None:
        """Set the fitted attributes from `outcome`."""
        history = outcome.history
        self.spec_ = spec
        self.parameters_: Float32Array = outcome.parameters.astype(np.float32, copy=False)
        self.loss_curve_ = list(history.loss)
        self.validation_loss_curve_ = list(history.validation_loss) or None
        self.learning_rate_curve_ = list(history.learning_rate)
        self.best_loss_ = outcome.best_loss
        self.best_validation_loss_ = outcome.best_validation_loss
        self.n_iter_ = len(history.loss)
        self.stopped_ = outcome.stopped


class DataNetwork(NetworkEstimator):
    """Base of estimators that learn y from X, standardised inside, and predict by a network.

    A subclass may replace :meth:`_scaling`, too.
    """

    _effects: ClassVar[tuple[Effect, ...]] = NETWORK_EFFECTS + _DATA_EFFECTS

    learning_rate: Schedule
    max_iter: int
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int | None
    checkpoint: str | os.PathLike[str] | None
    random_state: RandomState
    _network: Network

    def _training(self, **changes: Any) -> Training:
        check_resumable(self.checkpoint, self.random_state)
        return super()._training(**changes)

    def _validated(self, X: ArrayLike, y: ArrayLike) -> tuple[Any, Any]:
        """`X` and `y` as arrays; their values are checked later."""
        as_given = {"dtype": np.float64, "ensure_all_finite": False}
        X, y = validate_data(
            self, X, y, validate_separately=(as_given, {**as_given, "ensure_2d": False})
        )
        return X, y

    def _scaling(self, values: Float64Array, name: str) -> tuple[Float64Array, Float64Array]:
        """Mean and scale of each column: the network sees ``(values - mean) / scale``."""
        return mean_and_scale(values, name)

    def _scaled_rows(
        self, X: Float64Array, y: Float64Array, rng: np.random.Generator
    ) -> tuple[Rows, Rows | None]:
        """Scaled rows to train on, and those held out for early stopping; sets the scalings."""
        self.x_mean_, self.x_scale_ = self._scaling(X, "X")
        self.y_mean_, self.y_scale_ = self._scaling(y, "y")
        inputs = standardize(X, self.x_mean_, self.x_scale_)
        targets = standardize(y, self.y_mean_, self.y_scale_)
        if not self.early_stopping:
            return (inputs, targets), None
        rows, held_out = split_rows(len(X), self.validation_fraction, rng)
        return (inputs[rows], targets[rows]), (inputs[held_out], targets[held_out])

    def _warn_if_cut_short(self) -> None:
        """Warn that `max_iter` ended a training before its progress ended."""
        patient = self.n_iter_no_change is not None
        if self.stopped_ == "max_iter" and patient and self.learning_rate != "cosine":
            warnings.warn(
                f"Training ended after max_iter={self.max_iter} epochs, before "
                "n_iter_no_change of them passed without progress: raise max_iter, or let the "
                "learning rate fall (learning_rate='cosine')",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _scaled_inputs(self, X: ArrayLike) -> Float32Array:
        """`X` (n, p) of a fitted estimator as the network sees it; n may be 0."""
        check_is_fitted(self)
        inputs: Float64Array = validate_data(
            self, X, reset=False, dtype=np.float64, ensure_min_samples=0
        )
        return standardize(inputs, self.x_mean_, self.x_scale_)

    def _forward(self, scaled: FloatArray) -> FloatArray:
        """The network's raw outputs for `scaled` inputs."""
        flops = 2.0 * self.spec_.n_parameters * len(scaled)
        return self._network.forward(scaled, n_threads=threads_that_pay(self.n_threads, flops))

    def _keep(self, spec: NetworkSpec, outcome: Outcome) -> None:
        super()._keep(spec, outcome)
        self._network = self._build_network()

    def _build_network(self) -> Network:
        return self._backend().network(self.spec_, self.parameters_)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_network"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "parameters_" in state:
            self._network = self._build_network()
