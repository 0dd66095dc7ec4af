"""Mixtures of Gaussians: their likelihood as a loss, and their modes."""
