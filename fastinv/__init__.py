"""fastinv: every solution of f(x) = y, ranked, each with its true residual.

Solvers go back from targets to inputs: :class:`TwinSolver`, :class:`MixtureSolver` with
probabilities, and as baselines :class:`NearestSolver` and :class:`DirectSolver`. A formula becomes
a forward function with :func:`forward`; :mod:`fastinv.problems` has some to try, and
:mod:`fastinv.robots` makes them from descriptions of robot arms.
"""

from importlib.metadata import version

from fastinv import problems, robots
from fastinv._common.threads import register_with_threadpoolctl
from fastinv.calibration import calibrate
from fastinv.estimators import (
    DistilledRegressor,
    MixtureDensityNetwork,
    MLPRegressor,
    TwinNetwork,
    select_n_components,
)
from fastinv.functions.forward import ForwardFunction, as_forward, forward
from fastinv.losses import mixture_nll
from fastinv.mixture import Mixture
from fastinv.neighbors import KDTree
from fastinv.problems import Problem
from fastinv.solutions import Solution, SolutionPath, Solutions, Status
from fastinv.solvers import (
    DirectSolver,
    FrozenSolver,
    MixtureSolver,
    NearestSolver,
    NearPairs,
    SolvedPairs,
    TwinSolver,
)

__version__ = version("fastinv")

__all__ = [
    "DirectSolver",
    "DistilledRegressor",
    "ForwardFunction",
    "FrozenSolver",
    "KDTree",
    "MLPRegressor",
    "Mixture",
    "MixtureDensityNetwork",
    "MixtureSolver",
    "NearPairs",
    "NearestSolver",
    "Problem",
    "Solution",
    "SolutionPath",
    "Solutions",
    "SolvedPairs",
    "Status",
    "TwinNetwork",
    "TwinSolver",
    "__version__",
    "as_forward",
    "calibrate",
    "forward",
    "mixture_nll",
    "problems",
    "robots",
    "select_n_components",
]

# So that threadpoolctl.threadpool_limits reaches our threads as it does a BLAS's.
register_with_threadpoolctl()
