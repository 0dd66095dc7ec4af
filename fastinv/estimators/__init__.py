"""Estimators in scikit-learn's manner."""

from fastinv.estimators.distilled import DistilledRegressor
from fastinv.estimators.mdn import MixtureDensityNetwork
from fastinv.estimators.mlp import MLPRegressor
from fastinv.estimators.model_selection import (
    ComponentScore,
    ComponentSelection,
    select_n_components,
)
from fastinv.estimators.twin_network import TwinNetwork
from fastinv.estimators.twin_pairs import Pairs, PairScaling, PairSource

__all__ = [
    "ComponentScore",
    "ComponentSelection",
    "DistilledRegressor",
    "MLPRegressor",
    "MixtureDensityNetwork",
    "PairScaling",
    "PairSource",
    "Pairs",
    "TwinNetwork",
    "select_n_components",
]
