"""What twin networks are trained on."""

from fastinv.solvers.pairs.sources import NearPairs, SolvedPairs, TrainingPairs

__all__ = ["NearPairs", "SolvedPairs", "TrainingPairs"]
