"""The results of solvers: ranked solutions, each with its residual and status."""

from fastinv.functions.status import SearchStatus, Status
from fastinv.solutions.explanation import Circumstances
from fastinv.solutions.solutions import Judge, Solution, SolutionPath, Solutions

__all__ = [
    "Circumstances",
    "Judge",
    "SearchStatus",
    "Solution",
    "SolutionPath",
    "Solutions",
    "Status",
]
