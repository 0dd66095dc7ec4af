"""How many components a mixture needs: by BIC or by cross-validation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import KFold

from fastinv._common.arrays import Float64Array
from fastinv._common.outliers import without_outliers
from fastinv._common.parameters import defaults_of
from fastinv._common.validation import (
    check_integer,
    check_option,
    check_pairs,
    check_random_state,
)

if TYPE_CHECKING:
    from fastinv.estimators.mdn import MixtureDensityNetwork

Criterion = Literal["bic", "cv"]
CRITERIA: tuple[Criterion, ...] = ("bic", "cv")


@dataclass(frozen=True)
class ComponentScore:
    """The score of one number of components.

    Attributes
    ----------
    n_components : int
    score : float
        Lower is better. BIC in nats, or the mean over held-out rows of -log p(y | x), in nats and
        for y in the user's units.
    n_parameters : int
        Weights and biases of the network.
    """

    n_components: int
    score: float
    n_parameters: int


@dataclass(frozen=True)
class ComponentSelection:
    """The table of :func:`select_n_components`.

    Attributes
    ----------
    criterion : {"bic", "cv"}
    scores : tuple of ComponentScore
        In the order of the candidates.
    """

    criterion: Criterion
    scores: tuple[ComponentScore, ...]

    @property
    def best(self) -> int:
        """The number of components with the lowest score; the smaller one if equal."""
        return min(self.scores, key=lambda row: (row.score, row.n_components)).n_components


def select_n_components(
    estimator: MixtureDensityNetwork,
    X: ArrayLike,
    y: ArrayLike,
    *,
    candidates: Iterable[int] = range(1, 11),
    criterion: Criterion = "bic",
    cv: int = 5,
) -> ComponentSelection:
    """Score numbers of components.

    Parameters
    ----------
    estimator : MixtureDensityNetwork
        Its other parameters are used; it is not fitted itself. All candidates train with the same
        seed, without checkpoints.
    X : array-like of shape (n, p)
    y : array-like of shape (n,) or (n, q)
    candidates : iterable of int, default=range(1, 11)
    criterion : {"bic", "cv"}, default="bic"
        "bic" fits each candidate once and takes ``-2 log L + n_parameters log n`` (Schwarz 1978)
        over all rows. It counts every weight of the network, of which a component has
        ``(1 + q + n_scales) (width + 1)`` in the last layer, and so prefers few components where
        rows are few. "cv" takes the mean negative log-likelihood on held-out folds: `cv` fits for
        each candidate.
    cv : int, default=5
        Folds, at least 2, of shuffled rows.

    Returns
    -------
    ComponentSelection

    Raises
    ------
    TypeError, ValueError
        No candidates, or one that is not a positive integer; an unknown criterion; fewer rows
        than folds; and whatever ``estimator.fit`` refuses.
    """
    counts = [check_integer(count, "candidates") for count in candidates]
    if not counts:
        raise ValueError("candidates must hold at least one number of components, got none")
    check_option(criterion, "criterion", CRITERIA)
    inputs, targets = without_outliers(*check_pairs(X, y))
    check_integer(cv, "cv", minimum=2)
    if criterion == "cv" and len(inputs) < cv:
        raise ValueError(f"cv must be at most the number of rows, {len(inputs)}, got {cv}")
    seed = int(check_random_state(estimator.random_state).integers(2**31))
    # What has an effect only where the number is chosen, or with checkpoints.
    names = ("max_components", "checkpoint", "checkpoint_every")
    unused = {name: defaults_of(type(estimator))[name] for name in names}
    scores = []
    for count in counts:
        model = clone(estimator).set_params(n_components=count, random_state=seed, **unused)
        score = _bic if criterion == "bic" else _cross_validated
        scores.append(score(model, inputs, targets, cv, seed))
    return ComponentSelection(criterion, tuple(scores))


def _bic(
    model: MixtureDensityNetwork, X: Float64Array, y: Float64Array, cv: int, seed: int
) -> ComponentScore:
    n_parameters = model.fit(X, y).spec_.n_parameters
    bic = -2.0 * float(model.log_prob(X, y).sum()) + n_parameters * float(np.log(len(X)))
    return ComponentScore(model.n_components_, bic, n_parameters)


def _cross_validated(
    model: MixtureDensityNetwork, X: Float64Array, y: Float64Array, cv: int, seed: int
) -> ComponentScore:
    total = 0.0
    for rows, held_out in KFold(cv, shuffle=True, random_state=seed).split(X):
        total -= float(model.fit(X[rows], y[rows]).log_prob(X[held_out], y[held_out]).sum())
    return ComponentScore(model.n_components_, total / len(X), model.spec_.n_parameters)
