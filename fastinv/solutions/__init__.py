"""The results of solvers: solutions, ranked, each with its residual and status."""

from fastinv.functions.status import Status
from fastinv.solutions.solutions import Solution, SolutionPath, Solutions

__all__ = ["Solution", "SolutionPath", "Solutions", "Status"]
