"""How the networks of the experiments are built and trained: the paper's way, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastinv.estimators.mlp import MLPRegressor
from fastinv.reproduce.unscaled import UnscaledMLPRegressor, UnscaledTwinSolver
from fastinv.solvers import TwinSolver


@dataclass(frozen=True)
class Recipe:
    """Parameters of all networks of an experiment.

    Attributes
    ----------
    name : str
    solver : type
        :class:`TwinSolver` or a subclass.
    network : type
        :class:`fastinv.MLPRegressor` or a subclass.
    known_forward, noisy_data : mapping
        Its parameters for table 1 and for table 2.
    learned_forward : mapping
        The network's parameters for the one from x to y.
    direct : mapping
        The same for the network from y to x.
    inside_bounds : bool
        Whether the solver knows the domain, and keeps solutions in it.
    fresh_pairs : bool, default=True
        Whether table 1 trains on fresh pairs, drawn around the anchors with the formula; False
        takes neighbouring points of the fixed data (algorithm 1), as table 2 always does.
    n_direct : int, default=5000
        Points that the direct network is trained on in table 1.
    """

    name: str
    solver: type[TwinSolver]
    network: type[MLPRegressor]
    known_forward: Mapping[str, Any]
    noisy_data: Mapping[str, Any]
    learned_forward: Mapping[str, Any]
    direct: Mapping[str, Any]
    inside_bounds: bool
    fresh_pairs: bool = True
    n_direct: int = 5000


_PAPER_NETWORK: dict[str, Any] = {
    "hidden_layer_sizes": (640, 640),
    "activation": "relu",
    "loss": "absolute_error",
    "batch_size": 32,
    "max_iter": 2000,
    "early_stopping": True,
    "n_iter_no_change": 100,
    "tol": 0.0,
    "learning_rate": "plateau",
    "plateau_factor": 0.5,
    "plateau_patience": 40,
    "learning_rate_init": 1e-5,
}
# A quarter of the points that are no targets: 20 % of all.
_PAPER_REGRESSION: dict[str, Any] = {**_PAPER_NETWORK, "validation_fraction": 0.25}

# 156 steps per epoch is what the published code takes.
PAPER = Recipe(
    name="paper",
    solver=UnscaledTwinSolver,
    network=UnscaledMLPRegressor,
    known_forward={**_PAPER_NETWORK, "pairs_per_epoch": 156 * 32},
    noisy_data=_PAPER_NETWORK,
    learned_forward={**_PAPER_REGRESSION, "learning_rate_init": 1e-4},
    direct=_PAPER_REGRESSION,
    inside_bounds=False,
)

FAST = Recipe(
    name="fast",
    solver=TwinSolver,
    network=MLPRegressor,
    known_forward={"training_pairs": "solved", "hidden_layer_sizes": (128, 128, 128)},
    noisy_data={},
    # As the solvers learn a forward function by themselves, but for longer: data are few here.
    learned_forward={
        "max_iter": 1000,
        "hidden_layer_sizes": (128, 128),
        "activation": "silu",
        "loss": "squared_error",
        "learning_rate": "cosine",
        "learning_rate_init": 3e-3,
        "n_iter_no_change": None,
    },
    # The paper's loss and activation, at the size and rate of DirectSolver.
    direct={
        "hidden_layer_sizes": (128, 128),
        "activation": "relu",
        "loss": "absolute_error",
        "learning_rate": "cosine",
        "learning_rate_init": 1e-3,
        "n_iter_no_change": None,
    },
    inside_bounds=True,
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (PAPER, FAST)}
