"""Works of the KD-tree: building, queries by the batch, one query at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np

from fastinv._common.arrays import FloatArray
from fastinv.benchmarks.peers.peers import load
from fastinv.benchmarks.work import Job, Side, Work
from fastinv.neighbors import KDTree

# cKDTree and scikit-learn always compute in float64.
_LABELS = {
    "pykdtree": "pykdtree",
    "cKDTree": "cKDTree",
    "sklearn": "scikit-learn, 1 thread",
}
_EXACT = {"float32": 1e-6, "float64": 1e-14}
_N_ANSWER = 100

Query = Callable[[FloatArray], tuple[Any, Any]]  # queries to distances and indices


def queries(
    n: int, m: int, k: int, dtype: str, peers: tuple[str, ...], *, name: str, heavy: bool = False
) -> Work:
    """The k nearest of n x 3 points for m queries; the answer is all distances."""
    return Work(
        name=name,
        title=f"kNN, {n:,} x 3, {m:,} queries, k = {k}, {dtype}",
        prepare=partial(_query_job, n, m, k, dtype, peers),
        peers={peer: _LABELS[peer] for peer in peers},
        tolerance=_EXACT[dtype],
        heavy=heavy,
    )


def single_query(n: int, k: int) -> Work:
    """One query of n x 2 points, called from Python."""
    return Work(
        name="knn-one",
        title=f"kNN, {n:,} x 2, one query, k = {k}, float32",
        prepare=partial(_single_job, n, k),
        peers=_LABELS,
        n_threads=1,
        single_calls=True,
        unit="call",
        tolerance=_EXACT["float32"],
    )


def build(n: int) -> Work:
    """The tree of n x 3 points; the answer is the distances of some queries."""
    return Work(
        name="knn-build-1e6",
        title=f"KD-tree of {n:,} x 3, float32",
        prepare=partial(_build_job, n),
        peers=_LABELS,
        n_threads=2,
        tolerance=_EXACT["float32"],
        heavy=True,
    )


def _data(n: int, d: int, m: int, dtype: str) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(6030)
    return rng.random((n, d)).astype(dtype), rng.random((m, d)).astype(dtype)


def _peer_tree(peer: str, points: FloatArray, k: int, n_threads: int) -> Query:
    module = load(peer)
    if peer == "pykdtree":
        tree = module.KDTree(points)
        return lambda y: tree.query(y, k)
    if peer == "cKDTree":
        tree = module.cKDTree(points)
        return lambda y: tree.query(y, k, workers=n_threads)
    tree = module.KDTree(points)
    return lambda y: tree.query(y, k)


def _query_job(n: int, m: int, k: int, dtype: str, peers: tuple[str, ...], n_threads: int) -> Job:
    points, y = _data(n, 3, m, dtype)
    tree = KDTree(points)
    ours: Query = partial(tree.query, k=k, n_threads=n_threads)

    def peer_side(peer: str) -> Side:
        return _side(_peer_tree(peer, points, k, n_threads), y)

    return Job(_side(ours, y), {peer: partial(peer_side, peer) for peer in peers})


def _side(query: Query, y: FloatArray) -> Side:
    return Side(lambda: query(y), lambda: (query(y)[0],))


def _single_job(n: int, k: int, n_threads: int) -> Job:
    points, y = _data(n, 2, _N_ANSWER, "float32")
    tree = KDTree(points)

    def peer_side(peer: str) -> Side:
        # pykdtree and scikit-learn take a matrix of one row.
        return _single_side(_peer_tree(peer, points, k, n_threads), [row[None] for row in y])

    ours = _single_side(partial(tree.query, k=k, n_threads=n_threads), list(y))
    return Job(ours, {peer: partial(peer_side, peer) for peer in _LABELS})


def _single_side(query: Query, rows: list[FloatArray]) -> Side:
    turn = cycle(rows)
    return Side(
        lambda: query(next(turn)),
        lambda: (np.stack([query(row)[0].ravel() for row in rows]),),
    )


def _build_job(n: int, n_threads: int) -> Job:
    points, y = _data(n, 3, _N_ANSWER, "float32")

    def peer_side(peer: str) -> Side:
        load(peer)
        return Side(
            lambda: _peer_tree(peer, points, 1, 1),
            lambda: (_peer_tree(peer, points, 1, 1)(y)[0].reshape(-1, 1),),
        )

    ours = Side(
        lambda: KDTree(points, n_threads=n_threads),
        lambda: (KDTree(points, n_threads=n_threads).query(y, 1)[0],),
    )
    return Job(ours, {peer: partial(peer_side, peer) for peer in _LABELS})
