"""Pipelines and searches from one flat description, for tests of the chain."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields, make_dataclass
from typing import Any

import numpy as np

import fastinv as fi
from fastinv import _core
from fastinv.backends import (
    Candidates,
    PipelineOptions,
    TwinModel,
    get_backend,
)
from fastinv.functions import (
    CompiledCode,
    Function,
    Goal,
    NetworkCode,
    NetworkSpec,
    Problem,
    Region,
    RowCode,
)

REFERENCE = get_backend("reference")
CPP = {isa: get_backend("cpp", isa=isa) for isa in _core.isas()}
BACKENDS = {"reference": REFERENCE, **CPP}

_ROW_CODE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class CodeFunction(Function):
    """A function that is nothing but its code."""

    exact = True
    name = "code"

    def __init__(self, code: Any, n_inputs: int, n_outputs: int) -> None:
        self._code, self.n_inputs, self.n_outputs = code, n_inputs, n_outputs

    @property
    def code(self) -> Any:
        return self._code

    def __call__(self, X):
        assert isinstance(self._code, CompiledCode)
        X = np.ascontiguousarray(X)
        out = np.empty((len(X), self.n_outputs))
        _ROW_CODE(self._code.values.address)(X.ctypes.data, out.ctypes.data, len(X))
        return out


def row_code(function, p) -> RowCode:
    """A Python function of one x ``(p,)`` as machine code for many rows."""

    def call(x, out, n_rows):
        rows = np.frombuffer((ctypes.c_double * (n_rows * p)).from_address(x))
        for i, row in enumerate(rows.reshape(n_rows, p)):
            with np.errstate(all="ignore"):
                values = np.ravel(function(row)).astype(float).tolist()
            (ctypes.c_double * len(values)).from_address(out + 8 * i * len(values))[:] = values

    code = _ROW_CODE(call)
    return RowCode(ctypes.cast(code, ctypes.c_void_p).value, code)


def code_of(function, p, q, jacobian=None) -> CompiledCode:
    """`function`, and its `jacobian`, of one x ``(p,)`` behind addresses that kernels call."""
    derivative = None if jacobian is None else row_code(jacobian, p)
    return CompiledCode(p, q, row_code(function, p), derivative)


_Options = make_dataclass(
    "_Options",
    [(option.name, Any, option.default) for option in fields(PipelineOptions)],
    kw_only=True,
    frozen=True,
    eq=False,
)


@dataclass(frozen=True, eq=False)
class Setup(_Options):
    """What a pipeline and a search are made of: arguments here, and those of PipelineOptions.

    `function` is a Function, a code, or None for an f that is never evaluated. What is not given
    of the region is infinite, and of scale 1."""

    anchors_x: Any
    anchors_y: Any
    function: Any
    twin: TwinModel | None = None
    lower: Any = None
    upper: Any = None
    scale: Any = None
    periods: Any = None
    y_scale: Any = None
    tol: float = 1e-3
    error_tol: Any = None
    root: bool = False

    @property
    def p(self) -> int:
        return self.anchors_x.shape[1]

    @property
    def q(self) -> int:
        return self.anchors_y.shape[1]

    @property
    def options(self) -> PipelineOptions:
        return PipelineOptions(*(getattr(self, option.name) for option in fields(_Options)))

    @property
    def region(self) -> Region:
        def full(given, value):
            given = np.asarray(value if given is None else given, dtype=float)
            return np.full(self.p, given) if given.ndim == 0 else given

        return Region(
            full(self.lower, -np.inf),
            full(self.upper, np.inf),
            full(self.scale, 1.0),
            full(self.periods, np.inf),
        )

    @property
    def units(self):
        given = 1.0 if self.y_scale is None else self.y_scale
        return np.array(np.broadcast_to(np.asarray(given, dtype=float), (self.q,)))

    @property
    def problem(self) -> Problem:
        function = self.function
        if not isinstance(function, Function):
            function = CodeFunction(function, self.p, self.q)
        return Problem(function, self.region, self.units)

    def pipeline(self, backend):
        anchors = backend.anchors(self.anchors_x, self.anchors_y, self.units)
        return backend.pipeline(self.problem, anchors, self.twin, self.options)

    def search(self, backend):
        anchors = backend.anchors(self.anchors_x, self.anchors_y, self.units)
        return backend.search(self.problem, anchors, self.options)

    def goal(self, targets, near=None) -> Goal:
        targets = np.asarray(targets, dtype=float).reshape(-1, self.q)
        return Goal(targets, self.tol, near, self.error_tol, self.root)

    def solve(self, backend, targets, *, n_candidates, k, near=None, n_threads=1, out=None):
        return self.pipeline(backend).solve(
            self.goal(targets, near), n_candidates=n_candidates, k=k, n_threads=n_threads, out=out
        )


@fi.forward(n_inputs=2, n_outputs=3)
def surface(x, y):
    y[0] = x[0] * x[1]
    y[1] = x[0] ** 2 - x[1]
    y[2] = np.sin(x[0])


@fi.forward(n_inputs=2, n_outputs=2)
def folded(x, y):
    """Four solutions inside of [-1, 1]², where there is any."""
    y[0] = x[0] ** 2 + 0.3 * x[1] ** 2
    y[1] = x[1] ** 2 - 0.2 * x[0] ** 2


def random_setup(
    seed=0, p=2, q=3, n_anchors=60, with_twin=True, learned=False, activation="tanh", **changes
) -> Setup:
    """Anchors in [-1, 1]^p of `surface`, or of a random network for other sizes."""
    rng = np.random.default_rng([40, seed])
    is_surface = (p, q) == (2, 3)
    anchors_x = rng.uniform(-1, 1, size=(n_anchors, p))
    anchors_y = surface(anchors_x) if is_surface else rng.normal(size=(n_anchors, q))
    function = surface
    if learned or not is_surface:
        net = NetworkSpec((p, 9, q), activation)
        function = NetworkCode(
            net, rng.normal(size=net.n_parameters).astype(np.float32),
            rng.normal(size=p), np.full(p, 1.5), rng.normal(size=q), np.full(q, 0.7),
        )  # fmt: skip
    twin = None
    if with_twin:
        net = NetworkSpec((2 * q + p, 20, p), activation)
        twin = TwinModel(
            net, (0.3 * rng.normal(size=net.n_parameters)).astype(np.float32), np.full(q, 0.5),
            np.zeros(q), np.ones(q), np.zeros(p), np.ones(p), np.full(p, 0.3), 1.1,
        )  # fmt: skip
    given = {
        "lower": -1.0, "upper": 1.0, "scale": 0.6, "tol": 0.2, "coverage": 0.5,
        "anchors_exact": not learned and is_surface, "trust_residual": not learned,
    }  # fmt: skip
    return Setup(anchors_x, anchors_y, function, twin, **{**given, **changes})


def polished_setup(seed=0, *, n_anchors=120, **changes) -> Setup:
    """Anchors of `folded` in [-1, 1]², spread over its branches, and a polish."""
    rng = np.random.default_rng([43, seed])
    given = {
        "anchors_x": rng.uniform(-1, 1, size=(n_anchors, 2)), "function": folded,
        "lower": -1.0, "upper": 1.0, "scale": 0.6, "tol": 1e-9, "coverage": 0.5,
        "branch_distance": 0.4, "polish": True, "max_evaluations": 400,
    } | changes  # fmt: skip
    given.setdefault("anchors_y", folded(given["anchors_x"]))
    return Setup(**given)


def targets_near(setup: Setup, n: int, seed=0):
    """Targets ``(n, q)`` near those of anchors; a tenth is far off, a tenth is NaN."""
    rng = np.random.default_rng([41, seed])
    y = setup.anchors_y[rng.integers(len(setup.anchors_y), size=n)]
    y = y + 0.2 * rng.normal(size=y.shape)
    y[rng.random(n) < 0.1] *= 30.0
    y[rng.random(n) < 0.1] = np.nan
    return y


def candidates_of(x, fx, *, anchor=None, flags=None, anchor_distance=None) -> Candidates:
    """Candidates `x` ``(n, k, p)`` with images `fx` ``(n, k, q)``, unflagged, of the first
    anchors, unless something else is said."""
    x, fx = np.asarray(x, dtype=float), np.asarray(fx, dtype=float)
    n, k = x.shape[:2]

    def full(given, value, shape, dtype):
        return np.broadcast_to(value if given is None else given, shape).astype(dtype)

    return Candidates(
        x, fx, full(anchor, np.arange(k), (n, k), np.int64), full(flags, 0, (n, k), np.uint8),
        full(anchor_distance, 0.0, (n,), np.float64),
    )  # fmt: skip


def assert_same_bits(found, wanted, rows=slice(None)):
    """Named tuples of arrays, or candidates, of which `found` is the `rows` of `wanted`."""
    names = getattr(wanted, "_fields", None) or [field.name for field in fields(wanted)]
    for name in names:
        one, other = getattr(found, name), getattr(wanted, name)[rows]
        assert one.dtype == other.dtype, name
        assert one.shape == other.shape, name
        assert one.tobytes() == other.tobytes(), name
