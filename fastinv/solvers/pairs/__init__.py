"""Training pairs of twin networks."""

from fastinv.solvers.pairs.sources import NearPairs, SolvedPairs, TrainingPairs

__all__ = ["NearPairs", "SolvedPairs", "TrainingPairs"]
