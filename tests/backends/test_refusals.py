"""Every backend refuses the same input in the same words: networks, mixtures, neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from fastinv.backends import BACKENDS, get_backend
from fastinv.functions import MixtureSpec, NetworkSpec

SPEC = NetworkSpec((2, 3, 1))
ZEROS = np.zeros(SPEC.n_parameters)
X, Y = np.zeros((7, 2)), np.zeros((7, 1))
ORDER = np.arange(7)
MIXTURE, RAW = MixtureSpec(n_components=1, n_dims=1), np.zeros((7, 3))
MIXTURE_SPEC = NetworkSpec((2, 3))


def train(backend, order=ORDER, x=X, y=Y, batch_size=2, learning_rate=0.1):
    trainer = backend.trainer(SPEC, ZEROS)
    trainer.train_epoch(x, y, order, batch_size=batch_size, learning_rate=learning_rate)


def load(backend, **changes):
    trainer = backend.trainer(SPEC, ZEROS)
    trainer.load_state({**trainer.state(), **changes})


def read_only(array):
    array.flags.writeable = False
    return array


REFUSALS = {
    "parameters, shape": (
        lambda b: b.network(SPEC, np.zeros(3)),
        ValueError, r"parameters must have shape \(13,\), got \(3,\)"),
    "parameters, dtype": (
        lambda b: b.trainer(SPEC, ZEROS.astype(int)),
        TypeError, "parameters must have dtype float32 or float64, got int64"),
    "X, columns": (
        lambda b: b.network(SPEC, ZEROS).forward(np.zeros((7, 3))),
        ValueError, r"X must have shape \(n, 2\), got \(7, 3\)"),
    "X, list": (
        lambda b: b.network(SPEC, ZEROS).forward([[0.0, 0.0]]),
        TypeError, "X must be a NumPy array, got list"),
    "out, shape": (
        lambda b: b.network(SPEC, ZEROS).forward(X, out=np.zeros((6, 1))),
        ValueError, r"out must have shape \(7, 1\), got \(6, 1\)"),
    "out, dtype": (
        lambda b: b.network(SPEC, ZEROS).forward(X, out=np.zeros((7, 1), dtype=np.float32)),
        TypeError, "out must have dtype float64, got float32"),
    "out, strides": (
        lambda b: b.network(SPEC, ZEROS).forward(X, out=np.zeros((7, 2))[:, :1]),
        ValueError, "out must be C-contiguous and writeable"),
    "out, read-only": (
        lambda b: b.network(SPEC, ZEROS).forward(X, out=read_only(np.zeros((7, 1)))),
        ValueError, "out must be C-contiguous and writeable"),
    "n_threads": (
        lambda b: b.network(SPEC, ZEROS).forward(X, n_threads=0),
        ValueError, "n_threads must be at least 1, got 0"),
    "Y, rows": (
        lambda b: b.loss_and_gradient(SPEC, ZEROS, X, Y[:6]),
        ValueError, r"Y must have shape \(7, 1\), got \(6, 1\)"),
    "no rows": (
        lambda b: b.loss_and_gradient(SPEC, ZEROS, X[:0], Y[:0]),
        ValueError, r"X must not be empty, got shape \(0, 2\)"),
    "no rows to measure the loss on": (
        lambda b: b.trainer(SPEC, ZEROS).loss(X[:0], Y[:0]),
        ValueError, "X must not be empty"),
    "loss": (
        lambda b: b.loss_and_gradient(SPEC, ZEROS, X, Y, loss="mse"),
        ValueError, "loss must be one of .*'huber'.*, got 'mse'"),
    "huber_delta": (
        lambda b: b.trainer(SPEC, ZEROS, huber_delta=0.0),
        ValueError, "huber_delta must be positive and finite, got 0.0"),
    "beta_1": (
        lambda b: b.trainer(SPEC, ZEROS, beta_1=1.0),
        ValueError, "beta_1 must be at least 0 and below 1.0, got 1.0"),
    "epsilon": (
        lambda b: b.trainer(SPEC, ZEROS, epsilon=np.nan),
        ValueError, "epsilon must be positive and finite, got nan"),
    "raw, columns": (
        lambda b: b.mixture_nll(X, Y, MIXTURE),
        ValueError, r"raw must have shape \(n, 3\), got \(7, 2\)"),
    "raw, list": (
        lambda b: b.mixture_nll([[0.0] * 3], Y, MIXTURE), TypeError, "raw must be a NumPy array"),
    "raw, dtype": (
        lambda b: b.mixture_nll(RAW.astype(int), Y, MIXTURE), TypeError, "raw must have dtype flo"),
    "mixture targets, rows": (
        lambda b: b.mixture_nll(RAW, Y[:6], MIXTURE),
        ValueError, r"targets must have shape \(7, 1\), got \(6, 1\)"),
    "mixture targets, dtype": (
        lambda b: b.mixture_nll(RAW, Y.astype(int), MIXTURE),
        TypeError, "targets must have dtype .*float64, got int64"),
    "mixture targets, dimensions": (
        lambda b: b.mixture_nll(RAW, Y[:, 0], MIXTURE),
        ValueError, r"targets must have shape \(7, 1\), got \(7,\)"),
    "raw, byte order": (
        lambda b: b.mixture_nll(RAW.astype(RAW.dtype.newbyteorder()), Y, MIXTURE),
        TypeError, "raw must have dtype float32 or float64, got [<>]f8"),
    "mixture, n_threads": (
        lambda b: b.mixture_nll(RAW, Y, MIXTURE, n_threads=0),
        ValueError, "n_threads must be at least 1, got 0"),
    "mixture, n_threads far below": (
        lambda b: b.mixture_nll(RAW, Y, MIXTURE, n_threads=-(10**30)),
        ValueError, "n_threads must be at least 1, got -1000"),
    "mixture, n_threads, kind": (
        lambda b: b.mixture_nll(RAW, Y, MIXTURE, n_threads=1.5),
        TypeError, r"n_threads must be an integer, got 1\.5"),
    "mixture_trainer, outputs": (
        lambda b: b.mixture_trainer(SPEC, ZEROS, MIXTURE),
        ValueError, r"spec must have mixture.n_raw = 3 outputs, got 1"),
    "mixture_trainer, parameters": (
        lambda b: b.mixture_trainer(MIXTURE_SPEC, ZEROS, MIXTURE),
        ValueError, r"parameters must have shape \(9,\), got \(13,\)"),
    "mixture_trainer, epsilon": (
        lambda b: b.mixture_trainer(MIXTURE_SPEC, np.zeros(9), MIXTURE, epsilon=0.0),
        ValueError, "epsilon must be positive"),
    "mixture_trainer, Y": (
        lambda b: b.mixture_trainer(MIXTURE_SPEC, np.zeros(9), MIXTURE).loss(X, RAW),
        ValueError, r"Y must have shape \(7, 1\), got \(7, 3\)"),
    "order, empty": (
        lambda b: train(b, ORDER[:0]), ValueError, "order must not be empty"),
    "order, too high": (
        lambda b: train(b, ORDER + 1), ValueError, "row indices from 0 to 6, got 1 to 7"),
    "order, negative": (
        lambda b: train(b, ORDER - 1), ValueError, "row indices from 0 to 6, got -1 to 5"),
    "order, dtype": (
        lambda b: train(b, ORDER.astype(np.int32)), TypeError, "dtype int64, got int32"),
    "batch_size": (
        lambda b: train(b, batch_size=0), ValueError, "batch_size must be at least 1, got 0"),
    "learning_rate": (
        lambda b: train(b, learning_rate=-1.0), ValueError, "learning_rate must be at least 0"),
    "learning_rate, infinite": (
        lambda b: train(b, learning_rate=np.inf), ValueError, "at least 0 and finite, got inf"),
    "state, keys": (
        lambda b: load(b, extra=ZEROS), ValueError, "state must have the keys"),
    "state, shape": (
        lambda b: load(b, first_moment=np.zeros(3)),
        ValueError, r"state\['first_moment'\] must have shape \(13,\)"),
    "state, step": (
        lambda b: load(b, step=np.array(-1)), ValueError, r"state\['step'\] must be at least 0"),
    "points, NaN": (
        lambda b: b.neighbors(np.array([[0.0], [np.nan]])),
        ValueError, "points must be finite, got 1 entries"),
    "points, empty": (
        lambda b: b.neighbors(np.zeros((0, 1))), ValueError, "points must not be empty"),
    "leaf_size": (
        lambda b: b.neighbors(X, leaf_size=0), ValueError, "leaf_size must be at least 1"),
    "queries, columns": (
        lambda b: b.neighbors(X).query(Y, 1), ValueError, r"queries must have shape \(n, 2\)"),
    "queries, infinite": (
        lambda b: b.neighbors(X).query(np.full((1, 2), np.inf), 1),
        ValueError, "queries must be finite, got 2 entries"),
    "query, k": (
        lambda b: b.neighbors(X).query(X, 8),
        ValueError, "k must be at most the number of points = 7, got 8"),
    "residuals": (
        lambda b: b.rank(np.zeros(3)), ValueError, r"residuals must have shape \(n, n\)"),
    "residuals, dtype": (
        lambda b: b.rank(np.zeros((1, 3), dtype=np.float32)), TypeError, "float64, got float32"),
}  # fmt: skip


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("case", REFUSALS)
def test_every_backend_refuses_the_same_input(name, case):
    call, error, words = REFUSALS[case]
    with pytest.raises(error, match=words):
        call(get_backend(name))


@pytest.mark.parametrize("name", BACKENDS)
def test_what_the_refusals_start_from_is_accepted(name):
    backend = get_backend(name)
    train(backend)
    load(backend)
    backend.mixture_nll(RAW, Y, MIXTURE)
    backend.mixture_trainer(MIXTURE_SPEC, np.zeros(9), MIXTURE).loss(X, Y)
