"""The data of an experiment: anchors, validation points and targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastinv._common.arrays import Float64Array, IntArray
from fastinv.problems import Problem


@dataclass(frozen=True, eq=False)
class Split:
    """The data of an experiment: 60 % anchors, 20 % validation, 20 % targets."""

    points_x: Float64Array  # (n, p): the anchors, then the validation points
    points_y: Float64Array  # (n, q)
    n_anchors: int
    targets: Float64Array  # (m, q)

    @classmethod
    def of(
        cls,
        problem: Problem,
        random_state: int,
        *,
        noisy: bool = False,
        n_anchors: int | None = None,
    ) -> Split:
        """500 uniform points if y has one component, as in experiments 1 to 4, else 1000.

        With `noisy` all y have the problem's noise, also those of the targets. `n_anchors` keeps
        only that many anchors.
        """
        n = 500 if problem.n_outputs == 1 else 1000
        X, y = problem.sample(n, random_state, noise=problem.noise.scale if noisy else 0.0)
        first_other, first_target = 3 * n // 5, 4 * n // 5
        kept = np.r_[0 : min(n_anchors or n, first_other), first_other:first_target]
        n_kept = len(kept) - (first_target - first_other)
        return cls(X[kept], y[kept], n_kept, y[first_target:])

    @property
    def anchors_x(self) -> Float64Array:
        """x of the anchors, (n_anchors, p)."""
        return self.points_x[: self.n_anchors]

    @property
    def anchors_y(self) -> Float64Array:
        """y of the anchors, (n_anchors, q)."""
        return self.points_y[: self.n_anchors]

    def nearest_anchors(self, k: int) -> IntArray:
        """The anchors (m, k) nearest in y to each target, the nearest first."""
        distances = np.linalg.norm(self.anchors_y[None] - self.targets[:, None], axis=2)
        return np.argsort(distances, axis=1, kind="stable")[:, :k]
