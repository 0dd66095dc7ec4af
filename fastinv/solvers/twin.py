"""Inverse twin neural network regression: the solver that this package is about."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import FloatArray
from fastinv._common.validation import (
    RandomState,
    check_integer,
    check_n_neighbors,
    check_number,
    check_option,
)
from fastinv.backends import get_backend
from fastinv.backends.protocol import Backend, TwinModel
from fastinv.estimators.networks import (
    check_hidden_layer_sizes,
    check_resumable,
    initial_parameters,
    training_flops,
)
from fastinv.functions.networks import Activation, Loss, NetworkSpec
from fastinv.solvers.anchored import AnchoredSolver
from fastinv.solvers.base import AnchorChoice
from fastinv.solvers.fitting.fit_data import FitData
from fastinv.solvers.pairs.pairs import FormulaPairs, resolve_radius
from fastinv.solvers.pairs.solved import Region, affordable_pairs, solved_pairs, targets_for
from fastinv.solvers.pairs.sources import PairSource, near_source, neighbor_source, solved_source
from fastinv.training import Schedule, Training, train
from fastinv.training.pace import Pace

TrainingPairs = Literal["near", "solved"]


class TwinSolver(AnchoredSolver):
    """All x with f(x) = y, by a network that corrects the anchors nearest to y.

    Inverse twin neural network regression (Wetzel 2026, "Inverting Non-Injective Functions with
    Twin Neural Network Regression", algorithms 1 and 2). One network F is trained to predict
    ``x - x_a`` from ``(y, y_a, x_a)``, eq. (5). To solve, the anchors nearest to the target *in y*
    are each corrected by F, eq. (6); every anchor leads to the solution on its own branch, or to
    another one where its branch ends before the target; candidates are ranked by
    ``||f(x) - y||``.

    The paper trains on points that are near each other in x; here, unless `training_pairs` says
    otherwise, F is trained on what it will be asked: targets, the anchors near them in y, and the
    solutions there. With a formula for f residuals are exact. From measured data a network that
    is learned from them stands for f, unless a forward function is given, too.

    Parameters
    ----------
    forward : ForwardFunction, callable, regressor or None, default=None
        f. None learns it from the data given to `fit`: up to 2,000 pairs with a
        :class:`DistilledRegressor`, more with an :class:`MLPRegressor`. A regressor that is not
        fitted yet is cloned and trained.
    bounds : array-like of shape (p, 2), default=None
        ``(low, high)`` of each input. Solutions stay inside; anchors are drawn there if `fit`
        gets none.
    n_anchors : int, default=1000
        Anchors to draw.
    n_neighbors : int, default=5
        Anchors tried, hence candidates, per target.
    hidden_layer_sizes : int or sequence of int, default=(128, 128, 128)
    activation : {"relu", "silu", "tanh", "identity"}, default="relu"
    loss : {"absolute_error", "squared_error", "huber"}, default="absolute_error"
    huber_delta : float, default=1.0
        Where "huber" turns from quadratic to linear, in scaled steps.
    batch_size : int, default=256
    learning_rate : {"constant", "plateau", "cosine"}, default="cosine"
    learning_rate_init : float, default=3e-3
    plateau_factor : float, default=0.5
    plateau_patience : int, default=5
    max_iter : int, default=100
        Epochs at most.
    training_pairs : {"solved", "near"} or None, default=None
        "solved" computes them once: random targets, the anchors nearest to those in y, and the
        solutions that damped Gauss-Newton steps on f reach from these, or the nearest other ones
        where an anchor's branch ends before the target: what solving will ask for. "near" takes
        points that are near each other in x, as the paper does: fresh ones in every epoch, drawn
        with the formula, or neighbouring data (algorithm 1). On random functions its errors are
        twice as large, and it never leaves a branch that ends before the target.
        None takes "solved", but "near" where f is a regressor of another kind than fastinv's,
        which may be slow or without a derivative.
    n_pairs : int or None, default=None
        Solved pairs. None takes 200,000, with more than 8 inputs fewer in proportion. Each costs
        up to six derivatives of f, by differences: in all some 1.6 million evaluations with 2
        inputs and 7 million with 8, where "near" takes 2.6 million.
    pairs_per_epoch : int, default=25600
        Solved or fresh pairs trained on in an epoch.
    pair_radius : float or array-like of shape (p,), default=None
        Half-width in x of the box around an anchor that fresh partners are drawn from; the largest
        step towards a solved partner. None takes about the distance between neighbouring
        anchors, see :func:`fastinv.solvers.pairs.pairs.reaching_radius`, never less than
        :func:`fastinv.solvers.pairs.pairs.pair_radius`; just that with more inputs than outputs.
    n_pair_neighbors : int, default=5
        Neighbours in x that each point is paired with, by "near" from data.
    early_stopping : bool, default=False
        End training after `n_iter_no_change` epochs without progress of at least `tol` on the
        validation pairs. The best weights on them are kept in any case.
    validation_fraction : float, default=0.1
        Points whose pairs validate, by "near" from data.
    n_iter_no_change : int, default=20
    tol : float, default=1e-5
    residual_tol : float, default=1e-3
        Residuals up to this, in units of the spread of the anchors' y, count as CONVERGED.
    n_passes : int or None, default=None
        How often the network is applied to each candidate: first to an anchor, then to what came
        of it, with its image by f, in the anchor's place. What comes no closer is left out. Each
        further pass costs an evaluation of f. None takes 1 where candidates are polished, else 2.
    anchor_choice : {"spread", "nearest"}, default="spread"
        "nearest" tries the anchors nearest to the target in y, as the paper does. "spread" tries
        of those the nearest ones that are far apart in x first, which lie on different branches.
    refine : bool or None, default=None
        Polish what is found: damped Gauss-Newton steps inside the bounds, down to rounding error.
        None does so where f is exact and runs natively.
    periods : float or array-like of shape (p,), default=None
        Of inputs that are periodic, infinite for the others, as 2 pi of an angle: distances are
        modulo them, and for the polish one whose bounds span its period has no bounds.
    checkpoint : str, os.PathLike or None, default=None
        File to write the training's state to, and to continue from, to the same bits, if it
        exists. Needs a `random_state` that is not None.
    backend : {"auto", "cpp", "reference"} or Backend, default="auto"
    n_threads : int or None, default=None
        None takes as many as pay.
    random_state : int, RandomState, Generator or None, default=None
        Of anchors, pairs and weights. An integer gives the same bits every time.
    verbose : int, default=0
        1 shows a progress bar, 2 also a line per epoch, both on standard error.

    Attributes
    ----------
    forward_ : Forward
        f as it is used.
    anchors_x_, anchors_y_ : ndarray of shape (n_anchors, p), (n_anchors, q)
    bounds_ : ndarray of shape (p, 2) or None
    twin_ : TwinModel
        The network with its scales.
    residual_tol_ : float
        `residual_tol` in the units of y.
    loss_curve_, validation_loss_curve_ : list of float
        Of each epoch, in units of scaled steps.
    n_iter_ : int
        Epochs trained.
    stopped_ : {"no_change", "max_iter", "interrupted"}
    n_features_in_, n_outputs_ : int
        p and q.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> @fi.forward(n_inputs=1, n_outputs=1)
    ... def parabola(x, y):
    ...     y[0] = x[0] ** 2
    >>> solver = fi.TwinSolver(parabola, bounds=[(-2, 2)], max_iter=10, random_state=0).fit()
    >>> solutions = solver.solve(1.0)
    >>> sorted(set(solutions.x.ravel().round(2).tolist()))
    [-1.0, 1.0]
    """

    def __init__(
        self,
        forward: Any = None,
        *,
        bounds: Any = None,
        n_anchors: int = 1000,
        n_neighbors: int = 5,
        hidden_layer_sizes: int | Sequence[int] = (128, 128, 128),
        activation: Activation = "relu",
        loss: Loss = "absolute_error",
        huber_delta: float = 1.0,
        batch_size: int = 256,
        learning_rate: Schedule = "cosine",
        learning_rate_init: float = 3e-3,
        plateau_factor: float = 0.5,
        plateau_patience: int = 5,
        max_iter: int = 100,
        training_pairs: TrainingPairs | None = None,
        n_pairs: int | None = None,
        pairs_per_epoch: int = 25600,
        pair_radius: float | ArrayLike | None = None,
        n_pair_neighbors: int = 5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        tol: float = 1e-5,
        residual_tol: float = 1e-3,
        n_passes: int | None = None,
        anchor_choice: AnchorChoice = "spread",
        refine: bool | None = None,
        periods: float | ArrayLike | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        backend: str | Backend = "auto",
        n_threads: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.forward = forward
        self.bounds = bounds
        self.n_anchors = n_anchors
        self.n_neighbors = n_neighbors
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
        self.training_pairs = training_pairs
        self.n_pairs = n_pairs
        self.pairs_per_epoch = pairs_per_epoch
        self.pair_radius = pair_radius
        self.n_pair_neighbors = n_pair_neighbors
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.residual_tol = residual_tol
        self.n_passes = n_passes
        self.anchor_choice = anchor_choice
        self.refine = refine
        self.periods = periods
        self.checkpoint = checkpoint
        self.backend = backend
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, X: ArrayLike | None = None, y: ArrayLike | None = None, *, anchors: Any = None
    ) -> TwinSolver:
        """Train the network, and the forward function where none is data.

        Parameters
        ----------
        X : array-like of shape (n, p), default=None
            With y: measured inputs. Without y: anchors, their images computed by `forward`. None
            draws `n_anchors` anchors inside `bounds`.
        y : array-like of shape (n,) or (n, q), default=None
            Measured outputs.
        anchors : array-like of shape (m, p) or tuple (X, y), default=None
            Anchors to solve from where they are not the data. Without a known f they come with
            their outputs.

        Returns
        -------
        TwinSolver
            Itself.

        Raises
        ------
        TypeError, ValueError
            A parameter of the wrong kind or out of range; neither f nor data; wrong shapes; NaN
            or infinity in the data; fewer anchors than `n_neighbors`; a checkpoint that is
            damaged or of another training.
        FloatingPointError
            If training diverges.

        Warns
        -----
        UserWarning
            Constant columns, and an interruption (Ctrl-C), which keeps the best weights.
        """
        training = self._training()
        check_integer(self.pairs_per_epoch, "pairs_per_epoch")
        if self.n_pairs is not None:
            check_integer(self.n_pairs, "n_pairs")
        if self.training_pairs is not None:
            check_option(self.training_pairs, "training_pairs", get_args(TrainingPairs))
        check_integer(self.n_pair_neighbors, "n_pair_neighbors")
        if self.n_passes is not None:
            check_integer(self.n_passes, "n_passes")
        check_number(self.validation_fraction, "validation_fraction", above=0.0, below=1.0)
        check_integer(self.n_iter_no_change, "n_iter_no_change")
        data, rng = self._start(X, y, anchors)
        check_n_neighbors(self.n_neighbors, len(data.anchors[0]))
        data = replace(data, forward=self._known_or_learned(data, rng))
        source = self._pair_source(data, rng)
        self.twin_ = self._train(training, source, rng)
        self._finish(data, self.twin_, rng)
        return self

    def _training(self) -> Training:
        """The options of the training loop, checked."""
        check_resumable(self.checkpoint, self.random_state)
        return Training(
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            learning_rate_init=self.learning_rate_init,
            plateau_factor=self.plateau_factor,
            plateau_patience=self.plateau_patience,
            max_iter=self.max_iter,
            early_stopping=self.early_stopping,
            n_iter_no_change=self.n_iter_no_change if self.early_stopping else None,
            tol=self.tol,
            checkpoint=self.checkpoint,
            verbose=self.verbose,
        )

    def _pair_source(self, data: FitData, rng: np.random.Generator) -> PairSource:
        """Scales, what each epoch trains on, and what validates."""
        backend, forward = get_backend(self.backend), data.forward
        assert forward is not None
        how = self.training_pairs
        if how is None:  # a stranger's regressor may be slow, and need not have a derivative
            how = "solved" if forward.exact or forward.code is not None else "near"
        if how == "near" and data.measured:
            return neighbor_source(
                backend, data.points, self.n_pair_neighbors, self.validation_fraction, rng
            )
        x, y = data.anchors
        around = np.concatenate([x, data.points[0]])
        low, high = around.min(axis=0), around.max(axis=0)
        if data.bounds is None and (low == high).all():
            raise ValueError(
                "X must hold different points to pair, "
                f"got n_samples={len(data.points[0])}, all the same"
            )
        box = np.stack([low, high], axis=1) if data.bounds is None else data.bounds
        radius = resolve_radius(self.pair_radius, backend, box, x, self.n_outputs_, rng)
        if how == "near":
            return near_source(FormulaPairs(forward, x, y, box, radius, self.pairs_per_epoch), rng)
        region = Region(box, radius)
        n_targets = targets_for(self.n_pairs or affordable_pairs(len(box)), len(x))
        if forward.exact and data.bounds is not None:
            points = region.uniform(n_targets, rng)
        else:  # only there f is known, or of interest
            points = region.around(data.points[0], n_targets, rng)
        pairs = solved_pairs(self._anchors, forward, region, points)
        return solved_source(pairs, data.anchors, self.pairs_per_epoch)

    def _train(
        self,
        training: Training,
        pair_source: PairSource,
        rng: np.random.Generator,
    ) -> TwinModel:
        scaling, source, validation = pair_source
        backend = get_backend(self.backend)
        p, q = self.n_features_in_, self.n_outputs_
        hidden = check_hidden_layer_sizes(self.hidden_layer_sizes)
        spec = NetworkSpec((2 * q + p, *hidden, p), self.activation)
        outcome = train(
            backend.trainer(
                spec,
                self._initial_parameters(spec, rng),
                loss=self.loss,
                huber_delta=self.huber_delta,
            ),
            source,
            training,
            rng=rng,
            validation=validation,
            network={
                "estimator": "TwinSolver",
                "layer_sizes": spec.layer_sizes,
                "activation": spec.activation,
                "loss": self.loss,
                "huber_delta": self.huber_delta,
                "backend": backend.name,
            },
            n_threads=Pace.of(self.n_threads, training_flops(spec, self.batch_size)),
        )
        self.loss_curve_ = list(outcome.history.loss)
        self.validation_loss_curve_ = list(outcome.history.validation_loss)
        self.n_iter_ = len(self.loss_curve_)
        self.stopped_ = outcome.stopped
        return scaling.network(spec, outcome.parameters.astype(np.float32, copy=False))

    def _initial_parameters(self, spec: NetworkSpec, rng: np.random.Generator) -> FloatArray:
        return initial_parameters(spec, rng)
