"""A network that learns from a Gaussian process, for functions known from few noisy points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastinv._common.arrays import Float64Array, FloatArray
from fastinv._common.threads import one_blas_thread
from fastinv._common.validation import RandomState, check_integer
from fastinv.backends.protocol import Backend
from fastinv.estimators._teacher import Teacher
from fastinv.estimators.mlp import MLPRegressor
from fastinv.estimators.networks import mean_and_scale
from fastinv.functions.networks import Activation, NetworkSpec
from fastinv.training import Training

# Share of the teachers' points that lie around rows rather than uniformly in the box.
_SHARE_NEAR_ROWS = 0.5
_NEAR = 0.1  # widths of the box
# Distance beyond the outermost rows, in widths of the box: bounds are a little wider than the data.
_BORDER = 0.03


class DistilledRegressor(MLPRegressor):
    """Multilayer perceptron trained on what Gaussian processes say, for few and noisy rows.

    A Gaussian process tells function from noise by itself, without rows set aside, and so learns
    more from some hundred rows than a network does; but it is slow, and runs in Python alone. Here
    one is fitted per output, and a network then learns its mean at `n_points` random points, which
    has no noise, to an error that is small beside the process's own (distillation: Hinton, Vinyals
    & Dean 2015). The network is a :class:`MLPRegressor`, which solvers polish with, freeze and so
    on. Above some thousand rows train a :class:`MLPRegressor` directly.

    The evidence (marginal likelihood) chooses, for each output, the length scale of each input,
    the noise and how much of it is in proportion to y, the kernel (Gaussian or Matern 5/2), and
    for positive outputs whether y, its square, root or logarithm is modelled. The same data,
    parameters and integer `random_state` give the same bits for any number of threads.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(64, 64, 64)
    activation : {"relu", "silu", "tanh", "identity"}, default="silu"
    max_samples : int, default=2000
        Rows that the Gaussian processes take in, at random where there are more: their time grows
        with the square.
    n_points : int, default=10000
        Random points at which the network learns what they say, half of them around rows, the
        others uniform in the box of the rows; around it, too, by 3 % of its width.
    batch_size : int, default=32
    learning_rate_init : float, default=5e-3
        Rate of Adam; falls to 0 over `max_iter` epochs along a cosine.
    max_iter : int, default=200
        Epochs over those points.
    backend : {"auto", "cpp", "reference"} or Backend, default="auto"
    n_threads : int or None, default=None
        None takes as many as the process may use, but one where a batch is too little work to
        share, or where other processes keep the processors busy. The Gaussian processes run on one.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the chosen rows and points, the first weights and the order of points.
    verbose : int, default=0
        1 shows a progress bar of the network's training, 2 also a line per epoch, both on standard
        error.

    Attributes
    ----------
    teachers_ : list of Teacher
        One per output; ``predict(x)`` and ``std(x)`` of points ``(m, p)`` give its mean and the
        standard deviation that the rows leave f, each ``(m,)``.
    noise_std_ : ndarray of shape (n_outputs_,)
        Standard deviation of the noise of y, the root mean square over the rows.
    y_mean_, y_scale_ : ndarray of shape (n_outputs_,)
        Mean and scale of the learned points, like x_mean_ and x_scale_.

    Other attributes are those of :class:`MLPRegressor`; no rows are set aside.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-2, 2, (100, 1))
    >>> y = np.sin(2 * X[:, 0])
    >>> model = fi.DistilledRegressor(random_state=0).fit(X, y + 0.1 * rng.normal(size=100))
    >>> bool(np.abs(model.predict(X) - y).max() < 0.1), model.noise_std_.round(1).tolist()
    (True, [0.1])
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (64, 64, 64),
        activation: Activation = "silu",
        *,
        max_samples: int = 2000,
        n_points: int = 10_000,
        batch_size: int = 32,
        learning_rate_init: float = 5e-3,
        max_iter: int = 200,
        backend: str | Backend = "auto",
        n_threads: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            activation,
            loss="squared_error",
            batch_size=batch_size,
            learning_rate="cosine",
            learning_rate_init=learning_rate_init,
            max_iter=max_iter,
            early_stopping=False,
            n_iter_no_change=None,
            backend=backend,
            n_threads=n_threads,
            random_state=random_state,
            verbose=verbose,
        )
        self.max_samples = max_samples
        self.n_points = n_points

    def _training(self, **changes: Any) -> Training:
        check_integer(self.max_samples, "max_samples")
        check_integer(self.n_points, "n_points")
        return super()._training(**changes)

    def _examples(
        self, X: Float64Array, y: Float64Array, rng: np.random.Generator
    ) -> tuple[Float64Array, Float64Array]:
        """Random points and the teachers' predictions there; sets the teachers."""
        for values, name in ((X, "X"), (y, "y")):
            mean_and_scale(values, name)  # refuses values whose variance would overflow
        with one_blas_thread():
            self.teachers_ = [Teacher.fit(X, column, self.max_samples, rng) for column in y.T]
            points = _points(X, self.n_points, rng)
            predictions = np.column_stack([t.predict(points) for t in self.teachers_])
        self.noise_std_ = np.array([teacher.noise_std for teacher in self.teachers_])
        return points, predictions

    def _initial_parameters(self, spec: NetworkSpec, rng: np.random.Generator) -> FloatArray:
        """Units of the first layer bend at random places, over the lengths of a random teacher.

        Without these lengths, a function that varies fast is never learned: each
        unit is nearly linear where the data are, and training stays at the mean.
        """
        parameters = super()._initial_parameters(spec, rng)
        if len(spec.layer_sizes) == 2:
            return parameters
        weights, biases = spec.layers(parameters)[0]
        n_units = weights.shape[1]
        lengths = np.array([teacher.lengths for teacher in self.teachers_]) / self.x_scale_
        of_units = lengths[rng.integers(len(lengths), size=n_units)]
        weights[:] = (rng.normal(size=of_units.shape) / of_units).T
        box = self.teachers_[0]
        places = box.low + box.width * rng.uniform(size=of_units.shape)
        biases[:] = -(weights.T * (places - self.x_mean_) / self.x_scale_).sum(axis=1)
        return parameters


def _points(X: Float64Array, n_points: int, rng: np.random.Generator) -> Float64Array:
    """`n_points` points in the box of the rows, and a little around it."""
    low, high = X.min(axis=0), X.max(axis=0)
    width = high - low
    n_near = int(_SHARE_NEAR_ROWS * n_points)
    near = X[rng.integers(len(X), size=n_near)]
    near = near + _NEAR * width * rng.normal(size=near.shape)
    anywhere = rng.uniform(size=(n_points - n_near, X.shape[1]))
    anywhere = low + width * (anywhere * (1.0 + 2.0 * _BORDER) - _BORDER)
    points = np.concatenate([near, anywhere])
    return np.asarray(np.clip(points, low - _BORDER * width, high + _BORDER * width))
