"""Networks with scikit-learn's interface."""

from __future__ import annotations

from fastinv.estimators.mlp import MLPRegressor

__all__ = ["MLPRegressor"]
