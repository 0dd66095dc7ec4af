"""The network of a twin solver: how it is built and trained."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastinv._common.parameters import Effect, only_with
from fastinv._common.validation import RandomState, check_integer, check_random_state
from fastinv.backends import get_backend
from fastinv.backends.protocol import Backend
from fastinv.estimators.network_fit import NETWORK_EFFECTS, NetworkEstimator
from fastinv.estimators.networks import check_hidden_layer_sizes
from fastinv.estimators.twin_pairs import PairSource
from fastinv.functions.networks import Activation, Loss, NetworkSpec
from fastinv.training import Schedule, Training

_EFFECTS = (
    only_with(("n_iter_no_change",), "early_stopping", True),
    Effect(
        ("tol",),
        lambda given: given.early_stopping or given.learning_rate == "plateau",
        "with early_stopping=False and learning_rate={learning_rate!r}",
        "early_stopping=True or learning_rate='plateau'",
    ),
)


class TwinNetwork(NetworkEstimator):
    """The network F of a :class:`TwinSolver`, which maps (y, y_a, x_a) to the step x - x_a.

    It is given to the solver, ``TwinSolver(f, network=fi.TwinNetwork(max_iter=50))``, which trains
    a copy of it on pairs and keeps that as ``solver.network_``. It is of no use alone: it
    has no ``fit(X, y)``, since it learns from pairs, and no ``predict``, since a step
    means nothing without the anchor that it starts from. It does not pass scikit-learn's checks of
    regressors; ``get_params``, ``set_params`` and ``clone`` work.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(128, 128, 128)
        Empty for a linear model.
    activation : {"relu", "silu", "tanh", "identity"}, default="relu"
        Activation of the hidden layers; the last layer is linear.
    loss : {"absolute_error", "squared_error", "huber"}, default="absolute_error"
        Loss of scaled steps.
    huber_delta : float, default=1.0
        Where "huber" turns from quadratic to linear, in scaled steps.
    batch_size : int, default=256
    learning_rate : {"cosine", "constant", "plateau"}, default="cosine"
        See :meth:`fastinv.training.Training.rate`.
    learning_rate_init : float, default=3e-3
    plateau_factor : float, default=0.5
    plateau_patience : int, default=5
    max_iter : int, default=100
        Epochs at most.
    early_stopping : bool, default=False
        End training after `n_iter_no_change` epochs without progress of at least `tol` on the
        validation pairs. The best weights on them are kept in any case.
    n_iter_no_change : int, default=20
    tol : float, default=1e-5
        Progress is a loss at least so much below the lowest so far.
    checkpoint : str, os.PathLike or None, default=None
        File to write the training's state to, and to continue from, to the same bits, if it
        exists. Needs a solver whose `random_state` is not None.
    backend : {"auto", "cpp", "reference"}, Backend or None, default=None
        None takes the solver's, as "auto" does.
    n_threads : int or None, default=None
        None takes the solver's.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the first weights and of each epoch's draws. None continues the solver's.
    verbose : int or None, default=None
        1 shows a progress bar, 2 also a line per epoch, both on standard error. None and 0 take
        the solver's.

    Attributes
    ----------
    model_ : TwinModel
        The trained network with its scales, as the solve pipeline takes it.
    spec_ : NetworkSpec
    parameters_ : ndarray of shape (spec_.n_parameters,), float32
        Weights and biases, flat.
    loss_curve_, validation_loss_curve_ : list of float
        Losses of each epoch, in units of scaled steps.
    learning_rate_curve_ : list of float
    best_loss_, best_validation_loss_ : float
        The lowest of these.
    n_iter_ : int
        Epochs trained.
    stopped_ : {"no_change", "max_iter", "interrupted"}
        Why training ended.

    Examples
    --------
    >>> import fastinv as fi
    >>> arm = fi.problems.two_link_arm
    >>> network = fi.TwinNetwork((64, 64), max_iter=5, batch_size=512)
    >>> solver = fi.TwinSolver(arm.forward, bounds=arm.bounds, network=network, random_state=0)
    >>> solver.fit().network_.n_iter_
    5
    """

    _effects = NETWORK_EFFECTS + _EFFECTS

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (128, 128, 128),
        activation: Activation = "relu",
        *,
        loss: Loss = "absolute_error",
        huber_delta: float = 1.0,
        batch_size: int = 256,
        learning_rate: Schedule = "cosine",
        learning_rate_init: float = 3e-3,
        plateau_factor: float = 0.5,
        plateau_patience: int = 5,
        max_iter: int = 100,
        early_stopping: bool = False,
        n_iter_no_change: int = 20,
        tol: float = 1e-5,
        checkpoint: str | os.PathLike[str] | None = None,
        backend: str | Backend | None = None,
        n_threads: int | None = None,
        random_state: RandomState = None,
        verbose: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.huber_delta = huber_delta
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.plateau_factor = plateau_factor
        self.plateau_patience = plateau_patience
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.checkpoint = checkpoint
        self.backend = backend
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def check(self) -> None:
        """Refuse parameters of the wrong kind or out of range, before any work is done.

        Raises
        ------
        TypeError, ValueError
        """
        self._training()
        check_hidden_layer_sizes(self.hidden_layer_sizes)

    def fit_pairs(self, pairs: PairSource, rng: np.random.Generator) -> TwinNetwork:
        """Train on pairs, from new weights (or from the checkpoint).

        Parameters
        ----------
        pairs : PairSource
        rng : numpy.random.Generator
            Used where `random_state` is None.

        Returns
        -------
        TwinNetwork
            Itself.

        Raises
        ------
        TypeError, ValueError
            A parameter of the wrong kind or out of range; a checkpoint that is damaged or of
            another training.
        FloatingPointError
            If training diverges.
        """
        training = self._training()
        if self.random_state is not None:
            rng = check_random_state(self.random_state)
        inputs, targets = pairs.validation
        hidden = check_hidden_layer_sizes(self.hidden_layer_sizes)
        spec = NetworkSpec((inputs.shape[1], *hidden, targets.shape[1]), self.activation)
        options: dict[str, Any] = {"loss": self.loss, "huber_delta": self.huber_delta}
        outcome = self._train(
            self._backend().trainer(spec, self._initial_parameters(spec, rng), **options),
            spec,
            pairs.epochs,
            training,
            identity={"estimator": "TwinNetwork", **options},
            rng=rng,
            validation=pairs.validation,
            batch_size=training.batch_size,
        )
        self._keep(spec, outcome)
        self.model_ = pairs.scaling.network(spec, self.parameters_)
        return self

    def _training(self, **changes: Any) -> Training:
        check_integer(self.n_iter_no_change, "n_iter_no_change")
        patience = self.n_iter_no_change if self.early_stopping else None
        verbose = 0 if self.verbose is None else self.verbose
        return super()._training(n_iter_no_change=patience, verbose=verbose, **changes)

    def _backend(self) -> Backend:
        return get_backend("auto" if self.backend is None else self.backend)
