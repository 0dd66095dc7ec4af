"""How the networks of the experiments are built and trained: the paper's way, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from fastinv.estimators.distilled import DistilledRegressor
from fastinv.estimators.mlp import MLPRegressor
from fastinv.reproduce.training.unscaled import (
    RawPairs,
    UnscaledMLPRegressor,
    UnscaledTwinSolver,
)
from fastinv.solvers import NearPairs, TrainingPairs, TwinSolver


@dataclass(frozen=True)
class Recipe:
    """Parameters of all networks of an experiment.

    Attributes
    ----------
    name : str
    solver : type
        :class:`TwinSolver` or a subclass.
    known_forward, noisy_data : mapping
        The solver's parameters for table 1 and for table 2, for its ``set_params``: those of
        the network like ``network__max_iter``.
    learner : type
        :class:`fastinv.MLPRegressor` or a subclass, which learns f from noisy data.
    learned_forward : mapping
        Its parameters.
    network : type
        :class:`fastinv.MLPRegressor` or a subclass, for the direct network, from y to x.
    direct : mapping
        Its parameters.
    inside_bounds : bool
        Whether the solver gets the domain and keeps solutions in it.
    fresh_pairs : bool, default=True
        Whether table 1 trains on pairs that are made with the formula; False gives the solver
        the images of the points as data, as table 2 always does, and trains on `data_pairs`.
    data_pairs : TrainingPairs, default=NearPairs()
    n_anchors : int or None, default=None
        Number of anchors to keep; None keeps all.
    pair_radius_factor : float, default=1.0
        Factor on the `radius` of the solver's pairs.
    n_direct : int, default=5000
        Points to train the direct network on in table 1.
    n_ranked : int, default=50
        Anchors for the column of table 2 with many polished candidates.
    """

    name: str
    solver: type[TwinSolver]
    known_forward: Mapping[str, Any]
    noisy_data: Mapping[str, Any]
    learner: type[MLPRegressor]
    learned_forward: Mapping[str, Any]
    network: type[MLPRegressor]
    direct: Mapping[str, Any]
    inside_bounds: bool
    fresh_pairs: bool = True
    data_pairs: TrainingPairs = field(default_factory=NearPairs)
    n_anchors: int | None = None
    pair_radius_factor: float = 1.0
    n_direct: int = 5000
    n_ranked: int = 50

    def with_networks(self, **parameters: Any) -> Recipe:
        """A copy with these parameters for all networks, such as `max_iter` for a short run."""
        of_twin = _of_network(parameters)
        return replace(
            self,
            known_forward={**self.known_forward, **of_twin},
            noisy_data={**self.noisy_data, **of_twin},
            learned_forward={**self.learned_forward, **parameters},
            direct={**self.direct, **parameters},
        )

    def twin_solver(self, forward: Any, *, noisy: bool, **parameters: Any) -> TwinSolver:
        """The unfitted solver.

        Parameters
        ----------
        forward : ForwardFunction, callable or regressor
        noisy : bool
            Whether it is for table 2.
        **parameters
            Parameters of the solver alone.
        """
        own = self.noisy_data if noisy else self.known_forward
        if not (noisy or self.fresh_pairs):
            own = {name: own[name] for name in own if not name.startswith("pairs")}
            own["pairs"] = self.data_pairs
        # Copied, because setting a parameter of a part changes the part itself.
        solver: TwinSolver = self.solver(forward, **parameters).set_params(**deepcopy(own))
        return solver


def _of_network(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a network, named as a solver takes them."""
    return {f"network__{name}": value for name, value in parameters.items()}


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
# A quarter of the points that are not targets: 20 % of all.
_PAPER_REGRESSION: dict[str, Any] = {**_PAPER_NETWORK, "validation_fraction": 0.25}

# The published code takes 156 steps per epoch.
PAPER = Recipe(
    name="paper",
    solver=UnscaledTwinSolver,
    known_forward={
        **_of_network(_PAPER_NETWORK),
        "n_passes": 1,
        "pairs__pairs_per_epoch": 156 * 32,
    },
    noisy_data={**_of_network(_PAPER_NETWORK), "n_passes": 1},
    data_pairs=RawPairs(),
    learner=UnscaledMLPRegressor,
    learned_forward={**_PAPER_REGRESSION, "learning_rate_init": 1e-4},
    network=UnscaledMLPRegressor,
    direct=_PAPER_REGRESSION,
    inside_bounds=False,
)

# The solvers' settings for many data; with few data, as here, training takes longer.
PLAIN_LEARNED_FORWARD: dict[str, Any] = {
    "max_iter": 1000,
    "hidden_layer_sizes": (128, 128),
    "activation": "silu",
    "loss": "squared_error",
    "learning_rate": "cosine",
    "learning_rate_init": 3e-3,
    "n_iter_no_change": None,
}

# The solvers' defaults, without polish.
FAST = Recipe(
    name="fast",
    solver=TwinSolver,
    known_forward={"n_passes": 2},
    noisy_data={"network__max_iter": 50},  # with noise there is less to learn
    learner=DistilledRegressor,
    learned_forward={},
    network=MLPRegressor,
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
