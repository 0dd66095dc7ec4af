"""Estimators in scikit-learn's manner."""

from fastinv.estimators.distilled import DistilledRegressor
from fastinv.estimators.mdn import MixtureDensityNetwork
from fastinv.estimators.mlp import MLPRegressor
from fastinv.estimators.model_selection import ComponentSelection, select_n_components
from fastinv.estimators.twin_network import TwinNetwork

__all__ = [
    "ComponentSelection",
    "DistilledRegressor",
    "MLPRegressor",
    "MixtureDensityNetwork",
    "TwinNetwork",
    "select_n_components",
]
