"""What solutions can be asked afterwards: their errors, and how sharply they are determined."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv.backends.protocol import Anchors, Backend, PipelineOptions, Search
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem


@dataclass(frozen=True, eq=False)
class Judge:
    """Judges solutions of one fit of a solver.

    Attributes
    ----------
    backend : Backend
        Whose `anchors` these are.
    problem : Problem
    anchors : Anchors
    options : PipelineOptions
    """

    backend: Backend
    problem: Problem
    anchors: Anchors
    options: PipelineOptions

    @property
    def n_anchors(self) -> int:
        """Their number."""
        return len(self.anchors)

    @cached_property
    def search(self) -> Search:
        """The search over the problem and the anchors. Raises a TypeError if f cannot be
        searched."""
        anchors, function = self.anchors, self.problem.function
        if not function.exact:
            # A value measured at an anchor is not f there, but starts need f.
            images = function.images(anchors.x)
            anchors = self.backend.anchors(anchors.x, images, anchors.y_scale)
        return self.backend.search(self.problem, anchors, self.options)

    def errors(self, targets: Float64Array, x: Float64Array) -> Float64Array:
        """``f(x) - y`` ``(n, k, q)`` of solutions `x` ``(n, k, p)``; NaN where x is."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.problem.function.images(x) - targets[:, None]

    def facts(self, targets: Float64Array, x: Float64Array) -> tuple[Float64Array, BoolArray]:
        """The radius ``(n, k)`` in which each true root lies, in units of the region, and whether
        it is isolated ``(n, k)``."""
        n, k, p = x.shape
        goal = Goal(np.repeat(targets, k, axis=0), np.inf, root=True)
        assessed = self.search.assess(goal, np.ascontiguousarray(x.reshape(n * k, p)))
        return assessed.x_error.reshape(n, k), assessed.isolated.reshape(n, k)
