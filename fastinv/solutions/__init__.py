"""The results of solvers: ranked solutions, each with its residual and status."""

from fastinv.functions.status import Status
from fastinv.solutions.explanation import Circumstances
from fastinv.solutions.solutions import Solution, SolutionPath, Solutions

__all__ = ["Circumstances", "Solution", "SolutionPath", "Solutions", "Status"]
