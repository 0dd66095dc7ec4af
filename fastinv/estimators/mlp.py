"""A multilayer perceptron for regression, the learned forward function of the solvers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from fastinv._common.arrays import Float64Array, FloatArray
from fastinv._common.outliers import without_outliers
from fastinv._common.validation import RandomState, check_pairs, check_random_state
from fastinv.backends.protocol import Backend
from fastinv.estimators.network_fit import DataNetwork
from fastinv.estimators.networks import check_hidden_layer_sizes
from fastinv.functions.code import NetworkCode
from fastinv.functions.networks import Activation, Loss, NetworkSpec
from fastinv.training import FixedData, Outcome, Schedule, Training

_ROWS_AT_ONCE = 2**18  # of a prediction: steps of NumPy end soon, so that Ctrl-C does


class MLPRegressor(MultiOutputMixin, RegressorMixin, DataNetwork):  # type: ignore[misc]
    """Multilayer perceptron trained with Adam (Kingma & Ba 2015) on standardised data.

    The network computes in float32 on features and targets that are standardised inside, with the
    mean and standard deviation of all rows given to `fit`. The same data, parameters and integer
    `random_state` give the same bits for any number of threads.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(640, 640)
        Empty for a linear model.
    activation : {"relu", "silu", "tanh", "identity"}, default="relu"
        Activation of the hidden layers; the last layer is linear.
    loss : {"absolute_error", "squared_error", "huber"}, default="absolute_error"
        Loss of standardised targets.
    huber_delta : float, default=1.0
        Where "huber" turns from quadratic to linear, in standard deviations of y.
    batch_size : int, default=32
    learning_rate : {"constant", "plateau", "cosine"}, default="constant"
        "plateau" multiplies the rate with `plateau_factor` after `plateau_patience` epochs without
        progress; "cosine" lets it fall to 0 over `max_iter` epochs, see
        :meth:`fastinv.training.Training.rate`.
    learning_rate_init : float, default=1e-3
    plateau_factor : float, default=0.5
    plateau_patience : int, default=5
    max_iter : int, default=200
        Epochs at most.
    early_stopping : bool, default=True
        Set rows aside, judge progress by the loss on them, and keep the weights that were best on
        them. Otherwise the training loss is what is judged, and the last weights are kept.
    validation_fraction : float, default=0.1
        Rows set aside for early stopping.
    n_iter_no_change : int or None, default=10
        Training ends after more than so many epochs without progress; never with None.
    tol : float, default=1e-4
        Progress is a loss at least so much below the lowest so far.
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        Parameters of Adam.
    checkpoint : str, os.PathLike or None, default=None
        File to write the training's state to, and to continue from, to the same bits, if it
        exists. Needs a `random_state` that is not None.
    checkpoint_every : int, default=10
        Epochs between two writes.
    backend : {"auto", "cpp", "reference"} or Backend, default="auto"
    n_threads : int or None, default=None
        None takes as many as the process may use, but one where a batch is too little work to
        share, or where other processes keep the processors busy.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the first weights, the validation rows and the order of rows.
    verbose : int, default=0
        1 shows a progress bar, 2 also a line per epoch, both on standard error.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights ``(n_in, n_out)`` and biases ``(n_out,)`` of each layer. They act on standardised
        features and give standardised targets.
    spec_ : NetworkSpec
    parameters_ : ndarray of shape (spec_.n_parameters,), float32
        The same weights and biases, flat.
    x_mean_, x_scale_ : ndarray of shape (n_features_in_,)
    y_mean_, y_scale_ : ndarray of shape (n_outputs_,)
    loss_curve_ : list of float
        Mean training loss of each epoch.
    validation_loss_curve_ : list of float or None
        Validation loss after each epoch; None without early stopping.
    learning_rate_curve_ : list of float
    best_loss_ : float
        Lowest training loss.
    best_validation_loss_ : float or None
    n_iter_ : int
        Epochs trained.
    stopped_ : {"no_change", "max_iter", "interrupted"}
        Why training ended.
    n_features_in_, n_outputs_ : int
    feature_names_in_ : ndarray of str
        Where X had string column names.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> X = np.linspace(-2, 2, 400)[:, None]
    >>> model = fi.MLPRegressor((64,), max_iter=500, learning_rate="cosine", random_state=0)
    >>> bool(model.fit(X, np.sin(2 * X[:, 0])).score(X, np.sin(2 * X[:, 0])) > 0.99)
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (640, 640),
        activation: Activation = "relu",
        *,
        loss: Loss = "absolute_error",
        huber_delta: float = 1.0,
        batch_size: int = 32,
        learning_rate: Schedule = "constant",
        learning_rate_init: float = 1e-3,
        plateau_factor: float = 0.5,
        plateau_patience: int = 5,
        max_iter: int = 200,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = 10,
        tol: float = 1e-4,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 10,
        backend: str | Backend = "auto",
        n_threads: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
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
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.backend = backend
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike) -> MLPRegressor:
        """Train the network, from new weights (or from the checkpoint).

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,) or (n, q)

        Returns
        -------
        MLPRegressor
            Itself.

        Raises
        ------
        TypeError, ValueError
            A parameter of the wrong kind or out of range; wrong shapes, NaN or infinity in the
            data; a checkpoint that is damaged or of another training.
        FloatingPointError
            If training diverges.

        Warns
        -----
        UserWarning
            Constant columns; rows that are left out, because a value in them is absurdly far from
            all others of its column; an interruption (Ctrl-C), which keeps what was reached.
        ConvergenceWarning
            If `max_iter` ended training while there was progress, but for "cosine", which is
            meant to end there.
        """
        training = self._training()
        hidden = check_hidden_layer_sizes(self.hidden_layer_sizes)
        X, y = self._validated(X, y)
        pairs = without_outliers(*check_pairs(X, y))
        spec = NetworkSpec((pairs[0].shape[1], *hidden, pairs[1].shape[1]), self.activation)
        outcome = self._fit_network(training, spec, *pairs)
        self._y_ndim = np.ndim(y)
        self.n_outputs_ = spec.n_outputs
        self._keep(spec, outcome)
        self._warn_if_cut_short()
        return self

    def predict(self, X: ArrayLike, out: Float64Array | None = None) -> Float64Array:
        """Predicted targets.

        Parameters
        ----------
        X : array-like of shape (n, p)
            n may be 0.
        out : ndarray of shape (n, q), or (n,) if y was 1-D in `fit`; float64, default=None
            Where to write the result.

        Returns
        -------
        ndarray of shape (n, q), or (n,) if y was 1-D in `fit`; float64
        """
        scaled = self._scaled_inputs(X)
        shape = (len(scaled), self.n_outputs_)[: self._y_ndim]
        if out is None:
            out = np.empty(shape)
        elif not isinstance(out, np.ndarray) or out.dtype != np.float64 or out.shape != shape:
            found = getattr(out, "dtype", type(out).__name__), np.shape(out)
            raise ValueError(f"out must be a float64 array of shape {shape}, got {found}")
        for begin in range(0, len(scaled), _ROWS_AT_ONCE):
            block = out[begin : begin + _ROWS_AT_ONCE]
            raw = self._forward(scaled[begin : begin + _ROWS_AT_ONCE])
            block[...] = (raw * self.y_scale_ + self.y_mean_).reshape(block.shape)
        return out

    def network_code(self) -> NetworkCode:
        """The fitted network with its scalings, in the kernels' form."""
        check_is_fitted(self)
        return NetworkCode(
            self.spec_, self.parameters_, self.x_mean_, self.x_scale_, self.y_mean_, self.y_scale_
        )

    @property
    def coefs_(self) -> list[FloatArray]:
        return [weights for weights, _ in self.spec_.layers(self.parameters_)]

    @property
    def intercepts_(self) -> list[FloatArray]:
        return [biases for _, biases in self.spec_.layers(self.parameters_)]

    def _fit_network(
        self, training: Training, spec: NetworkSpec, X: Float64Array, y: Float64Array
    ) -> Outcome:
        """Train on `X` ``(n, p)`` and `y` ``(n, q)``; sets the scalings."""
        backend = self._backend()
        rng = check_random_state(self.random_state)
        rows, validation = self._scaled_rows(*self._examples(X, y, rng), rng)
        options: dict[str, Any] = {
            "loss": self.loss,
            "huber_delta": self.huber_delta,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
        return self._train(
            backend.trainer(spec, self._initial_parameters(spec, rng), **options),
            spec,
            FixedData(*rows),
            training,
            identity={"estimator": "MLPRegressor", **options},
            rng=rng,
            validation=validation,
            batch_size=min(training.batch_size, len(rows[0])),
        )

    def _examples(
        self, X: Float64Array, y: Float64Array, rng: np.random.Generator
    ) -> tuple[Float64Array, Float64Array]:
        """Training rows for the network from the data `X` ``(n, p)`` and `y` ``(n, q)``."""
        return X, y
