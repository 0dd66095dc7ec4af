"""Changes after the training of a twin network: anchors tried, ranking, polish, and f."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastinv._common.arrays import Float64Array
from fastinv.estimators.mlp import MLPRegressor
from fastinv.functions.function import Function
from fastinv.reproduce.candidates import Judge
from fastinv.reproduce.errors import N_ANCHORS_TRIED
from fastinv.reproduce.training.recipes import PLAIN_LEARNED_FORWARD
from fastinv.reproduce.training.trainings import Plan, from_twin
from fastinv.reproduce.training.unscaled import UnscaledTwinSolver
from fastinv.solvers import TwinSolver

UNCHANGED = ("recipe", "unchanged")
_ANCHORS_TRIED = (10, 50)
_EPOCHS_OF_PLAIN = (200, 1000)


@dataclass(frozen=True)
class Measured:
    """One change, one experiment, one seed; see :class:`fastinv.reproduce.AblationRow`."""

    ingredient: str
    change: str
    first: float
    best: float
    seconds: float | None = None
    n_evaluations: float | None = None


def unchanged(plan: Plan) -> Measured:
    """The recipe as it is, with the exact f."""
    forward, _ = plan.forward()
    twin, seconds = plan.twin(forward)
    five = from_twin(twin, plan.split, min(N_ANCHORS_TRIED, plan.split.n_anchors))
    judge = Judge.of(plan.problem, forward, plan.split)
    return _best(judge, *UNCHANGED, five, seconds, n_passes=_passes(twin))


def variants_of_known_forward(plan: Plan) -> list[Measured]:
    """The recipe and all variants that need no other training, with the exact f."""
    forward, _ = plan.forward()
    twin, seconds = plan.twin(forward)
    candidates = from_twin(twin, plan.split, plan.split.n_anchors)
    judge, n_passes = Judge.of(plan.problem, forward, plan.split), _passes(twin)
    five = candidates[:, :N_ANCHORS_TRIED]
    return [
        _best(judge, *UNCHANGED, five, seconds, n_passes=n_passes),
        *_by_anchors_tried(judge, candidates, n_passes),
        *_by_ranking(judge, five, n_passes),
        *_by_polish(judge, _nearest(plan), five, n_passes),
    ]


def variants_of_noisy_data(plan: Plan) -> list[Measured]:
    """The recipe and all variants that need no other twin network, with a learned f."""
    forward, forward_seconds = plan.forward()
    twin, seconds = plan.twin(forward)
    candidates = from_twin(twin, plan.split, plan.split.n_anchors)
    five = candidates[:, :N_ANCHORS_TRIED]
    judge, n_passes = Judge.of(plan.problem, forward, plan.split), _passes(twin)
    many = candidates[:, : plan.recipe.n_ranked]
    many_on = f"twin, {many.shape[1]} anchors, on"
    return [
        _best(judge, *UNCHANGED, five, seconds, n_passes=n_passes),
        *_by_anchors_tried(judge, candidates, n_passes),
        *_by_ranking(judge, five, n_passes),
        *_by_polish(judge, _nearest(plan), five, n_passes),
        _polished(judge, "polish", many_on, many, n_passes=n_passes),
        _polished(
            judge, "learned f", "the recipe's, polish", five, forward_seconds, n_passes=n_passes
        ),
        *_by_learner(plan, five, n_passes),
    ]


def _passes(twin: TwinSolver) -> int:
    """How often the network is applied, with an evaluation of f each time."""
    return 1 if isinstance(twin, UnscaledTwinSolver) else twin.options_.n_passes


def _by_anchors_tried(judge: Judge, candidates: Float64Array, n_passes: int) -> list[Measured]:
    tried = {**{str(k): k for k in _ANCHORS_TRIED}, "all": candidates.shape[1]}
    return [
        _best(judge, "anchors tried", name, candidates[:, :k], n_passes=n_passes)
        for name, k in tried.items()
    ]


def _by_ranking(judge: Judge, five: Float64Array, n_passes: int) -> list[Measured]:
    by_anchor = judge.by_anchor(five)
    first = by_anchor[0]
    at_random = math.sqrt(sum(error**2 for error in by_anchor) / len(by_anchor))
    before = float(n_passes - 1)  # of the one candidate
    rows = [
        Measured("ranking", "none, first anchor", first, first, n_evaluations=before),
        Measured("ranking", "at random (expected)", first, at_random, n_evaluations=before),
    ]
    if not judge.forward.exact:
        best = judge.rmse(judge.best(five, judge.problem.forward))
        rows.append(
            Measured("ranking", "by the exact f", first, best, n_evaluations=5.0 * n_passes)
        )
    return rows


def _by_polish(
    judge: Judge, nearest: Float64Array, five: Float64Array, n_passes: int
) -> list[Measured]:
    return [
        _best(judge, "polish", "kNN, off", nearest),
        _polished(judge, "polish", "kNN, on", nearest),
        _best(judge, "polish", "twin, off", five, n_passes=n_passes),
        _polished(judge, "polish", "twin, on", five, n_passes=n_passes),
    ]


def _by_learner(plan: Plan, five: Float64Array, n_passes: int) -> list[Measured]:
    """The same candidates with other learned forward functions, and with the exact one."""
    rows = []
    learners: dict[str, tuple[Function, float | None]] = {}
    for epochs in _EPOCHS_OF_PLAIN:
        parameters = {**PLAIN_LEARNED_FORWARD, "max_iter": epochs}
        learned = plan.learned_forward(MLPRegressor, parameters)
        learners[f"plain network, {epochs} epochs"] = learned
    learners["exact f"] = (plan.problem.forward, None)
    for name, (forward, seconds) in learners.items():
        other = Judge.of(plan.problem, forward, plan.split)
        for measured, how in ((_best, "ranking"), (_polished, "polish")):
            change = f"{name}, {how}"
            rows.append(measured(other, "learned f", change, five, seconds, n_passes=n_passes))
    return rows


def _best(
    judge: Judge,
    ingredient: str,
    change: str,
    candidates: Float64Array,
    seconds: float | None = None,
    *,
    n_passes: int = 1,
) -> Measured:
    """The best of `candidates` (n, k, p) by the residual; f is evaluated after each pass."""
    first, best = judge.rmse(candidates[:, 0]), judge.rmse(judge.best(candidates))
    n_evaluations = float(n_passes * candidates.shape[1])
    return Measured(ingredient, change, first, best, seconds, n_evaluations)


def _polished(
    judge: Judge,
    ingredient: str,
    change: str,
    candidates: Float64Array,
    seconds: float | None = None,
    *,
    n_passes: int = 1,
) -> Measured:
    """The best of the polished candidates."""
    x, n_evaluations = judge.polished(candidates)
    n_evaluations += (n_passes - 1) * candidates.shape[1]
    first, best = judge.rmse(x[:, 0]), judge.rmse(judge.best(x))
    return Measured(ingredient, change, first, best, seconds, n_evaluations)


def _nearest(plan: Plan) -> Float64Array:
    """The five anchors (n, 5, p) nearest to each target."""
    return plan.split.anchors_x[plan.split.nearest_anchors(N_ANCHORS_TRIED)]
