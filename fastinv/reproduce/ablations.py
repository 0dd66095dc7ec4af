"""The effect of each ingredient of a recipe: one is changed at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sklearn.base import BaseEstimator

from fastinv.problems import experiment
from fastinv.reproduce.published import Setting
from fastinv.reproduce.runs import run_all
from fastinv.reproduce.training.recipes import FAST, Recipe
from fastinv.reproduce.training.trainings import Plan
from fastinv.reproduce.training.unscaled import (
    RawPairs,
    UnscaledTwinNetwork,
    UnscaledTwinSolver,
)
from fastinv.reproduce.variants import (
    UNCHANGED,
    Measured,
    unchanged,
    variants_of_known_forward,
    variants_of_noisy_data,
)
from fastinv.solvers import NearPairs, SolvedPairs, TrainingPairs, TwinSolver

EXPERIMENTS = (1, 5, 7)


@dataclass(frozen=True)
class _Change:
    """A change that needs a new training: parameters of the solver, attributes of the recipe."""

    ingredient: str
    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    def of(self, recipe: Recipe) -> Recipe:
        """`recipe` with this change."""
        known_forward = dict(recipe.known_forward)
        if "pairs" in self.parameters:
            known_forward = _for_pairs(known_forward, self.parameters["pairs"])
        known_forward |= self.parameters
        return replace(recipe, known_forward=known_forward, **self.attributes)


def _for_pairs(parameters: dict[str, Any], pairs: TrainingPairs) -> dict[str, Any]:
    """`parameters` of a solver, without those of pairs that `pairs` does not have."""
    own = pairs.get_params()
    others = {name for name in parameters if name.startswith("pairs__") and name[7:] not in own}
    return {name: value for name, value in parameters.items() if name not in others}


_SOLVED, _NEAR = {"pairs": SolvedPairs()}, {"pairs": NearPairs()}
_RAW = {"pairs": RawPairs(), "network": UnscaledTwinNetwork()}
_CONSTANT = {"learning_rate": "constant", "plateau_factor": 0.5, "plateau_patience": 5}


def _network(**parameters: Any) -> dict[str, Any]:
    return {f"network__{name}": value for name, value in parameters.items()}


_CHANGES = (
    _Change("features, pairs", "standardised, solved pairs", _SOLVED, {"solver": TwinSolver}),
    _Change("features, pairs", "standardised, near pairs", _NEAR, {"solver": TwinSolver}),
    _Change("features, pairs", "raw, near pairs", _RAW, {"solver": UnscaledTwinSolver}),
    _Change("features, pairs", "neighbouring data as pairs", attributes={"fresh_pairs": False}),
    _Change("passes", "1", {"n_passes": 1}),
    _Change("passes", "2", {"n_passes": 2}),
    _Change("passes", "3", {"n_passes": 3}),
    _Change("loss", "absolute", _network(loss="absolute_error")),
    _Change("loss", "squared", _network(loss="squared_error")),
    _Change("loss", "Huber, 0.1", _network(loss="huber", huber_delta=0.1)),
    _Change("activation", "ReLU", _network(activation="relu")),
    _Change("activation", "SiLU", _network(activation="silu")),
    _Change("activation", "tanh", _network(activation="tanh")),
    _Change("size", "2 x 128", _network(hidden_layer_sizes=(128, 128))),
    _Change("size", "3 x 32", _network(hidden_layer_sizes=(32, 32, 32))),
    _Change("size", "3 x 128", _network(hidden_layer_sizes=(128, 128, 128))),
    _Change("size", "3 x 256", _network(hidden_layer_sizes=(256, 256, 256))),
    _Change("size", "4 x 128", _network(hidden_layer_sizes=(128, 128, 128, 128))),
    _Change("pair radius", "x 0.5", attributes={"pair_radius_factor": 0.5}),
    _Change("pair radius", "x 2", attributes={"pair_radius_factor": 2.0}),
    _Change("learning rate", "constant", _network(**_CONSTANT)),
    _Change("batch", "32", _network(batch_size=32)),
    _Change("batch", "1024", _network(batch_size=1024)),
    *(_Change("anchors in all", str(n), attributes={"n_anchors": n}) for n in (5, 10, 50, 300)),
)


@dataclass(frozen=True)
class AblationRow:
    """One change to the recipe, one experiment: means over the seeds.

    Attributes
    ----------
    setting : {"known_forward", "noisy_data"}
    ingredient, change : str
    number : int
        Number of the experiment.
    first, best : float
        RMSE in y, by the exact f, of the nearest anchor's solution and of the chosen candidate.
    ratio : float
        `best` divided by that of the unchanged recipe.
    seconds : float or None
        Time of the training, if there was one.
    n_evaluations : float or None
        Evaluations of f per target, to choose and to polish, if the change affects them.
    """

    setting: Setting
    ingredient: str
    change: str
    number: int
    first: float
    best: float
    ratio: float
    seconds: float | None
    n_evaluations: float | None


def ablation(
    numbers: Sequence[int] = EXPERIMENTS,
    *,
    seeds: Sequence[int] = (0,),
    recipe: Recipe = FAST,
    n_jobs: int = 1,
    on_start: Callable[[int], Any] = lambda n_calls: None,
    on_result: Callable[[], Any] = lambda: None,
) -> list[AblationRow]:
    """Change one ingredient at a time, with the five nearest anchors unless the change says else.

    Changes that do not affect the recipe are skipped.

    Parameters
    ----------
    numbers : sequence of int, default=(1, 5, 7)
        Experiments.
    seeds : sequence of int, default=(0,)
    recipe : Recipe, default=FAST
        The recipe to change.
    n_jobs : int, default=1
        Processes. The numbers do not depend on it.
    on_start, on_result : callable
        Called with the number of pieces of work, and after each finished piece.

    Returns
    -------
    list of AblationRow
        First all for the known forward function, then all for noisy data; unchanged recipes first.

    Raises
    ------
    TypeError, ValueError
        An argument out of range.
    """
    changes = [None, *(change for change in _CHANGES if _matters(change, recipe))]
    works: list[tuple[Setting, _Change | None]] = [("known_forward", one) for one in changes]
    works.append(("noisy_data", None))
    calls = [(*work, n, seed, recipe) for work in works for n in numbers for seed in seeds]
    on_start(len(calls))
    found: dict[tuple[Setting, str, str, int], list[Measured]] = defaultdict(list)
    for (setting, _, n, *_), measured in zip(calls, run_all(_measure, calls, n_jobs), strict=True):
        for one in measured:
            found[setting, one.ingredient, one.change, n].append(one)
        on_result()
    return [
        _row(*key, over_seeds, found[key[0], *UNCHANGED, key[3]])
        for key, over_seeds in found.items()
    ]


def _matters(change: _Change, recipe: Recipe) -> bool:
    """Whether `change` affects the recipe."""
    changed = change.of(recipe)
    if replace(changed, known_forward=recipe.known_forward) != recipe:
        return True
    return _settings(changed) != _settings(recipe)


def _settings(recipe: Recipe) -> dict[str, Any]:
    """All numbers and names among the parameters of the solver and its parts."""
    solver = recipe.twin_solver(None, noisy=False)
    return {
        name: value
        for name, value in solver.get_params().items()
        if not (value is None or isinstance(value, BaseEstimator))
    }


def _measure(
    setting: Setting, change: _Change | None, number: int, seed: int, recipe: Recipe
) -> list[Measured]:
    """One training, and all variants that need no other training."""
    changed = recipe if change is None else change.of(recipe)
    plan = Plan.of(experiment(number), seed, setting, changed)
    if setting == "noisy_data":
        return variants_of_noisy_data(plan)
    if change is None:
        return variants_of_known_forward(plan)
    return [replace(unchanged(plan), ingredient=change.ingredient, change=change.name)]


def _row(
    setting: Setting,
    ingredient: str,
    change: str,
    number: int,
    over_seeds: list[Measured],
    of_recipe: list[Measured],
) -> AblationRow:
    best = _mean([one.best for one in over_seeds])
    return AblationRow(
        setting,
        ingredient,
        change,
        number,
        first=_mean([one.first for one in over_seeds]),
        best=best,
        ratio=best / _mean([one.best for one in of_recipe]),
        seconds=_mean_or_none([one.seconds for one in over_seeds]),
        n_evaluations=_mean_or_none([one.n_evaluations for one in over_seeds]),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return _mean(measured) if measured else None
