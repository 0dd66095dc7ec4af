"""Pipelines and searches from one flat description, for tests of the chain."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from fastinv.backends import PipelineOptions, TwinModel
from fastinv.functions import CompiledCode, Function, Goal, Problem, Region

_OPTIONS = {option.name for option in fields(PipelineOptions)}


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
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        call(self._code.values.address)(X.ctypes.data, out.ctypes.data, len(X))
        return out


@dataclass(frozen=True, eq=False)
class Setup:
    """What a pipeline and a search are made of. `function` is a Function, a code, or None for an f
    that is never evaluated."""

    anchors_x: Any
    anchors_y: Any
    function: Any
    twin: TwinModel | None = None
    lower: Any = None
    upper: Any = None
    scale: Any = None
    periods: Any = None
    tol: float = 1e-3
    coverage: float = np.inf
    anchors_exact: bool = True
    trust_residual: bool = True
    branch_distance: float = 0.0
    pool_factor: int = 8
    n_passes: int = 1
    polish: bool = False
    max_evaluations: int = 200
    separation: float = 1e-6

    @property
    def p(self) -> int:
        return self.anchors_x.shape[1]

    @property
    def q(self) -> int:
        return self.anchors_y.shape[1]

    @property
    def options(self) -> PipelineOptions:
        return PipelineOptions(**{name: getattr(self, name) for name in _OPTIONS})

    @property
    def region(self) -> Region:
        def full(given, value):
            return np.full(self.p, value) if given is None else np.asarray(given, dtype=float)

        return Region(
            full(self.lower, -np.inf),
            full(self.upper, np.inf),
            full(self.scale, 1.0),
            full(self.periods, np.inf),
        )

    @property
    def problem(self) -> Problem:
        function = self.function
        if not isinstance(function, Function):
            function = CodeFunction(function, self.p, self.q)
        return Problem(function, self.region)

    def pipeline(self, backend):
        anchors = backend.anchors(self.anchors_x, self.anchors_y)
        return backend.pipeline(self.problem, anchors, self.twin, self.options)

    def search(self, backend):
        anchors = backend.anchors(self.anchors_x, self.anchors_y)
        return backend.search(self.problem, anchors, self.options)

    def goal(self, targets, near=None) -> Goal:
        return Goal(np.asarray(targets, dtype=float), self.tol, near)

    def solve(self, backend, targets, *, n_candidates, k, near=None, n_threads=1, out=None):
        return self.pipeline(backend).solve(
            self.goal(targets, near), n_candidates=n_candidates, k=k, n_threads=n_threads, out=out
        )
