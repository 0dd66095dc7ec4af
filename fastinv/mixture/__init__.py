"""Batches of conditional Gaussian mixtures: what a mixture density network predicts."""

from fastinv.mixture.distribution import Mixture
from fastinv.mixture.modes import Modes

__all__ = ["Mixture", "Modes"]
