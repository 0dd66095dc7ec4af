"""Works of the perceptron: training steps and inference."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
from sklearn.neural_network import MLPRegressor

from fastinv._common.arrays import FloatArray, IntArray
from fastinv.backends import get_backend
from fastinv.backends.protocol import Trainer
from fastinv.benchmarks.peers import jax_peer, keras_peer, torch_peer
from fastinv.benchmarks.work import Job, Side, TrainingTask, Work
from fastinv.functions.networks import NetworkSpec

N_STEPS = 50
_LEARNING_RATE = 1e-4
_N_ANSWER_STEPS = 3
_N_ROWS = 100_000
_N_ANSWER_ROWS = 1000


def training(layer_sizes: tuple[int, ...], batch_size: int, n_threads: int) -> Work:
    """Steps of Adam on the mean absolute error of a network with ReLU.

    The answer is the mean loss over the first three steps, each at the parameters before it,
    and how far they moved the parameters. It is compared in the Euclidean norm: if a gradient
    consists of rounding errors, Adam still takes a whole step by its sign.
    """
    sizes = "-".join(map(str, layer_sizes))
    n_weights = [a * b for a, b in pairwise(layer_sizes)]
    return Work(
        name=f"train-{layer_sizes[1]}-{batch_size}",
        title=f"training step, {sizes}, batch {batch_size}",
        prepare=partial(_training_job, layer_sizes, batch_size),
        peers={"torch": "PyTorch, fused Adam", "jax": "JAX, jit and scan", "keras": "Keras"},
        n_threads=n_threads,
        n_units=N_STEPS,
        unit="step",
        # Forward, gradients of the weights, and of the inputs of all layers but the first.
        flops=2.0 * batch_size * N_STEPS * (3 * sum(n_weights) - n_weights[0]),
        tolerance=1e-2,
        norm="euclidean",
    )


def inference(layer_sizes: tuple[int, ...]) -> Work:
    """Outputs of 100,000 rows; the answer is the first 1,000."""
    sizes = "-".join(map(str, layer_sizes))
    n_weights = sum(a * b for a, b in pairwise(layer_sizes))
    return Work(
        name=f"infer-{layer_sizes[1]}",
        title=f"inference, {_N_ROWS:,} rows of {sizes}",
        prepare=partial(_inference_job, layer_sizes),
        peers={
            "torch": "PyTorch, inference mode",
            "jax": "JAX, jit",
            "keras": "Keras",
            "sklearn": "scikit-learn",
        },
        flops=2.0 * _N_ROWS * n_weights,
    )


def _network(layer_sizes: tuple[int, ...]) -> tuple[NetworkSpec, FloatArray]:
    rng = np.random.default_rng(70)
    spec = NetworkSpec(layer_sizes, "relu")
    parameters = np.empty(spec.n_parameters, dtype=np.float32)
    for weights, biases in spec.layers(parameters):
        weights[:] = rng.normal(size=weights.shape) / np.sqrt(len(weights))
        biases[:] = 0.1 * rng.normal(size=biases.shape)
    return spec, parameters


def _training_job(layer_sizes: tuple[int, ...], batch_size: int, n_threads: int) -> Job:
    spec, parameters = _network(layer_sizes)
    rng = np.random.default_rng(71)
    X, Y = (
        rng.normal(size=(N_STEPS * batch_size, n)).astype(np.float32)
        for n in (spec.n_inputs, spec.n_outputs)
    )
    n_answer = _N_ANSWER_STEPS * batch_size
    task = TrainingTask(spec, parameters, X, Y, batch_size, _LEARNING_RATE, n_answer, n_threads)
    return Job(
        _our_training(task),
        {
            "torch": partial(torch_peer.training_side, task),
            "jax": partial(jax_peer.training_side, task),
            "keras": partial(keras_peer.training_side, task),
        },
    )


def _our_training(task: TrainingTask) -> Side:
    spec, parameters, X, Y, batch_size, learning_rate, n_answer, n_threads = task
    backend = get_backend("cpp")
    order = np.arange(len(X))
    trainer = backend.trainer(spec, parameters, loss="absolute_error")

    def epoch(trainer: Trainer, order: IntArray) -> float:
        return trainer.train_epoch(
            X,
            Y,
            order,
            batch_size=batch_size,
            learning_rate=learning_rate,
            n_threads=n_threads,
        )

    def answer() -> tuple[FloatArray, FloatArray]:
        fresh = backend.trainer(spec, parameters, loss="absolute_error")
        loss = epoch(fresh, order[:n_answer])
        return np.array([loss]), fresh.parameters() - parameters

    return Side(lambda: epoch(trainer, order), answer)


def _inference_job(layer_sizes: tuple[int, ...], n_threads: int) -> Job:
    spec, parameters = _network(layer_sizes)
    X = np.random.default_rng(72).normal(size=(_N_ROWS, spec.n_inputs)).astype(np.float32)
    net = get_backend("cpp").network(spec, parameters)
    arguments = (spec, parameters, X, _N_ANSWER_ROWS, n_threads)
    return Job(
        Side(
            lambda: net.forward(X, n_threads=n_threads),
            lambda: (net.forward(X[:_N_ANSWER_ROWS], n_threads=n_threads),),
        ),
        {
            "torch": partial(torch_peer.inference_side, *arguments),
            "jax": partial(jax_peer.inference_side, *arguments),
            "keras": partial(keras_peer.inference_side, *arguments),
            "sklearn": partial(_sklearn_inference, spec, parameters, X),
        },
    )


def _sklearn_inference(spec: NetworkSpec, parameters: FloatArray, X: FloatArray) -> Side:
    """scikit-learn uses the threads of NumPy's BLAS, which the environment limits."""
    model = MLPRegressor(hidden_layer_sizes=spec.layer_sizes[1:-1])
    model.partial_fit(X[:2], np.zeros((2, spec.n_outputs), dtype=np.float32))
    weights, biases = zip(*spec.layers(parameters), strict=True)
    model.coefs_, model.intercepts_ = list(weights), list(biases)
    return Side(lambda: model.predict(X), lambda: (model.predict(X[:_N_ANSWER_ROWS]),))
