"""Works of the mixture loss: negative log-likelihood with its gradient."""

from __future__ import annotations

from functools import partial

import numpy as np

from fastinv import losses
from fastinv._common.arrays import FloatArray
from fastinv.benchmarks.peers import torch_peer
from fastinv.benchmarks.work import Job, Side, Work
from fastinv.functions.networks import MixtureSpec

_N_ANSWER = 500
_PEERS = {"torch": "PyTorch by hand"}


def mixture_nll(n: int, k: int, d: int, n_threads: int, *, single_calls: bool = False) -> Work:
    """n rows of K components in D dimensions; the answer is losses and gradients of 500 rows."""
    mixture = MixtureSpec(k, d, "diag")
    return Work(
        name=f"mixture-{n}",
        title=f"mixture NLL and gradient, {n} x {k} x {d}",
        prepare=partial(_job, n, mixture),
        peers=_PEERS,
        n_threads=n_threads,
        single_calls=single_calls,
        unit="call",
        # Bytes of raw rows and gradients, targets and losses. If all data stay in the cache, the
        # speed of memory is no limit.
        n_bytes=None if single_calls else 4.0 * n * (2 * mixture.n_raw + d + 1),
        tolerance=1e-5,
    )


def _job(n: int, mixture: MixtureSpec, n_threads: int) -> Job:
    rng = np.random.default_rng(73)
    raw = rng.normal(size=(n, mixture.n_raw)).astype(np.float32)
    targets = rng.normal(size=(n, mixture.n_dims)).astype(np.float32)

    def nll(raw: FloatArray, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
        return losses.mixture_nll(raw, targets, mixture.n_components, n_threads=n_threads)

    return Job(
        Side(lambda: nll(raw, targets), lambda: nll(raw[:_N_ANSWER], targets[:_N_ANSWER])),
        {"torch": partial(torch_peer.mixture_side, raw, targets, mixture, _N_ANSWER, n_threads)},
    )
