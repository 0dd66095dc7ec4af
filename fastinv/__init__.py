"""fastinv: every solution of f(x) = y, ranked, each with its true residual.

Solvers go back from targets to inputs: :class:`TwinSolver`, :class:`MixtureSolver` with
probabilities, and as baselines :class:`NearestSolver` and :class:`DirectSolver`. A formula becomes
a forward function with :func:`forward`; :mod:`fastinv.problems` has some to try, and
:mod:`fastinv.robots` makes them from descriptions of robot arms.

Everything is imported on first use.
"""

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from fastinv._common.threadpool_limits import register_with_threadpoolctl

if TYPE_CHECKING:
    from fastinv import (
        backends,
        estimators,
        metrics,
        mixture,
        plots,
        problems,
        robots,
        solutions,
        solvers,
    )
    from fastinv.calibration import Calibration, calibrate
    from fastinv.estimators import (
        ComponentSelection,
        DistilledRegressor,
        MixtureDensityNetwork,
        MLPRegressor,
        TwinNetwork,
        select_n_components,
    )
    from fastinv.functions import (
        CallableFunction,
        ForwardFunction,
        Function,
        Goal,
        LearnedFunction,
        Region,
        as_forward,
        forward,
    )
    from fastinv.losses import mixture_nll
    from fastinv.mixture import Mixture
    from fastinv.neighbors import KDTree
    from fastinv.problems import Problem
    from fastinv.solutions import SearchStatus, Solution, SolutionPath, Solutions, Status
    from fastinv.solvers import (
        DirectSolver,
        FrozenSolver,
        MixtureSolver,
        NearestSolver,
        NearPairs,
        SolvedPairs,
        TwinSolver,
    )

    __version__: str

__all__ = [
    "Calibration",
    "CallableFunction",
    "ComponentSelection",
    "DirectSolver",
    "DistilledRegressor",
    "ForwardFunction",
    "FrozenSolver",
    "Function",
    "Goal",
    "KDTree",
    "LearnedFunction",
    "MLPRegressor",
    "Mixture",
    "MixtureDensityNetwork",
    "MixtureSolver",
    "NearPairs",
    "NearestSolver",
    "Problem",
    "Region",
    "SearchStatus",
    "Solution",
    "SolutionPath",
    "Solutions",
    "SolvedPairs",
    "Status",
    "TwinNetwork",
    "TwinSolver",
    "__version__",
    "as_forward",
    "backends",
    "calibrate",
    "estimators",
    "forward",
    "metrics",
    "mixture",
    "mixture_nll",
    "plots",
    "problems",
    "robots",
    "select_n_components",
    "solutions",
    "solvers",
]

_HOMES = {
    "fastinv.calibration": ("Calibration", "calibrate"),
    "fastinv.estimators": (
        "ComponentSelection",
        "DistilledRegressor",
        "MixtureDensityNetwork",
        "MLPRegressor",
        "TwinNetwork",
        "select_n_components",
    ),
    "fastinv.functions": (
        "CallableFunction",
        "ForwardFunction",
        "Function",
        "Goal",
        "LearnedFunction",
        "Region",
        "as_forward",
        "forward",
    ),
    "fastinv.losses": ("mixture_nll",),
    "fastinv.mixture": ("Mixture",),
    "fastinv.neighbors": ("KDTree",),
    "fastinv.problems": ("Problem",),
    "fastinv.solutions": (
        "SearchStatus",
        "Solution",
        "SolutionPath",
        "Solutions",
        "Status",
    ),
    "fastinv.solvers": (
        "DirectSolver",
        "FrozenSolver",
        "MixtureSolver",
        "NearestSolver",
        "NearPairs",
        "SolvedPairs",
        "TwinSolver",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker knows better than "any name, of any type"

    def __getattr__(name):
        if name == "_core":  # asked for where the import below has failed
            from fastinv._common.extension import load_extension

            return load_extension()
        if name == "__version__":
            value = import_module("importlib.metadata").version("fastinv")
        elif name in _MODULE_OF:
            value = getattr(import_module(_MODULE_OF[name]), name)
        elif name in __all__:
            value = import_module(f"fastinv.{name}")
        else:
            raise AttributeError(f"module 'fastinv' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# threadpoolctl limits only libraries that are already loaded. The extension is loaded here, so that
# a limit also holds if fastinv is first used inside it. This takes milliseconds and loads no other
# package.
with suppress(ImportError):  # code that needs the extension explains this
    import_module("fastinv._core")
register_with_threadpoolctl()
