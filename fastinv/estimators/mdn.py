"""Mixture density networks: all of p(y | X), of which regression gives the mean."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, RegressorMixin, clone

from fastinv._common.arrays import Float64Array
from fastinv._common.outliers import without_outliers
from fastinv._common.parameters import only_with
from fastinv._common.validation import (
    RandomState,
    as_float64,
    check_integer,
    check_number,
    check_option,
    check_pairs,
    check_random_state,
    check_targets,
)
from fastinv.backends.protocol import FEATURE_LIMIT, Backend
from fastinv.estimators._mixture_start import (
    REVIVE_UNTIL,
    DeadComponents,
    initial_mixture_parameters,
    kmeans_means,
    quantile_means,
)
from fastinv.estimators.model_selection import CRITERIA, Criterion, select_n_components
from fastinv.estimators.network_fit import DataNetwork
from fastinv.estimators.networks import (
    check_hidden_layer_sizes,
)
from fastinv.functions.networks import Activation, Covariance, MixtureSpec, NetworkSpec
from fastinv.mixture import Mixture
from fastinv.training import FixedData, Outcome, Rows, Schedule, Training

InitMeans = Literal["kmeans", "quantile", "random"]
INIT_MEANS: tuple[InitMeans, ...] = ("kmeans", "quantile", "random")

_EFFECTS = (only_with(("max_components",), "n_components", *CRITERIA),)
_DEAD_SHARE = 0.3  # of an equal share, for reinit_dead=True


class MixtureDensityNetwork(MultiOutputMixin, RegressorMixin, DataNetwork):  # type: ignore[misc]
    """Network whose outputs are a mixture of Gaussians for p(y | X) (Bishop 1994).

    Trained by maximum likelihood with Adam, in float32, on features and targets that are
    standardised inside with the mean and standard deviation of all rows given to `fit`. The same
    data, parameters and integer `random_state` give the same bits for any number of threads.

    The loss is the mean of -log p(y | x) in nats. p is a density, not a probability: where it is
    above 1, as for a narrow distribution, the loss is negative, and that is no error.

    Components are building blocks, not modes: several may share one mode, see
    :meth:`fastinv.mixture.Mixture.modes`.

    Parameters
    ----------
    n_components : int, "bic" or "cv", default=5
        The latter two choose from 1 to `max_components` with :func:`select_n_components`, which
        takes `max_components` more trainings or five times as many.
    covariance_type : {"diag", "spherical", "full"}, default="diag"
        Covariance of each component, for standardised targets.
    max_components : int, default=10
        Where `n_components` is "bic" or "cv".
    hidden_layer_sizes : int or sequence of int, default=(64, 64)
        Empty for a linear model.
    activation : {"relu", "silu", "tanh", "identity"}, default="relu"
        Activation of the hidden layers.
    init_means : {"kmeans", "quantile", "random"} or array-like of shape (K, q), default="kmeans"
        Where components start, against mode collapse: at centres of the targets, at quantiles of
        them along their principal axis, at the given points in the units of y, or, with "random",
        where the random weights of the network put them, all close to each other. But for
        "random", components start with equal weights and scales of ``K**(-1/q)`` standard
        deviations.
    min_weight : float, default=1e-4
        Least weight of a component, so that its gradient never vanishes, see
        :class:`~fastinv.backends.protocol.MixtureSpec`; below 1 / K; 0 switches it off.
    min_scale : float, default=1e-3
        Least scale of a component, against variance collapse, in standard deviations of y; 0
        switches it off.
    reinit_dead : bool or float, default=True
        Components whose mean weight over training rows falls below this share of 1 / K are made
        halves of the heaviest one, every 5 epochs; with "cosine" during the first three quarters
        of `max_iter`. True is 0.3, False is never.
    n_init : int, default=1
        Trainings from different first weights, of which the one with the lowest validation loss
        is kept; without early stopping, the lowest training loss in the last epoch.
    batch_size : int, default=128
    learning_rate : {"cosine", "constant", "plateau"}, default="cosine"
        See :meth:`fastinv.training.Training.rate`.
    learning_rate_init : float, default=3e-3
    plateau_factor : float, default=0.5
    plateau_patience : int, default=5
    max_iter : int, default=300
        Epochs at most.
    early_stopping : bool, default=True
        Set rows aside, judge progress by the loss on them, and keep the weights that were best on
        them. Otherwise the training loss is what is judged, and the last weights are kept.
    validation_fraction : float, default=0.1
    n_iter_no_change : int or None, default=None
        Training ends after more than so many epochs without progress; never with None, which
        suits "cosine": most progress comes when the rate is low.
    tol : float, default=1e-4
        Progress is a loss at least so much below the lowest so far, in nats.
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        Parameters of Adam.
    checkpoint : str, os.PathLike or None, default=None
        File to write the training's state to, and to continue from, to the same bits, if it
        exists; with `n_init` > 1 one for each training, its number appended to the name. Needs a
        `random_state` that is not None.
    checkpoint_every : int, default=10
        Epochs between two writes.
    backend : {"auto", "cpp", "reference"} or Backend, default="auto"
    n_threads : int or None, default=None
        None takes as many as the process may use, but one where a batch is too little work to
        share, or where other processes keep the processors busy.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the first weights and means, the validation rows and the order of rows.
    verbose : int, default=0
        1 shows a progress bar, 2 also a line per epoch, both on standard error.

    Attributes
    ----------
    n_components_ : int
    component_scores_ : ComponentSelection or None
        The table that `n_components_` was chosen from, None where it was given.
    spec_ : NetworkSpec
    mixture_spec_ : MixtureSpec
        Mixture of the standardised targets.
    parameters_ : ndarray of shape (spec_.n_parameters,), float32
    x_mean_, x_scale_ : ndarray of shape (n_features_in_,)
    y_mean_, y_scale_ : ndarray of shape (n_outputs_,)
    loss_curve_ : list of float
        Mean training loss of each epoch, in nats for standardised targets; in the units of y it is
        higher by ``log(y_scale_).sum()``.
    validation_loss_curve_ : list of float or None
        Likewise, after each epoch; None without early stopping.
    learning_rate_curve_ : list of float
    best_loss_, best_validation_loss_ : float, float or None
        The lowest of these.
    n_iter_ : int
        Epochs trained.
    n_reinit_ : int
        Dead components revived.
    init_losses_ : list of float
        The loss that each of the `n_init` trainings is judged by. Curves are those of the best.
    stopped_ : {"no_change", "max_iter", "interrupted"}
        Why training ended.
    n_features_in_, n_outputs_ : int
    feature_names_in_ : ndarray of str
        Where X had string column names.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> x, y = fi.problems.wave.sample(500, random_state=0)
    >>> model = fi.MixtureDensityNetwork(5, max_iter=100, random_state=0).fit(y, x)
    >>> bool(model.log_prob(y, x).mean() > 0.5)
    True
    """

    _effects = DataNetwork._effects + _EFFECTS

    def __init__(
        self,
        n_components: int | Criterion = 5,
        covariance_type: Covariance = "diag",
        *,
        max_components: int = 10,
        hidden_layer_sizes: int | Sequence[int] = (64, 64),
        activation: Activation = "relu",
        init_means: InitMeans | ArrayLike = "kmeans",
        min_weight: float = 1e-4,
        min_scale: float = 1e-3,
        reinit_dead: bool | float = True,
        n_init: int = 1,
        batch_size: int = 128,
        learning_rate: Schedule = "cosine",
        learning_rate_init: float = 3e-3,
        plateau_factor: float = 0.5,
        plateau_patience: int = 5,
        max_iter: int = 300,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = None,
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
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.max_components = max_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.init_means = init_means
        self.min_weight = min_weight
        self.min_scale = min_scale
        self.reinit_dead = reinit_dead
        self.n_init = n_init
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

    def fit(self, X: ArrayLike, y: ArrayLike) -> MixtureDensityNetwork:
        """Train the network, from new weights (or from the checkpoint).

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,) or (n, q)

        Returns
        -------
        MixtureDensityNetwork
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
        self._check_parameters()
        X, y = self._validated(X, y)
        pairs = without_outliers(*check_pairs(X, y))
        rng = check_random_state(self.random_state)
        self.n_components_ = self._choose_n_components(*pairs, rng)
        mixture = MixtureSpec(
            self.n_components_,
            pairs[1].shape[1],
            self.covariance_type,
            float(self.min_weight),
            float(self.min_scale),
        )
        hidden = check_hidden_layer_sizes(self.hidden_layer_sizes)
        spec = NetworkSpec((pairs[0].shape[1], *hidden, mixture.n_raw), self.activation)
        outcome = self._best_of_trainings(spec, mixture, *pairs, rng)
        self._y_ndim = np.ndim(y)
        self.n_outputs_ = mixture.n_dims
        self.mixture_spec_ = mixture
        self.n_reinit_ = sum(outcome.history.n_changes)
        self._keep(spec, outcome)
        self._warn_if_cut_short()
        return self

    def predict_distribution(self, X: ArrayLike) -> Mixture:
        """p(y | x) of each row, in the units of y.

        Parameters
        ----------
        X : array-like of shape (n, p)
            n may be 0.

        Returns
        -------
        fastinv.mixture.Mixture
            A batch of n mixtures.
        """
        scaled = np.clip(self._scaled_inputs(X), -FEATURE_LIMIT, FEATURE_LIMIT)
        raw = self._forward(scaled)
        return Mixture.from_raw(raw, self.mixture_spec_, mean=self.y_mean_, scale=self.y_scale_)

    def predict(self, X: ArrayLike) -> Float64Array:
        """The conditional mean, which may lie between modes, where no y is likely.

        R² from :meth:`score` judges this mean, not the distribution: see :meth:`log_prob`.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        ndarray of shape (n, q), or (n,) if y was 1-D in `fit`; float64
        """
        return self._like_y(self.predict_distribution(X).mean())

    def log_prob(self, X: ArrayLike, y: ArrayLike) -> Float64Array:
        """log p(y | x) of each row, in nats.

        The density is that of y in its own units: multiplying y by c lowers it by ``q log c``.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n, q), or (n,) where q is 1

        Returns
        -------
        ndarray of shape (n,), float64
        """
        mixture = self.predict_distribution(X)
        targets = check_targets(y, self.n_outputs_)
        if len(targets) != len(mixture):
            raise ValueError(
                f"X and y must have the same length, got {len(mixture)} and {len(targets)} rows"
            )
        return mixture.log_prob(targets)

    def sample(
        self, X: ArrayLike, n_samples: int = 1, random_state: RandomState = None
    ) -> Float64Array:
        """Draws from p(y | x).

        Parameters
        ----------
        X : array-like of shape (n, p)
        n_samples : int, default=1
            For each row.
        random_state : int, RandomState, Generator or None, default=None

        Returns
        -------
        ndarray of shape (n, n_samples, q), or (n, n_samples) if y was 1-D in `fit`; float64
        """
        check_integer(n_samples, "n_samples", minimum=0)
        return self._like_y(self.predict_distribution(X).sample(n_samples, random_state))

    def _like_y(self, values: Float64Array) -> Float64Array:
        """`values` ``(..., q)``, without the last axis if y was 1-D in `fit`."""
        return values if self._y_ndim == 2 else values[..., 0]

    def _check_parameters(self) -> None:
        """All of them, before any work is done."""
        self._training()
        if isinstance(self.n_components, str):
            check_option(self.n_components, "n_components", CRITERIA)
            check_integer(self.max_components, "max_components")
            if not isinstance(self.init_means, str):
                raise ValueError(
                    "init_means must be a name where n_components is chosen, got an array"
                )
        else:
            check_integer(self.n_components, "n_components")
        if isinstance(self.init_means, str):
            check_option(self.init_means, "init_means", INIT_MEANS)
        check_number(self.min_weight, "min_weight", minimum=0.0)
        check_number(self.min_scale, "min_scale", minimum=0.0)
        if not isinstance(self.reinit_dead, bool | np.bool_):
            check_number(self.reinit_dead, "reinit_dead", minimum=0.0, below=1.0)
        check_integer(self.n_init, "n_init")

    def _choose_n_components(self, X: ArrayLike, y: ArrayLike, rng: np.random.Generator) -> int:
        """The number of components, given or chosen; sets ``component_scores_``."""
        self.component_scores_ = None
        if not isinstance(self.n_components, str):
            return int(self.n_components)
        self.component_scores_ = select_n_components(
            clone(self).set_params(random_state=int(rng.integers(2**31))),
            X,
            y,
            candidates=range(1, self.max_components + 1),
            criterion=self.n_components,
        )
        return self.component_scores_.best

    def _best_of_trainings(
        self,
        spec: NetworkSpec,
        mixture: MixtureSpec,
        X: Float64Array,
        y: Float64Array,
        rng: np.random.Generator,
    ) -> Outcome:
        """Train `n_init` times on `X` ``(n, p)`` and `y` ``(n, q)``; sets the scalings and
        ``init_losses_``."""
        rows, validation = self._scaled_rows(X, y, rng)
        best = None
        self.init_losses_: list[float] = []
        for restart, stream in enumerate(rng.spawn(self.n_init)):
            training = self._training(checkpoint=self._checkpoint_of(restart))
            outcome = self._train_once(training, spec, mixture, rows, validation, stream)
            loss = outcome.best_validation_loss
            loss = outcome.history.loss[-1] if loss is None else loss
            if not self.init_losses_ or loss < min(self.init_losses_):
                best = outcome
            self.init_losses_.append(loss)
            if outcome.stopped == "interrupted":
                break
        return cast(Outcome, best)

    def _checkpoint_of(self, restart: int) -> str | os.PathLike[str] | None:
        """The file of one of the `n_init` trainings."""
        if self.checkpoint is None or self.n_init == 1:
            return self.checkpoint
        path = Path(self.checkpoint)
        return path.with_name(f"{path.name}.{restart}")

    def _train_once(
        self,
        training: Training,
        spec: NetworkSpec,
        mixture: MixtureSpec,
        rows: Rows,
        validation: Rows | None,
        rng: np.random.Generator,
    ) -> Outcome:
        """Train on standardised rows."""
        backend = self._backend()
        options = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        means = self._first_means(rows[1].astype(np.float64), rng)
        parameters = initial_mixture_parameters(spec, mixture, means, rng)
        share = float(self.reinit_dead)
        if isinstance(self.reinit_dead, bool | np.bool_):
            share = _DEAD_SHARE * share
        last_revival = None  # the end is not fixed, so that the training can be continued
        if training.learning_rate == "cosine":
            last_revival = int(REVIVE_UNTIL * training.max_iter)
        revive = DeadComponents(
            backend,
            spec,
            mixture,
            rows[0],
            threshold=share / mixture.n_components,
            last_epoch=last_revival,
        )
        return self._train(
            backend.mixture_trainer(spec, parameters, mixture, **options),
            spec,
            FixedData(*rows),
            training,
            identity={
                "estimator": "MixtureDensityNetwork",
                "reinit_dead": share,
                **vars(mixture),
                **options,
            },
            rng=rng,
            validation=validation,
            batch_size=min(training.batch_size, len(rows[0])),
            after_epoch=revive if share else None,
        )

    def _first_means(self, targets: Float64Array, rng: np.random.Generator) -> Float64Array | None:
        """Where components start ``(K, q)``, in standard deviations; None leaves it to chance."""
        if not isinstance(self.init_means, str):
            means = as_float64(self.init_means, "init_means")
            wanted = (self.n_components_, targets.shape[1])
            if means.shape != wanted or not np.isfinite(means).all():
                raise ValueError(
                    f"init_means must be a name or a finite array of shape {wanted}, "
                    f"got an array of shape {means.shape}"
                )
            return (means - self.y_mean_) / self.y_scale_
        if self.init_means == "random":
            return None
        method = kmeans_means if self.init_means == "kmeans" else quantile_means
        return method(targets, self.n_components_, rng)
