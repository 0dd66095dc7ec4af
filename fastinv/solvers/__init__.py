"""Solvers: from targets to ranked solutions."""

from fastinv.solvers.anchored import AnchoredSolver
from fastinv.solvers.base import BaseSolver
from fastinv.solvers.direct import DirectSolver
from fastinv.solvers.fitting.fit_data import FitData
from fastinv.solvers.frozen import FrozenSolver
from fastinv.solvers.mixture import MixtureSolver
from fastinv.solvers.nearest import NearestSolver
from fastinv.solvers.pairs import NearPairs, SolvedPairs, TrainingPairs
from fastinv.solvers.twin import TwinSolver

__all__ = [
    "AnchoredSolver",
    "BaseSolver",
    "DirectSolver",
    "FitData",
    "FrozenSolver",
    "MixtureSolver",
    "NearPairs",
    "NearestSolver",
    "SolvedPairs",
    "TrainingPairs",
    "TwinSolver",
]
