"""What a twin network is trained on: each kind of pairs as epochs, with scales and validation."""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.backends.protocol import Backend
from fastinv.estimators.networks import split_rows
from fastinv.solvers.pairs.pairs import (
    FormulaPairs,
    Pairs,
    PairScaling,
    ScaledFormulaPairs,
    neighbor_pairs,
    pairs_with,
    positive,
)
from fastinv.solvers.pairs.solved import SolvedPairs
from fastinv.training import EpochSource, FixedData, Rows

PairSource = tuple[PairScaling, EpochSource, Rows]  # the last are validated on

N_VALIDATION_PAIRS = 4096


def solved_source(
    pairs: Pairs, anchors: tuple[Float64Array, Float64Array], pairs_per_epoch: int
) -> PairSource:
    """Of `pairs`, which come in random order, the first validate and the others are trained on.

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
    source = SolvedPairs.of(trained, scaling, pairs_per_epoch)
    return scaling, source, scaling.rows(held_out)


def near_source(pairs: FormulaPairs, rng: np.random.Generator) -> PairSource:
    """Fresh pairs in every epoch; the first ones give the scales, and validate."""
    sample = pairs.draw(rng, N_VALIDATION_PAIRS)
    scaling = PairScaling.of_pairs(sample, pairs.x, pairs.y, positive(pairs.radius))
    return scaling, ScaledFormulaPairs(pairs, scaling), scaling.rows(sample)


def neighbor_source(
    backend: Backend,
    points: tuple[Float64Array, Float64Array],
    n_pair_neighbors: int,
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
    pairs = neighbor_pairs(backend, x[rows], y[rows], n_pair_neighbors)
    validation = pairs_with(
        backend, (x[held_out], y[held_out]), (x[rows], y[rows]), n_pair_neighbors
    )
    if not (pairs.x != pairs.x_anchor).any():
        raise ValueError("X must hold different points to pair, got copies of the same")
    scaling = PairScaling.of_pairs(pairs, x, y)
    return scaling, FixedData(*scaling.rows(pairs)), scaling.rows(validation)
