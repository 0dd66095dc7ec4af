"""Functions of every kind, regions, problems and goals."""

from fastinv.functions.code import CompiledCode, NetworkCode, RowCode
from fastinv.functions.compiled import ForwardFunction, forward
from fastinv.functions.conversion import as_forward
from fastinv.functions.function import Function
from fastinv.functions.goal import Goal
from fastinv.functions.networks import (
    ACTIVATIONS,
    COVARIANCES,
    LOSSES,
    Activation,
    Covariance,
    Loss,
    MixtureSpec,
    NetworkSpec,
)
from fastinv.functions.problem import Problem
from fastinv.functions.region import Region
from fastinv.functions.status import SearchStatus, Status
from fastinv.functions.wrapped import CallableFunction, LearnedFunction

__all__ = [
    "ACTIVATIONS",
    "COVARIANCES",
    "LOSSES",
    "Activation",
    "CallableFunction",
    "CompiledCode",
    "Covariance",
    "ForwardFunction",
    "Function",
    "Goal",
    "LearnedFunction",
    "Loss",
    "MixtureSpec",
    "NetworkCode",
    "NetworkSpec",
    "Problem",
    "Region",
    "RowCode",
    "SearchStatus",
    "Status",
    "as_forward",
    "forward",
]
