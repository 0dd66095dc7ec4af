"""Mixture negative log-likelihood with its gradient, beside a hand-written loss in PyTorch."""

import math

import numpy as np
import pytest

from fastinv.backends import get_backend
from fastinv.backends.protocol import MixtureSpec

CASES = {  # rows, components, dimensions, threads
    "32 x 5 x 1": (32, 5, 1, 1),
    "4096 x 10 x 3": (4096, 10, 3, 1),
    "65536 x 10 x 3": (65536, 10, 3, 2),
}


def data(n, mixture):
    rng = np.random.default_rng(73)
    raw = rng.normal(size=(n, mixture.n_raw)).astype(np.float32)
    return raw, rng.normal(size=(n, mixture.n_dims)).astype(np.float32)


def torch_nll(torch, raw, targets, k, d):
    raw = raw.detach().requires_grad_()
    logits, means, log_scales = raw.split([k, k * d, k * d], dim=1)
    log_scales = log_scales.view(-1, k, d)
    z = (targets[:, None] - means.view(-1, k, d)) * torch.exp(-log_scales)
    log_density = -0.5 * (z * z).sum(2) - log_scales.sum(2) - 0.5 * d * math.log(2 * math.pi)
    loss = -torch.logsumexp(torch.log_softmax(logits, 1) + log_density, 1)
    loss.sum().backward()
    return loss.detach().numpy(), raw.grad.numpy()


@pytest.mark.parametrize("peer", ["fastinv", "torch"])
@pytest.mark.parametrize("case", CASES)
def bench_mixture_nll(benchmark, case, peer):
    n, k, d, n_threads = CASES[case]
    mixture = MixtureSpec(k, d, "diag")
    raw, targets = data(n, mixture)
    benchmark.group = f"mixture NLL and gradient, {case}, {n_threads} threads"
    exact = get_backend("reference").mixture_nll(raw[:500], targets[:500], mixture)
    if peer == "fastinv":
        found = benchmark(
            get_backend("cpp").mixture_nll, raw, targets, mixture, n_threads=n_threads
        )
    else:
        torch = pytest.importorskip("torch")
        torch.set_num_threads(n_threads)
        raw_t, targets_t = torch.tensor(raw), torch.tensor(targets)
        found = benchmark(torch_nll, torch, raw_t, targets_t, k, d)
    for values, right in zip(found, exact, strict=True):
        np.testing.assert_allclose(values[:500], right, rtol=2e-4, atol=2e-4)
