"""The trainings of an experiment: the learned forward function, the twin and direct networks."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.backends import get_backend
from fastinv.estimators.mlp import MLPRegressor
from fastinv.functions.function import Function
from fastinv.functions.wrapped import LearnedFunction
from fastinv.problems import Problem
from fastinv.reproduce.data import Split
from fastinv.reproduce.published import Setting
from fastinv.reproduce.training.recipes import Recipe
from fastinv.reproduce.training.unscaled import UnscaledTwinSolver
from fastinv.solvers import TwinSolver
from fastinv.solvers.pairs.radius import pair_radius, reaching_radius


@dataclass(frozen=True, eq=False)
class Plan:
    """The trainings of one experiment with one seed."""

    problem: Problem
    recipe: Recipe
    noisy: bool
    split: Split
    seed_of_networks: int
    seed_of_more_data: int
    verbose: int = 0

    @classmethod
    def of(
        cls,
        problem: Problem,
        random_state: int,
        setting: Setting,
        recipe: Recipe,
        verbose: int = 0,
    ) -> Plan:
        """Data and seeds of the networks from one seed; compiles f before the trainings."""
        words = np.random.SeedSequence(random_state).generate_state(3)
        of_data, of_more_data, of_networks = (int(word) for word in words)
        noisy = setting == "noisy_data"
        split = Split.of(problem, of_data, noisy=noisy, n_anchors=recipe.n_anchors)
        return cls(problem, recipe, noisy, split, of_networks, of_more_data, verbose)

    @property
    def training(self) -> dict[str, Any]:
        """Parameters that all networks share."""
        return {"random_state": self.seed_of_networks, "verbose": self.verbose}

    def learned_forward(
        self, learner: type[MLPRegressor], parameters: Any
    ) -> tuple[Function, float]:
        """f as learned by `learner` from all points except targets, and the seconds."""
        network = learner(**parameters, **self.training)
        split = self.split
        seconds = _timed_fit(network, split.points_x, _column_or_rows(split.points_y))
        return _wrapped(network, self.problem), seconds

    def forward(self) -> tuple[Function, float | None]:
        """The methods' f: the exact one, or the one that the recipe learns, with the seconds."""
        if not self.noisy:
            return self.problem.forward, None
        return self.learned_forward(self.recipe.learner, self.recipe.learned_forward)

    def twin(self, forward: Function) -> tuple[TwinSolver, float]:
        """The twin network, and the seconds of its training."""
        recipe, split = self.recipe, self.split
        solver = recipe.twin_solver(
            forward_parameter(forward),
            noisy=self.noisy,
            bounds=self.problem.bounds if recipe.inside_bounds else None,
            anchor_choice="nearest",
            refine=False,
            n_candidates=min(5, split.n_anchors),
            y_scale=1.0,  # the paper finds neighbours in y as it is
            **self.training,
        )
        if self.noisy or not recipe.fresh_pairs:
            anchors = (split.anchors_x, split.anchors_y)
            return solver, _timed_fit(solver, split.points_x, split.points_y, anchors=anchors)
        solver.set_params(**self._radius())
        return solver, _timed_fit(solver, split.anchors_x)

    def direct(self) -> tuple[Float64Array, float]:
        """Answers (n, p) of the network from y to x for the targets, and the seconds."""
        problem, recipe, split = self.problem, self.recipe, self.split
        if self.noisy:
            X, y = split.points_x, split.points_y
        else:
            X, y = problem.sample(recipe.n_direct, self.seed_of_more_data, noise=0.0)
        network = recipe.network(**recipe.direct, **self.training)
        seconds = _timed_fit(network, y, _column_or_rows(X))
        answers = network.predict(split.targets).reshape(-1, problem.n_inputs)
        return np.clip(answers, *problem.bounds.T) if recipe.inside_bounds else answers, seconds

    def _radius(self) -> dict[str, Any]:
        """The radius of fresh pairs as a parameter, unless the solver chooses it."""
        recipe, bounds = self.recipe, self.problem.bounds
        if recipe.inside_bounds and recipe.pair_radius_factor == 1.0:
            return {}
        anchors = self.split.anchors_x
        if recipe.inside_bounds and self.problem.n_inputs <= self.problem.n_outputs:
            rng = np.random.default_rng(self.seed_of_networks)
            radius = reaching_radius(get_backend(), bounds, anchors, rng)
        else:
            radius = pair_radius(bounds, len(anchors))
        return {"pairs__radius": recipe.pair_radius_factor * radius}


def from_twin(twin: TwinSolver, split: Split, k: int) -> Float64Array:
    """The network's solutions (n, k, p) from the k anchors nearest to each target, in order."""
    if isinstance(twin, UnscaledTwinSolver):
        return twin.by_anchor(split.targets, k)
    anchors = split.nearest_anchors(k)
    solutions = twin.solve(split.targets, k=k)
    position = np.empty((len(anchors), split.n_anchors), dtype=np.intp)
    np.put_along_axis(position, solutions.anchor, np.arange(k)[None], axis=1)
    order = np.take_along_axis(position, anchors, axis=1)
    return np.take_along_axis(solutions.x, order[:, :, None], axis=1)


def forward_parameter(forward: Function) -> Any:
    """The value of a solver's parameter `forward` that gives this function."""
    return forward.regressor if isinstance(forward, LearnedFunction) else forward


def _wrapped(network: MLPRegressor, problem: Problem) -> Function:
    return LearnedFunction(network, problem.n_inputs, problem.n_outputs)


def _timed_fit(model: TwinSolver | MLPRegressor, *data: Any, **options: Any) -> float:
    """Train `model`, and return the seconds that it took.

    Raises
    ------
    KeyboardInterrupt
        If the training is interrupted; without this function that only ends it early.
    """
    start = time.perf_counter()
    with warnings.catch_warnings():
        # The interruption is raised again, so the warning about kept weights would be wrong.
        warnings.filterwarnings("ignore", "Training interrupted", UserWarning)
        model.fit(*data, **options)
    elapsed = time.perf_counter() - start
    if model.stopped_ == "interrupted":
        raise KeyboardInterrupt
    return elapsed


def _column_or_rows(values: Float64Array) -> Float64Array:
    """`values` (n, 1) as (n,), as scikit-learn wants them."""
    return values.ravel() if values.shape[1] == 1 else values
