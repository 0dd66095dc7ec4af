"""One target to ranked solutions, and many at once, beside the same steps from general parts:
SciPy's cKDTree, PyTorch and NumPy (where PyTorch is installed)."""

import numpy as np
import pytest
from bench_mlp import torch_network
from scipy.spatial import cKDTree

import fastinv as fi

WIDTHS = [64, 128, 640]
K = 5


def solver_of(width):
    arm = fi.problems.two_link_arm
    return fi.TwinSolver(
        arm.forward, bounds=arm.bounds, n_anchors=600, hidden_layer_sizes=(width, width),
        max_iter=1, pairs_per_epoch=2560, random_state=0, n_threads=None,
    ).fit()  # fmt: skip


class PeerPipeline:
    """Algorithm 2 of the paper from cKDTree, PyTorch and NumPy, as one would write it."""

    def __init__(self, torch, solver):
        self.torch, self.spec, self.twin = torch, solver.pipeline_spec_, solver.twin_
        self.tree = cKDTree(self.spec.anchors_y)
        self.network = torch_network(torch, self.twin.spec, self.twin.parameters)

    def solve(self, y):
        spec, twin = self.spec, self.twin
        _, anchors = self.tree.query(y, K)
        y_a, x_a = spec.anchors_y[anchors], spec.anchors_x[anchors]
        features = np.concatenate(
            [
                (y[:, None] - y_a) / twin.dy_scale,
                (y_a - twin.y_mean) / twin.y_scale,
                (x_a - twin.x_mean) / twin.x_scale,
            ],
            axis=2,
        ).astype(np.float32)
        with self.torch.inference_mode():
            step = self.network(self.torch.from_numpy(features)).numpy()
        x = np.clip(x_a + twin.dx_scale * step, spec.lower, spec.upper)
        a, b = x[..., 0], x[..., 0] + x[..., 1]
        fx = np.stack([np.cos(a) + np.cos(b), np.sin(a) + np.sin(b)], axis=2)
        residual = np.linalg.norm(fx - y[:, None], axis=2)
        order = np.argsort(residual, axis=1, kind="stable")
        x = np.take_along_axis(x, order[..., None], 1)
        residual = np.take_along_axis(residual, order, 1)
        return x, residual, np.take_along_axis(anchors, order, 1)


def assert_peer_agrees(peer, solver, y):
    """But for candidates that we replace by their anchor, where that is better."""
    _, residual, anchors = peer.solve(y)
    lookup = np.linalg.norm(peer.spec.anchors_y[anchors] - y[:, None], axis=2)
    expected = np.sort(np.minimum(residual, lookup), axis=1)
    np.testing.assert_allclose(solver.solve(y).residual, expected, atol=1e-4)


@pytest.mark.parametrize("peer", ["fastinv", "peer"])
@pytest.mark.parametrize("width", WIDTHS)
def bench_one_target(benchmark, width, peer):
    solver = solver_of(width)
    _, y = fi.problems.two_link_arm.sample(64, random_state=0)
    benchmark.group = f"one target to {K} solutions, width {width}"
    if peer == "fastinv":
        benchmark(solver.solve, y[0])
        return
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    peer_pipeline = PeerPipeline(torch, solver)
    benchmark(peer_pipeline.solve, y[:1])
    assert_peer_agrees(peer_pipeline, solver, y)


@pytest.mark.parametrize("peer", ["fastinv", "peer"])
@pytest.mark.parametrize("width", WIDTHS)
def bench_many_targets(benchmark, width, peer):
    solver = solver_of(width)
    n = 20_000
    _, y = fi.problems.two_link_arm.sample(n, random_state=0)
    benchmark.group = f"{n} targets to {K} solutions each, width {width}, 2 threads"
    if peer == "fastinv":
        solver.set_params(n_threads=2)
        benchmark.pedantic(solver.solve, (y,), rounds=3)
        return
    torch = pytest.importorskip("torch")
    torch.set_num_threads(2)
    peer_pipeline = PeerPipeline(torch, solver)
    benchmark.pedantic(peer_pipeline.solve, (y,), rounds=3)
    assert_peer_agrees(peer_pipeline, solver, y[:1000])
