"""Kinds of training pairs of a twin network, each with its scales and validation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from fastinv._common.arrays import Float64Array
from fastinv._common.parameters import Effect, check_effects
from fastinv._common.validation import check_integer, check_number
from fastinv.backends.protocol import Anchors, Backend
from fastinv.estimators.mlp import MLPRegressor
from fastinv.estimators.networks import split_rows
from fastinv.estimators.twin_pairs import Pairs, PairScaling, PairSource, positive
from fastinv.solvers.fitting.fit_data import FitData
from fastinv.solvers.pairs.near import (
    FormulaPairs,
    ScaledFormulaPairs,
    neighbor_pairs,
    pairs_with,
)
from fastinv.solvers.pairs.radius import resolve_radius
from fastinv.solvers.pairs.solved import (
    PairRegion,
    SolvedRows,
    affordable_pairs,
    solved_pairs,
    targets_for,
)
from fastinv.training import FixedData

N_VALIDATION_PAIRS = 4096
# Of pairs that are drawn with a formula, and neighbours where points are measured.
DRAWN_OR_NEIGHBORS = (
    Effect(
        ("pairs_per_epoch", "radius"),
        lambda given: not given.measured,
        "on measured points, which are paired with their neighbours",
        "fit without y, so that pairs are drawn with a formula",
    ),
    Effect(
        ("n_neighbors", "validation_fraction"),
        lambda given: given.measured,
        "with a formula, by which pairs are drawn",
        "measured points, fit(X, y)",
    ),
)


class TrainingPairs(BaseEstimator, ABC):  # type: ignore[misc]
    """How the training pairs of a :class:`TwinSolver` are made; subclass it for another way.

    It has parameters, which ``get_params``, ``set_params`` and ``clone`` work with as they do with
    an estimator's, but learns nothing, and so has no ``fit``.
    """

    @abstractmethod
    def check(self, measured: bool) -> None:
        """Refuse parameters that are out of range, or that are set and have no effect.

        Parameters
        ----------
        measured : bool
            Whether pairs will be made of measured points, rather than by a formula.
        """

    @abstractmethod
    def source(
        self,
        data: FitData,
        anchors: Anchors,
        backend: Backend,
        rng: np.random.Generator,
        n_threads: int = 1,
    ) -> PairSource:
        """Scales, what each epoch trains on, and what validates.

        Parameters
        ----------
        data : FitData
            With f, known or learned.
        anchors : Anchors
            The same as of `data`, indexed.
        backend : Backend
        rng : numpy.random.Generator
            The only source of random numbers.
        n_threads : int, default=1
            Has no influence on the result.
        """


class SolvedPairs(TrainingPairs):
    """Targets, the anchors near them in y, and the solutions there: the task of solving.

    They are computed once: random targets, the anchors nearest to those in y, and the solutions
    that damped Gauss-Newton steps on f reach from these, or the nearest other ones where an
    anchor's branch ends before the target.

    Parameters
    ----------
    n_pairs : int or None, default=None
        None takes 200,000, with more than 8 inputs fewer in proportion. Each costs up to six
        derivatives of f, by differences: in all some 1.4 million evaluations with 2 inputs and 20
        million with 8, while :class:`NearPairs` take 2.6 million. Native functions take a second
        or two for them; with an f in Python they take most of the time of a fit.
    pairs_per_epoch : int, default=25600
        Pairs drawn of these for each epoch.
    radius : float or array-like of shape (p,), default=None
        The largest step in x towards a solution. None takes about the distance between
        neighbouring anchors, see :func:`fastinv.solvers.pairs.radius.reaching_radius`, never less
        than :func:`fastinv.solvers.pairs.radius.pair_radius`; just that with more inputs than
        outputs.

    Examples
    --------
    >>> import fastinv as fi
    >>> arm = fi.problems.two_link_arm
    >>> pairs = fi.SolvedPairs(n_pairs=20_000, pairs_per_epoch=5_000)
    >>> network = fi.TwinNetwork(max_iter=5)
    >>> solver = fi.TwinSolver(arm.forward, bounds=arm.bounds, network=network, pairs=pairs)
    >>> solver.fit().pairs_
    SolvedPairs(n_pairs=20000, pairs_per_epoch=5000)
    """

    def __init__(
        self,
        *,
        n_pairs: int | None = None,
        pairs_per_epoch: int = 25600,
        radius: float | ArrayLike | None = None,
    ) -> None:
        self.n_pairs = n_pairs
        self.pairs_per_epoch = pairs_per_epoch
        self.radius = radius

    def check(self, measured: bool) -> None:
        if self.n_pairs is not None:
            check_integer(self.n_pairs, "n_pairs")
        check_integer(self.pairs_per_epoch, "pairs_per_epoch")

    def source(
        self,
        data: FitData,
        anchors: Anchors,
        backend: Backend,
        rng: np.random.Generator,
        n_threads: int = 1,
    ) -> PairSource:
        forward, (x, y) = data.forward, data.anchors
        assert forward is not None
        box = _box(data)
        radius = resolve_radius(self.radius, backend, box, x, y.shape[1], rng)
        region = PairRegion(box, radius)
        n_targets = targets_for(self.n_pairs or affordable_pairs(len(box)), len(x))
        if forward.exact and data.bounds is not None:
            points = region.uniform(n_targets, rng)
        else:  # only here f is known or needed
            points = region.around(data.points[0], n_targets, rng)
        pairs = solved_pairs(backend, anchors, forward, region, points, n_threads)
        return solved_source(pairs, data.anchors, self.pairs_per_epoch)


class NearPairs(TrainingPairs):
    """Points that are near each other in x, as in the paper.

    With a formula fresh ones are drawn in every epoch. Measured points are paired with their
    nearest neighbours (algorithm 1 of Wetzel 2026). On random functions a network that learns from
    these has errors twice as large as one that learns from :class:`SolvedPairs`, and it never
    leaves a branch that ends before the target.

    Parameters
    ----------
    pairs_per_epoch : int, default=25600
        Pairs drawn for each epoch, with a formula.
    radius : float or array-like of shape (p,), default=None
        Half-width in x of the box around an anchor that its partners are drawn from, with a
        formula. None as in :class:`SolvedPairs`.
    n_neighbors : int, default=5
        Neighbours in x that each measured point is paired with.
    validation_fraction : float, default=0.1
        Measured points whose pairs validate.

    Examples
    --------
    >>> import fastinv as fi
    >>> X, y = fi.problems.two_link_arm.sample(200, random_state=0)
    >>> network = fi.TwinNetwork(max_iter=5)
    >>> solver = fi.TwinSolver(network=network, pairs=fi.NearPairs(n_neighbors=20))
    >>> solver.fit(X, y).twin_.spec.layer_sizes
    (6, 128, 128, 128, 2)
    """

    def __init__(
        self,
        *,
        pairs_per_epoch: int = 25600,
        radius: float | ArrayLike | None = None,
        n_neighbors: int = 5,
        validation_fraction: float = 0.1,
    ) -> None:
        self.pairs_per_epoch = pairs_per_epoch
        self.radius = radius
        self.n_neighbors = n_neighbors
        self.validation_fraction = validation_fraction

    def check(self, measured: bool) -> None:
        check_integer(self.pairs_per_epoch, "pairs_per_epoch")
        check_integer(self.n_neighbors, "n_neighbors")
        check_number(self.validation_fraction, "validation_fraction", above=0.0, below=1.0)
        check_effects(self, DRAWN_OR_NEIGHBORS, measured=measured)

    def source(
        self,
        data: FitData,
        anchors: Anchors,
        backend: Backend,
        rng: np.random.Generator,
        n_threads: int = 1,
    ) -> PairSource:
        if data.measured:
            return neighbor_source(
                backend, data.points, self.n_neighbors, self.validation_fraction, rng
            )
        assert data.forward is not None
        x, y = data.anchors
        box = _box(data)
        radius = resolve_radius(self.radius, backend, box, x, y.shape[1], rng)
        pairs = FormulaPairs(data.forward, x, y, box, radius, self.pairs_per_epoch)
        return near_source(pairs, rng)


def default_pairs(forward: Any) -> TrainingPairs:
    """The default pairs of a solver with this `forward`.

    Solved pairs, but near ones where f is a regressor of another kind than fastinv's: it may be
    slow, and need not have a derivative.
    """
    regressor = getattr(forward, "regressor", forward)
    foreign = hasattr(regressor, "predict") and not isinstance(regressor, MLPRegressor)
    return NearPairs() if foreign else SolvedPairs()


def solved_source(
    pairs: Pairs, anchors: tuple[Float64Array, Float64Array], pairs_per_epoch: int
) -> PairSource:
    """Split `pairs`, in random order: the first ones validate, the others train.

    Raises
    ------
    ValueError
        There are fewer than two.
    """
    if len(pairs.x) < 2:
        raise ValueError(
            "n_pairs must leave at least 2 solved pairs, to train on and to validate, got "
            f"{len(pairs.x)}: raise it, or give more anchors"
        )
    held_out, trained = pairs.split(N_VALIDATION_PAIRS)
    scaling = PairScaling.of_pairs(pairs, *anchors)
    rows = SolvedRows.of(trained, scaling, pairs_per_epoch)
    return PairSource(scaling, rows, scaling.rows(held_out))


def near_source(pairs: FormulaPairs, rng: np.random.Generator) -> PairSource:
    """Fresh pairs in every epoch; the first ones give the scales, and validate."""
    sample = pairs.draw(rng, N_VALIDATION_PAIRS)
    scaling = PairScaling.of_pairs(sample, pairs.x, pairs.y, positive(pairs.radius))
    return PairSource(scaling, ScaledFormulaPairs(pairs, scaling), scaling.rows(sample))


def neighbor_source(
    backend: Backend,
    points: tuple[Float64Array, Float64Array],
    n_neighbors: int,
    validation_fraction: float,
    rng: np.random.Generator,
) -> PairSource:
    """Nearest neighbours in x; points held out, paired with those trained on, validate.

    Raises
    ------
    ValueError
        All points are the same.
    """
    x, y = points
    rows, held_out = split_rows(len(x), validation_fraction, rng)
    pairs = neighbor_pairs(backend, x[rows], y[rows], n_neighbors)
    validation = pairs_with(backend, (x[held_out], y[held_out]), (x[rows], y[rows]), n_neighbors)
    if not (pairs.x != pairs.x_anchor).any():
        raise ValueError("X must hold different points to pair, got copies of the same")
    scaling = PairScaling.of_pairs(pairs, x, y)
    return PairSource(scaling, FixedData(*scaling.rows(pairs)), scaling.rows(validation))


def _box(data: FitData) -> Float64Array:
    """The bounds (p, 2), or the box around all points."""
    if data.bounds is not None:
        return data.bounds
    around = np.concatenate([data.anchors[0], data.points[0]])
    low, high = around.min(axis=0), around.max(axis=0)
    if (low == high).all():
        raise ValueError(
            "X must hold different points to pair, "
            f"got n_samples={len(data.points[0])}, all the same"
        )
    return np.stack([low, high], axis=1)
