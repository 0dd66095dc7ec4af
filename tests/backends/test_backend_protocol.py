"""Every backend offers the same methods, with the same arguments, and refuses the same input."""

from __future__ import annotations

import importlib
import inspect
import typing
from dataclasses import replace

import numpy as np
import pytest
from chains import CodeFunction

from fastinv.backends import (
    BACKENDS,
    Backend,
    Candidates,
    PipelineOptions,
    ReferenceBackend,
    TwinModel,
    get_backend,
    protocol,
)
from fastinv.functions import (
    CallableFunction,
    Goal,
    MixtureSpec,
    NetworkCode,
    NetworkSpec,
    Problem,
    Region,
)

BACKEND_CLASSES = {"cpp": "CppBackend", "reference": "ReferenceBackend"}
OBJECTS = ("Network", "Trainer", "NeighborIndex", "Anchors", "Pipeline", "Search")
# What the extension itself offers through an attribute of the instance.
NATIVE = {("cpp", "NeighborIndex"): {"try_query"}}
FACTORIES = {
    "network": "Network",
    "trainer": "Trainer",
    "mixture_trainer": "Trainer",
    "neighbors": "NeighborIndex",
    "anchors": "Anchors",
    "pipeline": "Pipeline",
    "search": "Search",
}


def public_methods(cls):
    return {
        name: member
        for name, member in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


def arguments(method):
    parameters = inspect.signature(method).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


def backend_module(name):
    return importlib.import_module(f"fastinv.backends.{name}")


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("cls", ["Backend", *OBJECTS])
def test_methods_and_arguments_are_those_of_the_protocol(name, cls):
    module = backend_module(name)
    implementation = getattr(module, BACKEND_CLASSES[name] if cls == "Backend" else cls)
    wanted, found = public_methods(getattr(protocol, cls)), public_methods(implementation)
    native = NATIVE.get((name, cls), set())
    assert set(found) | native == set(wanted)
    for method in found:
        assert arguments(found[method]) == arguments(wanted[method]), method


@pytest.mark.parametrize("name", BACKENDS)
def test_an_index_has_a_short_way_or_says_that_it_has_none(name):
    index = get_backend(name).neighbors(np.arange(7.0)[:, None])
    found = index.try_query(np.array([[2.2]]), 2, None)
    if found is None:
        return
    distances, indices = found
    np.testing.assert_allclose(distances, [[0.2, 0.8]])
    assert indices.tolist() == [[2, 3]]


@pytest.mark.parametrize("name", BACKENDS)
def test_factories_return_the_classes_of_their_module(name):
    module = backend_module(name)
    backend = getattr(module, BACKEND_CLASSES[name])
    for factory, cls in FACTORIES.items():
        returned = typing.get_type_hints(getattr(backend, factory))["return"]
        assert returned is getattr(module, cls)


@pytest.mark.parametrize("name", BACKENDS)
def test_get_backend_by_name(name):
    backend = get_backend(name)
    assert backend.name == name
    assert isinstance(backend, Backend)
    assert get_backend(backend) is backend


def test_get_backend_takes_whatever_has_the_methods():
    class Delegating:
        def __init__(self, backend):
            self._backend = backend

        def __getattr__(self, name):
            return getattr(self._backend, name)

    for backend in (Delegating(ReferenceBackend()), ReferenceBackend()):
        assert get_backend(backend) is backend
    for other in (Delegating(3), object(), None):
        with pytest.raises(TypeError, match="a name or a Backend, got"):
            get_backend(other)


def test_auto_is_cpp():
    assert get_backend().name == get_backend("auto").name == "cpp"


def test_get_backend_with_an_instruction_set():
    assert get_backend("cpp", isa="baseline").isa == "baseline"
    with pytest.raises(ValueError, match=r"isa must be one of .*'baseline'.*got 'sse9'"):
        get_backend("cpp", isa="sse9")
    with pytest.raises(ValueError, match="got 'avx2' with 'reference'"):
        get_backend("reference", isa="avx2")
    with pytest.raises(ValueError, match="got 'avx2' with 'reference'"):
        get_backend(ReferenceBackend(), isa="avx2")


def test_the_environment_is_read_at_every_call(monkeypatch):
    monkeypatch.delenv("FASTINV_ISA", raising=False)
    best = get_backend().isa
    monkeypatch.setenv("FASTINV_ISA", "baseline")
    assert get_backend().isa == get_backend("cpp").isa == "baseline"
    assert get_backend("cpp", isa=best).isa == best
    monkeypatch.setenv("FASTINV_ISA", "z80")
    with pytest.raises(ValueError, match="'z80' is not available"):
        get_backend()
    monkeypatch.delenv("FASTINV_ISA")
    assert get_backend().isa == best


def test_get_backend_refuses_what_it_does_not_have():
    with pytest.raises(ValueError, match=r"'cuda' is not available .*choose auto, cpp, reference"):
        get_backend("cuda")
    with pytest.raises(ValueError, match="one of auto, cpp, reference, got 'torch'"):
        get_backend("torch")
    with pytest.raises(TypeError, match="a name or a Backend, got int"):
        get_backend(3)


# Refusals: each call below is made on every backend, which must raise the error named.

SPEC = NetworkSpec((2, 3, 1))
ZEROS = np.zeros(SPEC.n_parameters)
X, Y = np.zeros((7, 2)), np.zeros((7, 1))
ORDER = np.arange(7)
MIXTURE, RAW = MixtureSpec(n_components=1, n_dims=1), np.zeros((7, 3))
MIXTURE_SPEC = NetworkSpec((2, 3))
TWIN = TwinModel(
    NetworkSpec((4, 2)), np.zeros(10), dy_scale=np.ones(1), y_mean=np.zeros(1), y_scale=np.ones(1),
    x_mean=np.zeros(2), x_scale=np.ones(2), dx_scale=np.ones(2), reach=1.0,
)  # fmt: skip
LEARNED = NetworkCode(SPEC, ZEROS, np.zeros(2), np.ones(2), np.zeros(1), np.ones(1))
REGION = Region(np.full(2, -1.0), np.ones(2), np.ones(2), np.full(2, np.inf))
PROBLEM = Problem(CodeFunction(LEARNED, 2, 1), REGION)
CANDIDATES = Candidates(
    np.zeros((3, 4, 2)), np.zeros((3, 4, 1)), np.zeros((3, 4), dtype=np.int64),
    np.zeros((3, 4), dtype=np.uint8), np.zeros(3),
)  # fmt: skip
STARTS = np.zeros((3, 2))
TARGETS = np.zeros((3, 1))
GOAL = Goal(TARGETS, 0.1)


def train(backend, order=ORDER, x=X, y=Y, batch_size=2, learning_rate=0.1):
    trainer = backend.trainer(SPEC, ZEROS)
    trainer.train_epoch(x, y, order, batch_size=batch_size, learning_rate=learning_rate)


def load(backend, **changes):
    trainer = backend.trainer(SPEC, ZEROS)
    trainer.load_state({**trainer.state(), **changes})


def anchors(backend, x=X, y=Y):
    return backend.anchors(x, y)


def pipeline(backend, x=X, y=Y, problem=PROBLEM, twin=TWIN, **options):
    return backend.pipeline(problem, anchors(backend, x, y), twin, PipelineOptions(**options))


def region(**changes):
    return replace(REGION, **changes)


def solve(backend, targets=TARGETS, tol=0.1, near=None, n_candidates=4, k=2, **changes):
    goal = Goal(targets, tol, near)
    pipeline(backend, **changes).solve(goal, n_candidates=n_candidates, k=k)


def rank(backend, k=2, **changes):
    pipeline(backend).rank(GOAL, replace(CANDIDATES, **changes), k)


def search(backend, problem=PROBLEM, x=X, y=Y):
    return backend.search(problem, anchors(backend, x, y), PipelineOptions())


def polish(backend, targets=TARGETS, x=STARTS, n_threads=1):
    search(backend).polish(Goal(targets, 0.1), x, n_threads=n_threads)


def solve_all(backend, targets=TARGETS, tol=0.1, k=2, n_starts=3):
    search(backend).solve_all(Goal(targets, tol), k=k, n_starts=n_starts)


def solve_path(backend, targets=TARGETS, start=STARTS[0], n_starts=3):
    search(backend).solve_path(Goal(targets, 0.1), start, n_starts=n_starts)


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
    "anchors, none": (
        lambda b: anchors(b, X[:0], Y[:0]), ValueError, "x of anchors must not be empty"),
    "anchors, rows": (
        lambda b: anchors(b, y=Y[:6]),
        ValueError, r"y of anchors must have shape \(7, n\), got \(6, 1\)"),
    "anchors, infinite": (
        lambda b: anchors(b, y=np.full((7, 1), np.inf)), ValueError, "y of anchors must be finite"),
    "anchors, dtype": (
        lambda b: anchors(b, X.astype(np.float32)),
        TypeError, "x of anchors must have dtype float64, got float32"),
    "anchors, inputs": (
        lambda b: solve(b, x=np.zeros((7, 3))),
        ValueError, "anchors must have 2 inputs and 1 outputs, got 3 and 1"),
    "anchors, outputs": (
        lambda b: search(b, y=np.zeros((7, 2))),
        ValueError, "anchors must have 2 inputs and 1 outputs, got 2 and 2"),
    "nearest, k": (
        lambda b: anchors(b).nearest(TARGETS, 8),
        ValueError, "k must be at most the number of anchors = 7, got 8"),
    "nearest, NaN": (
        lambda b: anchors(b).nearest(TARGETS * np.nan, 1), ValueError, "targets must be finite"),
    "nearest, columns": (
        lambda b: anchors(b).nearest(STARTS, 1), ValueError, r"targets must have shape \(n, 1\)"),
    "bounds, crossed": (
        lambda b: region(lower=np.full(2, 2.0)), ValueError, "lower must be at most upper"),
    "bounds, NaN": (
        lambda b: region(upper=np.full(2, np.nan)), ValueError, "lower must be at most upper"),
    "bounds, shape": (
        lambda b: region(upper=np.ones(3)), ValueError, r"upper must be float64 of shape \(2,\)"),
    "scale": (
        lambda b: region(scale=np.zeros(2)), ValueError, "scale must be positive and finite"),
    "scale, infinite": (
        lambda b: region(scale=np.full(2, np.inf)), ValueError, "scale must be positive and fini"),
    "periods, shape": (
        lambda b: region(periods=np.ones(3)),
        ValueError, r"periods must be float64 of shape \(2,\), got float64 of \(3,\)"),
    "periods, zero": (
        lambda b: region(periods=np.array([1.0, 0.0])), ValueError, "periods must be positive"),
    "periods, NaN": (
        lambda b: region(periods=np.array([1.0, np.nan])), ValueError, "periods must be positive"),
    "problem, sizes": (
        lambda b: replace(PROBLEM, function=CallableFunction(np.sin, 3, 3)),
        ValueError, "function must have as many inputs as region, 2, got 3"),
    "tol": (
        lambda b: solve(b, tol=-1.0), ValueError, "tol must be at least 0, got -1.0"),
    "coverage": (
        lambda b: solve(b, coverage=np.nan),
        ValueError, "coverage must be finite and at least 0.*got nan"),
    "branch_distance": (
        lambda b: solve(b, branch_distance=-1.0),
        ValueError, "branch_distance must be .*at least 0.*got -1.0"),
    "pool_factor": (
        lambda b: solve(b, pool_factor=0), ValueError, "pool_factor must be positive, got 0"),
    "n_passes": (
        lambda b: solve(b, n_passes=0), ValueError, "n_passes must be positive, got 0"),
    "n_passes, too many": (
        lambda b: solve(b, n_passes=2**31), ValueError, "n_passes must be .*less than 2147483648"),
    "max_evaluations": (
        lambda b: solve(b, max_evaluations=0),
        ValueError, "max_evaluations must be positive, got 0"),
    "longest_step": (
        lambda b: solve(b, longest_step=np.nan), ValueError, "longest_step must be .*got nan"),
    "sufficient_residual": (
        lambda b: solve(b, sufficient_residual=-1.0),
        ValueError, "sufficient_residual must be .*got -1.0"),
    "separation": (
        lambda b: solve(b, separation=-1.0), ValueError, "separation must be .*at least 0"),
    "polish": (lambda b: solve(b, polish=1), TypeError, "polish must be True or False, got 1"),
    "twin, sizes": (
        lambda b: solve(b, twin=replace(TWIN, spec=NetworkSpec((3, 2)))),
        ValueError, "twin.spec must have 4 inputs and 2 outputs, got 3 and 2"),
    "twin, scale": (
        lambda b: solve(b, twin=replace(TWIN, dy_scale=np.zeros(1))),
        ValueError, "twin.dy_scale must be positive and finite"),
    "twin, reach": (
        lambda b: solve(b, twin=replace(TWIN, reach=0.0)), ValueError, "twin.reach must be posit"),
    "targets, columns": (
        lambda b: solve(b, np.zeros((3, 2))), ValueError, r"targets must have shape \(n, 1\)"),
    "n_candidates": (
        lambda b: solve(b, n_candidates=8),
        ValueError, "n_candidates must be at most the number of anchors = 7, got 8"),
    "n_candidates, zero": (
        lambda b: pipeline(b).propose(GOAL, 0), ValueError, "n_candidates must be at least 1"),
    "solve, k": (
        lambda b: solve(b, k=5), ValueError, "k must be at most n_candidates = 4, got 5"),
    "near, rows": (
        lambda b: solve(b, near=np.zeros((2, 2))),
        ValueError, r"near must have shape \(3, 2\), got \(2, 2\)"),
    "near, NaN": (
        lambda b: solve(b, near=np.full((3, 2), np.nan)), ValueError, "near must be finite"),
    "candidates, images": (
        lambda b: rank(b, fx=np.zeros((3, 5, 1))),
        ValueError, r"candidates.fx must have shape \(3, 4, 1\)"),
    "candidates, flags": (
        lambda b: rank(b, flags=np.zeros((3, 4), dtype=np.int64)),
        TypeError, "candidates.flags must have dtype uint8, got int64"),
    "candidates, anchors": (
        lambda b: rank(b, anchor=np.full((3, 4), 7)),
        ValueError, "candidates.anchor must hold indices from 0 to 6, got 7 to 7"),
    "candidates, no anchor": (
        lambda b: rank(b, anchor=np.full((3, 4), -1)), ValueError, "0 to 6, got -1 to -1"),
    **{
        f"candidates of other targets, {link}": (
            lambda b, link=link: getattr(pipeline(b), link)(Goal(TARGETS[:2], 0.1), CANDIDATES),
            ValueError, r"candidates.x must have shape \(2, n, 2\), got \(3, 4, 2\)")
        for link in ("correct", "evaluate", "polish")
    },
    "rank, k": (
        lambda b: rank(b, k=5), ValueError, "k must be at most the number of candidates = 4"),
    "polish, rows": (
        lambda b: polish(b, x=STARTS[:2]),
        ValueError, r"x must have shape \(3, 2\), got \(2, 2\)"),
    "polish, columns": (
        lambda b: polish(b, np.zeros((3, 2))), ValueError, r"targets must have shape \(n, 1\)"),
    "polish, dtype": (
        lambda b: polish(b, x=STARTS.astype(np.float32)),
        TypeError, "x must have dtype float64, got float32"),
    "polish, n_threads": (
        lambda b: polish(b, n_threads=0), ValueError, "n_threads must be at least 1"),
    "solve_all, k": (lambda b: solve_all(b, k=0), ValueError, "k must be at least 1, got 0"),
    "solve_all, n_starts": (
        lambda b: solve_all(b, n_starts=0), ValueError, "n_starts must be at least 1, got 0"),
    "solve_all, tol": (
        lambda b: solve_all(b, tol=np.nan), ValueError, "tol must be at least 0, got nan"),
    "solve_path, start": (
        lambda b: solve_path(b, start=np.zeros(3)), ValueError, r"start must have shape \(2,\)"),
    "solve_path, start, NaN": (
        lambda b: solve_path(b, start=np.full(2, np.nan)), ValueError, "start must be finite"),
    "solve_path, targets": (
        lambda b: solve_path(b, np.zeros((3, 2))), ValueError, r"targets must have shape \(n, 1\)"),
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
    solve(backend)
    rank(backend)
    solve(backend, polish=True)
    polish(backend)
    solve_all(backend)
    solve_path(backend)
