"""Keras's side of the works, on its configured backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastinv._common.arrays import FloatArray
from fastinv.benchmarks.peers.peers import load, require_processors
from fastinv.benchmarks.work import Side, TrainingTask
from fastinv.functions.networks import NetworkSpec

# Keras adds epsilon before the second moment is unbiased (Kingma & Ba 2015, end of section 2). This
# equals the paper's 1e-8 at the second of the three compared steps.
_EPSILON = 1e-8 * (1 - 0.999**2) ** 0.5


def _network(keras: Any, spec: NetworkSpec, parameters: FloatArray) -> Any:
    *hidden, n_outputs = spec.layer_sizes[1:]
    layers = [keras.layers.Dense(n, activation="relu") for n in hidden]
    net = keras.Sequential([keras.Input((spec.n_inputs,)), *layers, keras.layers.Dense(n_outputs)])
    net.set_weights([array for layer in spec.layers(parameters) for array in layer])
    return net


def training_side(task: TrainingTask) -> Side:
    """An epoch by ``fit``; see `training` for the answer."""
    spec, parameters, X, Y, batch_size, learning_rate, n_answer, n_threads = task
    require_processors(n_threads)
    keras = load("keras")

    def start() -> Any:
        net = _network(keras, spec, parameters)
        net.compile(
            keras.optimizers.Adam(learning_rate, epsilon=_EPSILON), loss="mean_absolute_error"
        )
        return net

    def train(net: Any, n_rows: int) -> float:
        history = net.fit(X[:n_rows], Y[:n_rows], batch_size=batch_size, shuffle=False, verbose=0)
        return float(history.history["loss"][0])

    def answer() -> tuple[FloatArray, FloatArray]:
        net = start()
        loss = train(net, n_answer)
        moved = np.concatenate([array.ravel() for array in net.get_weights()])
        return np.array([loss]), moved - parameters

    trained = start()
    return Side(lambda: train(trained, len(X)), answer)


def inference_side(
    spec: NetworkSpec, parameters: FloatArray, X: FloatArray, n_answer: int, n_threads: int
) -> Side:
    """Outputs of all rows by ``predict``, in batches of 4,096."""
    require_processors(n_threads)
    net = _network(load("keras"), spec, parameters)

    def predict(rows: FloatArray) -> FloatArray:
        outputs: FloatArray = net.predict(rows, batch_size=4096, verbose=0)
        return outputs

    return Side(lambda: predict(X), lambda: (predict(X[:n_answer]),))
