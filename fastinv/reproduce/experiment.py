"""One experiment, one seed: data, trainings, and the errors of every method."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastinv._validation import check_integer
from fastinv.backends.protocol import Float64Array, IntArray
from fastinv.comparison import rmse_in_y
from fastinv.estimators.mlp import MLPRegressor
from fastinv.forward import EstimatorForward, Forward
from fastinv.problems import Problem
from fastinv.reproduce.errors import N_ANCHORS_TRIED, Errors
from fastinv.reproduce.published import Setting
from fastinv.reproduce.recipes import FAST, Recipe
from fastinv.reproduce.unscaled import UnscaledTwinSolver
from fastinv.solutions import Solutions
from fastinv.solvers import NearestSolver, TwinSolver
from fastinv.solvers.pairs import pair_radius

# A candidate this near to an exact solution, in widths of the domain, has found it.
RECALL_TOLERANCE = 0.01
_N_CANDIDATES = N_ANCHORS_TRIED + 1


@dataclass(frozen=True)
class ExperimentResult:
    """One experiment, one seed.

    Attributes
    ----------
    number : int or None
        In the paper.
    problem : str
    setting : {"known_forward", "noisy_data"}
    recipe : str
    random_state : int
    n_anchors, n_targets : int
    paper_protocol : Errors
        The paper's count of anchors: its first is the second nearest, its fifth the sixth.
    nearest_five : Errors
        The same networks and targets, from the five nearest anchors.
    fit_seconds : dict of str to float
        ``twin``, ``direct`` and, for noisy data, ``forward``.
    twin_epochs : int
        That the twin network was trained for.
    """

    number: int | None
    problem: str
    setting: Setting
    recipe: str
    random_state: int
    n_anchors: int
    n_targets: int
    paper_protocol: Errors
    nearest_five: Errors
    fit_seconds: dict[str, float]
    twin_epochs: int

    def summary(self) -> dict[str, Any]:
        """All numbers, in types that JSON has."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Split:
    """The data of an experiment: 60 % anchors, 20 % validation, 20 % targets."""

    points_x: Float64Array  # (n, p): the anchors, then the validation points
    points_y: Float64Array  # (n, q)
    n_anchors: int
    targets: Float64Array  # (m, q)

    @classmethod
    def of(cls, problem: Problem, random_state: int, *, noisy: bool = False) -> Split:
        """500 uniform points where y has one component, as in experiments 1 to 4, else 1000.

        With `noisy` all y carry the problem's noise, those of the targets, too.
        """
        n = 500 if problem.n_outputs == 1 else 1000
        X, y = problem.sample(n, random_state, noise=problem.noise.scale if noisy else 0.0)
        first_target = 4 * n // 5
        return cls(X[:first_target], y[:first_target], 3 * n // 5, y[first_target:])

    @property
    def anchors_x(self) -> Float64Array:
        """(n_anchors, p)."""
        return self.points_x[: self.n_anchors]

    @property
    def anchors_y(self) -> Float64Array:
        """(n_anchors, q)."""
        return self.points_y[: self.n_anchors]


def run_experiment(
    problem: Problem,
    random_state: int = 0,
    *,
    setting: Setting = "known_forward",
    recipe: Recipe = FAST,
    verbose: int = 0,
) -> ExperimentResult:
    """Run one experiment with one seed on the paper's data and split.

    The anchors tried are the nearest in y. Polishing is measured apart from the networks, which
    are compared without it.

    Parameters
    ----------
    problem : Problem
    random_state : int, default=0
        Of data and networks.
    setting : {"known_forward", "noisy_data"}, default="known_forward"
        Table 1 or table 2. In the latter only the noisy points are known to all methods, and f is
        learned from them; errors are nevertheless those of the exact f.
    recipe : Recipe, default=FAST
    verbose : int, default=0
        1 shows the progress of the trainings on standard error.

    Returns
    -------
    ExperimentResult

    Raises
    ------
    TypeError, ValueError
        `random_state` is no integer or negative; a parameter that the solvers refuse.
    KeyboardInterrupt
        If a training is interrupted.
    """
    random_state = check_integer(random_state, "random_state", minimum=0)
    if setting not in ("known_forward", "noisy_data"):
        raise ValueError(f"setting must be 'known_forward' or 'noisy_data', got {setting!r}")
    noisy = setting == "noisy_data"
    words = np.random.SeedSequence(random_state).generate_state(3)
    of_data, of_more_data, of_networks = (int(word) for word in words)
    split = Split.of(problem, of_data, noisy=noisy)  # compiles f, which is no part of a training
    training: dict[str, Any] = {"random_state": of_networks, "verbose": verbose}
    seconds: dict[str, float] = {}
    forward: Forward = problem.forward
    if noisy:
        network = recipe.network(**recipe.learned_forward, **training)
        seconds["forward"] = _timed_fit(network, split.points_x, _column_or_rows(split.points_y))
        forward = EstimatorForward(network, problem.n_inputs, problem.n_outputs)
    twin = _twin_solver(problem, split, forward, noisy, recipe, training)
    if noisy or not recipe.fresh_pairs:
        anchors = (split.anchors_x, split.anchors_y)
        seconds["twin"] = _timed_fit(twin, split.points_x, split.points_y, anchors=anchors)
    else:
        seconds["twin"] = _timed_fit(twin, split.anchors_x)
    if noisy:
        X, y = split.points_x, split.points_y
    else:
        X, y = problem.sample(recipe.n_direct, of_more_data, noise=0.0)
    direct = recipe.network(**recipe.direct, **training)
    seconds["direct"] = _timed_fit(direct, y, _column_or_rows(X))
    average = direct.predict(split.targets).reshape(-1, problem.n_inputs)
    nearest = _nearest_anchors(split)
    candidates = _Candidates(
        problem,
        forward,
        split.targets,
        split.anchors_x[nearest],
        _from_twin(twin, nearest, split.targets),
        np.clip(average, *problem.bounds.T) if recipe.inside_bounds else average,
        _polisher(problem, forward, split),
    )
    return ExperimentResult(
        number=problem.experiment,
        problem=problem.name,
        setting=setting,
        recipe=recipe.name,
        random_state=random_state,
        n_anchors=split.n_anchors,
        n_targets=len(split.targets),
        paper_protocol=candidates.errors(slice(1, None)),
        nearest_five=candidates.errors(slice(None, -1)),
        fit_seconds=seconds,
        twin_epochs=twin.n_iter_,
    )


@dataclass(frozen=True, eq=False)
class _Candidates:
    """What the methods made of n targets, from the six nearest anchors."""

    problem: Problem
    forward: Forward  # exact or learned
    targets: Float64Array
    from_nearest: Float64Array  # (n, 6, p), the nearest anchor first
    from_twin: Float64Array  # (n, 6, p)
    average: Float64Array  # (n, p), of the direct network
    polisher: NearestSolver

    def errors(self, tried: slice) -> Errors:
        """The errors with the anchors `tried`.

        As in the paper's code, solutions are moved to where f is defined first, which concerns
        experiment 4 alone.
        """
        from_nearest, from_twin = self.from_nearest[:, tried], self.from_twin[:, tried]
        exact, learned = self.problem.forward, self.forward
        polished = [self._polished(x) for x in (from_nearest, from_twin)]
        best_polished = [self._rmse(self._best(x, learned)) for x in polished]
        recalls = [branch_recall(self.problem, self.targets, x) for x in polished]
        return Errors(
            nearest_by_anchor=tuple(self._rmse(x) for x in from_nearest.swapaxes(0, 1)),
            twin_by_anchor=tuple(self._rmse(x) for x in from_twin.swapaxes(0, 1)),
            twin_best=self._rmse(self._best(from_twin, exact)),
            twin_best_learned=(
                None if learned.exact else self._rmse(self._best(from_twin, learned))
            ),
            direct=self._rmse(self.average),
            nearest_polished=best_polished[0],
            twin_polished=best_polished[1],
            nearest_recall=recalls[0],
            twin_recall=recalls[1],
        )

    def _rmse(self, x: Float64Array) -> float:
        return rmse_in_y(self.problem.forward, self.problem.project(x), self.targets)

    def _best(self, x: Float64Array, forward: Forward) -> Float64Array:
        """Of x (n, 5, p) the solution (n, p) with the smallest residual by `forward`."""
        flat = self.problem.project(x.reshape(-1, x.shape[2]))
        images = forward(flat).reshape(*x.shape[:2], -1)
        residuals = np.linalg.norm(images - self.targets[:, None], axis=2)
        return np.asarray(x[np.arange(len(x)), residuals.argmin(axis=1)])

    def _polished(self, x: Float64Array) -> Float64Array:
        flat = self.problem.project(x.reshape(-1, x.shape[2]))
        starts = np.clip(flat, *self.problem.bounds.T)
        goals = np.repeat(self.targets, x.shape[1], axis=0)
        return np.asarray(self.polisher._make_search().polish(goals, starts).x).reshape(x.shape)


def branch_recall(problem: Problem, targets: Float64Array, x: Float64Array) -> float | None:
    """The share of all exact solutions of `targets` that are among `x` (n, k, p).

    None where solutions form curves, or where no target has any.
    """
    if problem.inverse is None:
        return None
    low, high = problem.bounds.T
    n_found = n_solutions = 0
    for found, solutions in zip(x, problem.preimages(targets), strict=True):
        apart = np.abs(solutions[:, None] - found[None]) / (high - low)
        n_found += int((apart.max(axis=2, initial=0.0) <= RECALL_TOLERANCE).any(axis=1).sum())
        n_solutions += len(solutions)
    return n_found / n_solutions if n_solutions else None


def _twin_solver(
    problem: Problem,
    split: Split,
    forward: Forward,
    noisy: bool,
    recipe: Recipe,
    training: dict[str, Any],
) -> TwinSolver:
    parameters = dict(recipe.noisy_data if noisy else recipe.known_forward)
    if not recipe.inside_bounds:
        parameters["pair_radius"] = pair_radius(problem.bounds, split.n_anchors)
    return recipe.solver(
        forward.regressor if isinstance(forward, EstimatorForward) else forward,
        bounds=problem.bounds if recipe.inside_bounds else None,
        anchor_choice="nearest",
        refine=False,
        **parameters,
        **training,
    )


def _polisher(problem: Problem, forward: Forward, split: Split) -> NearestSolver:
    """A solver that polishes inside the bounds, on the exact f or on the learned one."""
    known = forward.regressor if isinstance(forward, EstimatorForward) else forward
    return NearestSolver(known, bounds=problem.bounds, refine=True).fit(
        split.anchors_x, split.anchors_y
    )


def _timed_fit(model: TwinSolver | MLPRegressor, *data: Any, **options: Any) -> float:
    """Train `model`, and return the seconds that it took.

    Raises
    ------
    KeyboardInterrupt
        If the training is interrupted, which by itself only ends it early.
    """
    start = time.perf_counter()
    model.fit(*data, **options)
    elapsed = time.perf_counter() - start
    if model.stopped_ == "interrupted":
        raise KeyboardInterrupt
    return elapsed


def _column_or_rows(values: Float64Array) -> Float64Array:
    """`values` (n, 1) as (n,), which is what scikit-learn wants."""
    return values.ravel() if values.shape[1] == 1 else values


def _nearest_anchors(split: Split) -> IntArray:
    """The anchors (m, 6) nearest in y to each target, the nearest first."""
    distances = np.linalg.norm(split.anchors_y[None] - split.targets[:, None], axis=2)
    return np.argsort(distances, axis=1, kind="stable")[:, :_N_CANDIDATES]


def _from_twin(twin: TwinSolver, anchors: IntArray, targets: Float64Array) -> Float64Array:
    """What the network makes (n, k, p) of the `anchors` (n, k)."""
    if isinstance(twin, UnscaledTwinSolver):
        return twin.by_anchor(targets, anchors.shape[1])
    return _in_order_of(anchors, twin.solve(targets, k=anchors.shape[1]))


def _in_order_of(anchors: IntArray, solutions: Solutions) -> Float64Array:
    """The x (n, k, p) of `solutions`, ordered like `anchors` (n, k), which they came from."""
    position = (solutions.anchor[:, None, :] == anchors[:, :, None]).argmax(axis=2)
    return np.take_along_axis(solutions.x, position[:, :, None], axis=1)
