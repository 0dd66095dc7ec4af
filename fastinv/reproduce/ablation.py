"""What each ingredient of a recipe buys: one is changed at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastinv.problems import experiment
from fastinv.reproduce.errors import Moments
from fastinv.reproduce.experiment import run_experiment
from fastinv.reproduce.recipes import FAST, Recipe
from fastinv.reproduce.unscaled import UnscaledTwinSolver
from fastinv.solvers.pairs import pair_radius

# What is changed, the parameters of the solver.
_CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("as it is", {}),
    ("squared error", {"loss": "squared_error"}),
    ("SiLU", {"activation": "silu"}),
    ("width 32", {"hidden_layer_sizes": (32, 32)}),
    ("width 256", {"hidden_layer_sizes": (256, 256)}),
    ("constant learning rate", {"learning_rate": "constant"}),
    ("batches of 32", {"batch_size": 32}),
)
_RADIUS_FACTORS = (0.5, 2.0)


@dataclass(frozen=True)
class AblationRow:
    """One change to the recipe, one experiment.

    Attributes
    ----------
    change : str
    number : int
        Of the experiment.
    errors : Moments
        Table 1, the paper's protocol.
    seconds : float
        Mean of a fit of the twin network.
    """

    change: str
    number: int
    errors: Moments
    seconds: float


def ablation(
    numbers: Sequence[int] = (1, 5, 7),
    *,
    seeds: Sequence[int] = (0,),
    recipe: Recipe = FAST,
) -> list[AblationRow]:
    """Change one ingredient of the twin network at a time, known forward function.

    Anchors, ranking and polish need no variants: the errors of each row have the first anchor,
    the best of five, and the polished one.

    Parameters
    ----------
    numbers : sequence of int, default=(1, 5, 7)
        Experiments.
    seeds : sequence of int, default=(0,)
    recipe : Recipe, default=FAST
        What is changed.

    Returns
    -------
    list of AblationRow
    """
    rows = []
    for number in numbers:
        for change, changed in _variants(recipe, number):
            results = [run_experiment(experiment(number), seed, recipe=changed) for seed in seeds]
            rows.append(
                AblationRow(
                    change,
                    number,
                    Moments.of([result.paper_protocol for result in results]),
                    sum(result.fit_seconds["twin"] for result in results) / len(results),
                )
            )
    return rows


def _variants(recipe: Recipe, number: int) -> list[tuple[str, Recipe]]:
    variants = [
        (name, replace(recipe, known_forward={**recipe.known_forward, **parameters}))
        for name, parameters in _CHANGES
    ]
    problem = experiment(number)
    n_anchors = 300 if problem.n_outputs == 1 else 600
    for factor in _RADIUS_FACTORS:
        radius = factor * pair_radius(problem.bounds, n_anchors)
        changed = {**recipe.known_forward, "pair_radius": radius}
        variants.append((f"pair radius x {factor:g}", replace(recipe, known_forward=changed)))
    variants.append(("raw features and steps", replace(recipe, solver=UnscaledTwinSolver)))
    variants.append(("neighbouring data as pairs", replace(recipe, fresh_pairs=False)))
    return variants
