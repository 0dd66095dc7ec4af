"""Training steps and inference of the perceptron, beside PyTorch where it is installed.

Run with ``pytest bench/bench_mlp.py``; a group compares like with like on the same threads.
"""

import numpy as np
import pytest

from fastinv.backends import get_backend
from fastinv.backends.protocol import NetworkSpec

STEPS = 50
SHAPES = {
    "6-640-640-2, batch 32": ((6, 640, 640, 2), 32),
    "6-640-640-2, batch 256": ((6, 640, 640, 2), 256),
    "6-64-64-2, batch 32": ((6, 64, 64, 2), 32),
}


def problem(layer_sizes, batch_size):
    rng = np.random.default_rng(70)
    spec = NetworkSpec(layer_sizes, "relu")
    parameters = np.empty(spec.n_parameters, dtype=np.float32)
    for weights, biases in spec.layers(parameters):
        weights[:] = rng.normal(size=weights.shape) / np.sqrt(len(weights))
        biases[:] = 0.1 * rng.normal(size=biases.shape)
    X = rng.normal(size=(STEPS * batch_size, layer_sizes[0])).astype(np.float32)
    Y = rng.normal(size=(STEPS * batch_size, layer_sizes[-1])).astype(np.float32)
    return spec, parameters, X, Y


def torch_network(torch, spec, parameters):
    layers = []
    for weights, biases in spec.layers(parameters):
        layer = torch.nn.Linear(*weights.shape)
        layer.weight.data = torch.tensor(weights.T.copy())
        layer.bias.data = torch.tensor(biases.copy())
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def torch_epoch(torch, network, optimizer, X, Y, batch_size):
    for start in range(0, len(X), batch_size):
        rows = slice(start, start + batch_size)
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.l1_loss(network(X[rows]), Y[rows])
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", SHAPES)
def bench_training_steps(benchmark, name, n_threads):
    layer_sizes, batch_size = SHAPES[name]
    spec, parameters, X, Y = problem(layer_sizes, batch_size)
    benchmark.group = f"{STEPS} training steps, {name}, {n_threads} threads"
    trainer = get_backend("cpp").trainer(spec, parameters, loss="absolute_error")
    order = np.arange(len(X))
    benchmark(
        trainer.train_epoch,
        X, Y, order, batch_size=batch_size, learning_rate=1e-4, n_threads=n_threads,
    )  # fmt: skip
    once = get_backend("cpp").trainer(spec, parameters, loss="absolute_error")
    oracle = get_backend("reference").trainer(spec, parameters, loss="absolute_error")
    first = {"batch_size": batch_size, "learning_rate": 1e-4}
    loss = once.train_epoch(X, Y, order[: 3 * batch_size], **first, n_threads=n_threads)
    assert loss == pytest.approx(oracle.train_epoch(X, Y, order[: 3 * batch_size], **first), 1e-5)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", SHAPES)
def bench_training_steps_torch(benchmark, name, n_threads):
    torch = pytest.importorskip("torch")
    layer_sizes, batch_size = SHAPES[name]
    spec, parameters, X, Y = problem(layer_sizes, batch_size)
    benchmark.group = f"{STEPS} training steps, {name}, {n_threads} threads"
    torch.set_num_threads(n_threads)
    network = torch_network(torch, spec, parameters)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    X_t, Y_t = torch.tensor(X), torch.tensor(Y)
    benchmark(torch_epoch, torch, network, optimizer, X_t, Y_t, batch_size)
    ours = get_backend("cpp").trainer(spec, parameters, loss="absolute_error")
    theirs = torch_network(torch, spec, parameters)
    steps = torch.optim.Adam(theirs.parameters(), lr=1e-4, fused=True)
    rows = 3 * batch_size
    ours.train_epoch(X, Y, np.arange(rows), batch_size=batch_size, learning_rate=1e-4)
    torch_epoch(torch, theirs, steps, X_t[:rows], Y_t[:rows], batch_size)
    for (weights, _), layer in zip(spec.layers(ours.parameters()), theirs[::2], strict=True):
        np.testing.assert_allclose(weights.T, layer.weight.detach().numpy(), atol=3e-4)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("peer", ["fastinv", "torch"])
def bench_inference(benchmark, peer, n_threads):
    spec, parameters, _, _ = problem((6, 640, 640, 2), 1)
    X = np.random.default_rng(71).normal(size=(100_000, 6)).astype(np.float32)
    benchmark.group = f"inference, 100000 rows, 6-640-640-2, {n_threads} threads"
    ours = get_backend("cpp").network(spec, parameters)
    if peer == "fastinv":
        outputs = benchmark.pedantic(ours.forward, (X,), {"n_threads": n_threads}, rounds=3)
        exact = get_backend("reference").network(spec, parameters).forward(X[:50])
        np.testing.assert_allclose(outputs[:50], exact, atol=1e-4)
        return
    torch = pytest.importorskip("torch")
    torch.set_num_threads(n_threads)
    network = torch_network(torch, spec, parameters)

    def forward():
        with torch.inference_mode():
            return network(torch.from_numpy(X)).numpy()

    outputs = benchmark.pedantic(forward, rounds=3)
    np.testing.assert_allclose(outputs[:1000], ours.forward(X[:1000]), atol=1e-4)
