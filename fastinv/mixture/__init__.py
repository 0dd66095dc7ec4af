"""Conditional mixtures of Gaussians: the distribution that mixture density networks predict."""

from fastinv.mixture.distribution import Mixture
from fastinv.mixture.modes import Modes

__all__ = ["Mixture", "Modes"]
