"""PyTorch's side of the works, written as its users would."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastinv._common.arrays import FloatArray
from fastinv.benchmarks.peers.peers import load
from fastinv.benchmarks.work import Side, TrainingTask
from fastinv.functions.networks import MixtureSpec, NetworkSpec


def torch_with(n_threads: int) -> Any:
    """The module, limited to `n_threads`; see :func:`fastinv.benchmarks.peers.peers.load`."""
    torch = load("torch")
    torch.set_num_threads(n_threads)
    return torch


def network(torch: Any, spec: NetworkSpec, parameters: FloatArray) -> Any:
    """A perceptron with ReLU and these parameters."""
    layers = []
    for weights, biases in spec.layers(parameters):
        layer = torch.nn.Linear(*weights.shape)
        layer.weight.data = torch.tensor(weights.T.copy())
        layer.bias.data = torch.tensor(biases.copy())
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def training_side(task: TrainingTask) -> Side:
    """Steps of fused Adam on the mean absolute error, eager; see `training` for the answer."""
    spec, parameters, X, Y, batch_size, learning_rate, n_answer, n_threads = task
    torch = torch_with(n_threads)
    X_t, Y_t = torch.tensor(X), torch.tensor(Y)

    def start() -> tuple[Any, Callable[[int], float]]:
        net = network(torch, spec, parameters)
        adam = torch.optim.Adam(net.parameters(), lr=learning_rate, fused=True)

        def train(n_rows: int) -> float:
            total = torch.zeros(())
            for first in range(0, n_rows, batch_size):
                rows = slice(first, first + batch_size)
                adam.zero_grad(set_to_none=True)
                loss = torch.nn.functional.l1_loss(net(X_t[rows]), Y_t[rows])
                loss.backward()
                adam.step()
                total += loss.detach()
            return float(total) * batch_size / n_rows

        return net, train

    def answer() -> tuple[FloatArray, FloatArray]:
        net, train = start()
        loss = train(n_answer)
        moved = np.concatenate(
            [
                array.detach().numpy().T.ravel()
                for layer in net[::2]
                for array in (layer.weight, layer.bias)
            ]
        )
        return np.array([loss]), moved - parameters

    _, train = start()
    return Side(lambda: train(len(X)), answer)


def inference_side(
    spec: NetworkSpec, parameters: FloatArray, X: FloatArray, n_answer: int, n_threads: int
) -> Side:
    """Outputs of all rows in inference mode."""
    torch = torch_with(n_threads)
    net = network(torch, spec, parameters)

    def forward(rows: FloatArray) -> FloatArray:
        with torch.inference_mode():
            outputs: FloatArray = net(torch.from_numpy(rows)).numpy()
        return outputs

    return Side(lambda: forward(X), lambda: (forward(X[:n_answer]),))


def mixture_side(
    raw: FloatArray, targets: FloatArray, mixture: MixtureSpec, n_answer: int, n_threads: int
) -> Side:
    """The loss written by hand with log-sum-exp, its gradient by automatic differentiation."""
    torch = torch_with(n_threads)
    k, d = mixture.n_components, mixture.n_dims
    raw_t, targets_t = torch.tensor(raw), torch.tensor(targets)

    def nll(rows: Any, wanted: Any) -> tuple[FloatArray, FloatArray]:
        leaf = rows.detach().requires_grad_()
        logits, means, log_scales = leaf.split([k, k * d, k * d], dim=1)
        log_scales = log_scales.view(-1, k, d)
        z = (wanted[:, None] - means.view(-1, k, d)) * torch.exp(-log_scales)
        log_density = -0.5 * (z * z).sum(2) - log_scales.sum(2) - 0.5 * d * math.log(2 * math.pi)
        loss = -torch.logsumexp(torch.log_softmax(logits, 1) + log_density, 1)
        loss.sum().backward()
        return loss.detach().numpy(), leaf.grad.numpy()

    return Side(lambda: nll(raw_t, targets_t), lambda: nll(raw_t[:n_answer], targets_t[:n_answer]))
