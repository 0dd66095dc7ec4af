"""Works of the solve pipeline: targets to ranked solutions of a two-link robot arm."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cache, partial
from itertools import cycle
from typing import Any

import numpy as np

from fastinv._common.arrays import Float64Array, IntArray
from fastinv.benchmarks.peers import torch_peer
from fastinv.benchmarks.peers.peers import load
from fastinv.benchmarks.work import Job, Side, Work
from fastinv.estimators import TwinNetwork
from fastinv.problems import two_link_arm
from fastinv.solvers import SolvedPairs, TwinSolver

K = 5
_N_ANCHORS = 600
_N_TARGETS = 100_000
_N_SINGLE = 64  # targets that single calls use in turn
_N_ANSWER = 1000
_PEERS = {"torch": "cKDTree + PyTorch + NumPy"}
_TOLERANCE = 1e-4  # relative to the largest residual: candidates come from float32 networks


def one_target(width: int) -> Work:
    """From one target to five ranked solutions, called from Python."""
    return Work(
        name=f"solve-one-{width}",
        title=f"one target to {K} ranked solutions, width {width}",
        prepare=partial(_one_target_job, width),
        peers=_PEERS,
        n_threads=1,
        single_calls=True,
        unit="call",
        flops=_network_flops(width),
        tolerance=_TOLERANCE,
    )


def many_targets(width: int) -> Work:
    """From 100,000 targets to five ranked solutions each."""
    return Work(
        name=f"solve-many-{width}",
        title=f"{_N_TARGETS:,} targets to {K} ranked solutions, width {width}",
        prepare=partial(_many_targets_job, width),
        peers=_PEERS,
        flops=_N_TARGETS * _network_flops(width),
        tolerance=_TOLERANCE,
        heavy=width > 64,
    )


def _network_flops(width: int) -> float:
    return 2.0 * K * (6 * width + width * width + width * 2)


@cache
def _solver(width: int) -> TwinSolver:
    """A briefly trained solver: more training would change its results, not its time."""
    return TwinSolver(
        two_link_arm.forward,
        bounds=two_link_arm.bounds,
        n_anchors=_N_ANCHORS,
        n_candidates=K,
        network=TwinNetwork((width, width), max_iter=1),
        pairs=SolvedPairs(pairs_per_epoch=2560),
        anchor_choice="nearest",  # like the peers: no spreading, one pass, no polish, no units
        n_passes=1,
        refine=False,
        y_scale=1.0,
        random_state=0,
    ).fit()


def _hot(solver: TwinSolver) -> Callable[[Float64Array], Any]:
    """The fastest way from one target to its solutions."""
    return solver.freeze()


def _one_target_job(width: int, n_threads: int) -> Job:
    solver = copy(_solver(width)).set_params(n_threads=n_threads)
    _, y = two_link_arm.sample(_N_SINGLE, random_state=0)
    hot, targets = _hot(solver), cycle(list(y))

    def peer() -> Side:
        pipeline = PeerPipeline(solver, n_threads)
        rows = cycle([row[None] for row in y])
        return Side(lambda: pipeline.solve(next(rows)), lambda: (pipeline.residuals(y),))

    def answer() -> tuple[Float64Array]:
        return (np.stack([hot(row).residual for row in y]),)

    return Job(Side(lambda: hot(next(targets)), answer), {"torch": peer})


def _many_targets_job(width: int, n_threads: int) -> Job:
    solver = copy(_solver(width)).set_params(n_threads=n_threads)
    _, y = two_link_arm.sample(_N_TARGETS, random_state=0)

    def run() -> tuple[Any, ...]:
        found = solver.solve(y)
        return found.x, found.residual, found.anchor, found.status

    def peer() -> Side:
        pipeline = PeerPipeline(solver, n_threads)
        return Side(lambda: pipeline.solve(y), lambda: (pipeline.residuals(y[:_N_ANSWER]),))

    return Job(Side(run, lambda: (solver.solve(y[:_N_ANSWER]).residual,)), {"torch": peer})


class PeerPipeline:
    """Algorithm 2 of the paper, written simply with cKDTree, PyTorch and NumPy."""

    def __init__(self, solver: TwinSolver, n_threads: int) -> None:
        self.torch = torch_peer.torch_with(n_threads)
        self.region, self.twin, self.n_threads = solver.problem_.region, solver.twin_, n_threads
        self.anchors_x, self.anchors_y = solver.anchors_x_, solver.anchors_y_
        self.tree = load("cKDTree").cKDTree(self.anchors_y)
        self.network = torch_peer.network(self.torch, self.twin.spec, self.twin.parameters)

    def solve(self, y: Float64Array) -> tuple[Float64Array, Float64Array, IntArray]:
        """Solutions (n, k, 2), residuals (n, k) and anchors (n, k) of targets (n, 2)."""
        twin = self.twin
        _, anchors = self.tree.query(y, K, workers=self.n_threads)
        y_a, x_a = self.anchors_y[anchors], self.anchors_x[anchors]
        features = twin.features(y[:, None], y_a, x_a).astype(np.float32)
        with self.torch.inference_mode():
            step = self.network(self.torch.from_numpy(features)).numpy()
        x = np.clip(x_a + twin.dx_scale * step, self.region.lower, self.region.upper)
        a, b = x[..., 0], x[..., 0] + x[..., 1]
        fx = np.stack([np.cos(a) + np.cos(b), np.sin(a) + np.sin(b)], axis=2)
        residual = np.linalg.norm(fx - y[:, None], axis=2)
        order = np.argsort(residual, axis=1, kind="stable")
        x = np.take_along_axis(x, order[..., None], 1)
        residual = np.take_along_axis(residual, order, 1)
        return x, residual, np.take_along_axis(anchors, order, 1)

    def residuals(self, y: Float64Array) -> Float64Array:
        """Residuals by our rule: an anchor that is better than its candidate replaces it."""
        _, residual, anchors = self.solve(y)
        lookup = np.linalg.norm(self.anchors_y[anchors] - y[:, None], axis=2)
        return np.sort(np.minimum(residual, lookup), axis=1)
