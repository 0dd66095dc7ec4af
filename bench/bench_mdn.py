"""A mixture density network on the tutorial's inverse problem, beside PyTorch's: the same data,
network, batch size, number of steps, optimiser and schedule.

The best attainable test NLL is -1.311 nats, for p(x | y) is uniform on a union of intervals.
"""

import math

import numpy as np
import pytest

import fastinv as fi

K, BATCH, EPOCHS, RATE = 10, 128, 250, 3e-3
BEST_NLL = -1.311


def data():
    wave = fi.problems.wave
    x, y = wave.sample(2000, random_state=80)
    x_test, y_test = wave.sample(5000, random_state=81)
    return y, x, y_test, x_test


def fit_fastinv(y, x):
    return fi.MixtureDensityNetwork(
        K, hidden_layer_sizes=(64, 64), activation="tanh", batch_size=BATCH, max_iter=EPOCHS,
        learning_rate_init=RATE, early_stopping=False, random_state=0, n_threads=1,
    ).fit(y, x[:, 0])  # fmt: skip


def torch_nll(torch, raw, targets):
    logits, means, log_scales = raw.split(K, dim=1)
    z = (targets - means) * torch.exp(-log_scales)
    terms = torch.log_softmax(logits, 1) - 0.5 * z * z - log_scales - 0.5 * math.log(2 * math.pi)
    return -torch.logsumexp(terms, 1)


def fit_torch(torch, y, x):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    to_units = [(v.mean(0), v.std(0)) for v in (y, x)]
    inputs, targets = (
        torch.tensor((v - m) / s, dtype=torch.float32)
        for v, (m, s) in zip((y, x), to_units, strict=True)
    )
    network = torch.nn.Sequential(
        torch.nn.Linear(1, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(),
        torch.nn.Linear(64, 3 * K),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            torch_nll(torch, network(inputs[rows]), targets[rows]).mean().backward()
            optimizer.step()
        schedule.step()

    def test_nll(y_test, x_test):
        scaled = [
            torch.tensor((v - m) / s, dtype=torch.float32)
            for v, (m, s) in zip((y_test, x_test), to_units, strict=True)
        ]
        with torch.inference_mode():
            loss = torch_nll(torch, network(scaled[0]), scaled[1]).mean()
        return float(loss) + float(np.log(to_units[1][1]).sum())

    return test_nll


@pytest.mark.parametrize("peer", ["fastinv", "torch"])
def bench_tutorial(benchmark, peer):
    y, x, y_test, x_test = data()
    benchmark.group = f"{EPOCHS} epochs of a mixture density network, 1 thread"
    ours = fit_fastinv(y, x)
    our_nll = -ours.log_prob(y_test, x_test[:, 0]).mean()
    assert our_nll < BEST_NLL + 0.20
    if peer == "fastinv":
        benchmark.pedantic(fit_fastinv, (y, x), rounds=3)
        benchmark.extra_info["test_nll"] = our_nll
        return
    torch = pytest.importorskip("torch")
    test_nll = benchmark.pedantic(fit_torch, (torch, y, x), rounds=3)
    their_nll = test_nll(y_test, x_test)
    benchmark.extra_info["test_nll"] = their_nll
    print(f"\ntest NLL: fastinv {our_nll:.3f}, PyTorch {their_nll:.3f}, attainable {BEST_NLL}")
    assert our_nll <= their_nll + 0.005
