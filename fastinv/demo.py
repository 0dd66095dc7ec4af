"""The main job on a robot arm with two links: train, solve, compare, and draw solutions."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from fastinv import problems
from fastinv._common.arrays import Float64Array
from fastinv._common.validation import check_integer
from fastinv.comparison import rmse_in_y, timed_fit
from fastinv.estimators import TwinNetwork
from fastinv.plots import ArmStyle, plot_arm_solutions
from fastinv.solutions import Solutions, Status
from fastinv.solvers import BaseSolver, DirectSolver, NearestSolver, TwinSolver
from fastinv.solvers.fitting.refinement import resolve_passes

PROBLEM = problems.two_link_arm
# Anchors tried to find every solution: the second one need not be among the nearest five.
N_CANDIDATES_FOR_ALL = 40
# Two candidates, or a candidate and an exact solution, are the same if they are closer than this.
SAME_SOLUTION = 0.03  # rad
_N_WARM_UP = 200
_N_REPEATS = 5
_LOOK_DIFFERENT = 1.6  # rad; two arms that differ by this look different
_AVERAGE = ArmStyle("0.3", "-", "average")
_MISS = "#CC3377"


@dataclass(frozen=True)
class Method:
    """The results of one method.

    Attributes
    ----------
    name : str
    rmse : float
        RMSE in y of one solution per target, see :func:`fastinv.comparison.rmse_in_y`.
    microseconds_per_target : float
        Time of one `solve` of all targets, the fastest of five.
    """

    name: str
    rmse: float
    microseconds_per_target: float


@dataclass(frozen=True)
class Latency:
    """Time of one `solve` call for one target, in microseconds, over `n_calls` calls."""

    p50: float
    p99: float
    n_calls: int


@dataclass(frozen=True)
class Found:
    """How many of the exact solutions of all targets are among the CONVERGED candidates."""

    n_candidates: int
    n_found: int
    n_exact: int


@dataclass(frozen=True)
class Enumerated:
    """The results of `solve_all`: the number of solutions, how many exact ones are among them, and
    the time of a call for all targets at once, the fastest of five, per target."""

    n_solutions: int
    n_found: int
    n_exact: int
    microseconds_per_target: float


@dataclass(frozen=True, eq=False)
class Demo:
    """The results of the demo.

    Attributes
    ----------
    random_state, n_anchors, n_candidates : int
    fit_seconds : dict of str to float
        Training time of each network; the forward function was compiled before.
    methods : dict of str to Method
        ``nearest``, ``direct``, ``twin_first`` and ``twin_best``: the anchors and the networks
        alone; ``twin_polished``: the twin solver with its defaults.
    latency : Latency
        Time of the twin network without polish, which also gave `status` and `found`.
    status : dict of str to int
        Statuses of the best solution of each target, with their counts.
    found : tuple of Found
        Found with the five anchors tried by default, and with more.
    enumerated : Enumerated
        By the twin solver with its defaults.
    targets : ndarray of shape (n, 2)
    solutions : Solutions
        By the twin solver with its defaults, from ``N_CANDIDATES_FOR_ALL`` anchors.
    averages : ndarray of shape (n, 2)
        The direct network's answers.
    anchors_y : ndarray of shape (n_anchors, 2)
    """

    random_state: int
    n_anchors: int
    n_candidates: int
    fit_seconds: dict[str, float]
    methods: dict[str, Method]
    latency: Latency
    status: dict[str, int]
    found: tuple[Found, ...]
    enumerated: Enumerated
    targets: Float64Array
    solutions: Solutions
    averages: Float64Array
    anchors_y: Float64Array

    @property
    def improvement(self) -> float:
        """RMSE of the nearest anchor over the twin network's best."""
        return self.methods["nearest"].rmse / self.methods["twin_best"].rmse

    def summary(self) -> dict[str, Any]:
        """All numbers, in types that JSON has."""
        return {
            "problem": PROBLEM.name,
            "random_state": self.random_state,
            "n_anchors": self.n_anchors,
            "n_candidates": self.n_candidates,
            "n_targets": len(self.targets),
            "fit_seconds": self.fit_seconds,
            "methods": {key: asdict(method) for key, method in self.methods.items()},
            "improvement": self.improvement,
            "latency_microseconds": asdict(self.latency),
            "status": self.status,
            "found": [asdict(found) for found in self.found],
            "enumerated": asdict(self.enumerated),
        }


def run_demo(
    n_targets: int = 1000,
    random_state: int = 0,
    *,
    max_iter: int = 100,
    n_calls: int = 2000,
    verbose: int = 0,
) -> Demo:
    """Train a twin network and a direct network for the two-link arm, and solve.

    Parameters
    ----------
    n_targets : int, default=1000
        Positions of the hand, the images of joint angles that are uniform in the bounds.
    random_state : int, default=0
    max_iter : int, default=100
        Epochs of the twin network.
    n_calls : int, default=2000
        Calls of `solve` to measure the latency with.
    verbose : int, default=0
        1 shows progress on standard error.

    Returns
    -------
    Demo

    Raises
    ------
    TypeError, ValueError
        An argument is not an integer or too small.
    KeyboardInterrupt
        If a training is interrupted.
    """
    check_integer(n_calls, "n_calls")
    random_state = check_integer(random_state, "random_state", minimum=0)
    of_targets, of_networks = (
        int(word) for word in np.random.SeedSequence(random_state).generate_state(2)
    )
    _, targets = PROBLEM.sample(check_integer(n_targets, "n_targets"), of_targets)
    setting: dict[str, Any] = {
        "bounds": PROBLEM.bounds,
        "y_scale": 1.0,  # both outputs are lengths, and errors are compared in y
        "random_state": of_networks,
    }
    PROBLEM.forward(targets)  # compiles on first use, before the training is timed
    polished = TwinSolver(
        PROBLEM.forward, network=TwinNetwork(max_iter=max_iter), verbose=verbose, **setting
    )
    fit_seconds = {"twin": timed_fit(polished)}
    twin = _network_alone(polished)
    direct = DirectSolver(PROBLEM.forward, refine=False, verbose=verbose, **setting)
    fit_seconds["direct"] = timed_fit(direct, twin.anchors_x_)
    nearest = NearestSolver(PROBLEM.forward, refine=False, anchor_choice="nearest", **setting).fit(
        twin.anchors_x_
    )
    first = copy.copy(twin).set_params(n_candidates=1)
    best = twin.solve(targets)
    n_candidates_for_all = min(N_CANDIDATES_FOR_ALL, len(twin.anchors_x_))
    return Demo(
        random_state=random_state,
        n_anchors=len(twin.anchors_x_),
        n_candidates=twin.n_candidates,
        fit_seconds=fit_seconds,
        methods={
            "nearest": _measure("nearest anchor (kNN)", nearest, targets),
            "direct": _measure("direct network", direct, targets),
            "twin_first": _measure("twin network, 1st anchor", first, targets),
            "twin_best": _measure(f"twin network, best of {twin.n_candidates}", twin, targets),
            "twin_polished": _measure("twin network, polished", polished, targets),
        },
        latency=_latency(twin, targets, n_calls),
        status={status.name: int((best.status[:, 0] == status).sum()) for status in Status},
        found=(_found(best), _found(twin.solve(targets, k=n_candidates_for_all))),
        enumerated=_enumerated(polished, targets),
        targets=targets,
        solutions=polished.solve(targets, k=n_candidates_for_all),
        averages=direct.solve(targets).best,
        anchors_y=twin.anchors_y_,
    )


def draw_demo(demo: Demo, n_drawn: int = 4) -> Figure:
    """Some targets with every solution found, beside the direct network's answers for them.

    Targets are chosen far from each other among those whose exact solutions look different,
    whether or not they were found.
    """
    rows = _rows_to_draw(demo.targets, n_drawn)
    targets = demo.targets[rows]
    solutions = [distinct(demo.solutions[int(row)]) for row in rows]
    averages = list(demo.averages[rows, None, :])
    figure = Figure(figsize=(9.0, 7.1), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes in (left, right):
        axes.plot(*demo.anchors_y.T, ".", color="0.85", markersize=3, zorder=0, label="anchor")
    plot_arm_solutions(solutions, targets, left)
    plot_arm_solutions(averages, targets, right, styles=(_AVERAGE, _AVERAGE), miss_color=_MISS)
    right.set_ylabel("")
    best, direct = demo.methods["twin_polished"], demo.methods["direct"]
    n_found, n_exact = sum(map(len, solutions)), sum(map(len, PROBLEM.preimages(targets)))
    left.set_title(
        f"Twin network and polish: {n_found} of {n_exact} solutions found\n"
        f"RMSE {best.rmse:.0e} over {len(demo.targets)} targets"
    )
    right.set_title(
        f"Direct network: one answer, the average\nRMSE {direct.rmse:.2g} over the same targets"
    )
    _add_legend(figure)
    return figure


def distinct(solutions: Solutions, separation: float = SAME_SOLUTION) -> Float64Array:
    """CONVERGED solutions of one target, without repetitions of better ones, shape (m, p)."""
    converged = solutions.x[0][solutions.status[0] == Status.CONVERGED]
    kept: list[Float64Array] = []
    for x in converged:
        if all(np.linalg.norm(x - other) > separation for other in kept):
            kept.append(x)
    return np.array(kept).reshape(-1, solutions.x.shape[2])


def _network_alone(solver: TwinSolver) -> TwinSolver:
    """The same solver without polish and with the nearest anchors, as in the paper."""
    alone = solver.with_options(
        polish=False,
        branch_distance=0.0,
        n_passes=resolve_passes(solver.n_passes, refines=False),
    )
    alone.set_params(refine=False, anchor_choice="nearest")
    return alone


def _measure(name: str, solver: BaseSolver, targets: Float64Array) -> Method:
    seconds = min(_seconds(lambda: solver.solve(targets)) for _ in range(_N_REPEATS))
    rmse = rmse_in_y(PROBLEM.forward, solver.solve(targets).best, targets)
    return Method(name, rmse, 1e6 * seconds / len(targets))


def _latency(solver: BaseSolver, targets: Float64Array, n_calls: int) -> Latency:
    calls = [targets[i % len(targets)] for i in range(_N_WARM_UP + n_calls)]
    seconds = [_seconds(lambda y=y: solver.solve(y)) for y in calls]  # type: ignore[misc]
    p50, p99 = np.percentile(seconds[_N_WARM_UP:], [50, 99])
    return Latency(1e6 * float(p50), 1e6 * float(p99), n_calls)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _found(solutions: Solutions) -> Found:
    n_found = n_exact = 0
    for one, exact in zip(solutions, PROBLEM.preimages(solutions.targets), strict=True):
        converged = one.x[0][one.status[0] == Status.CONVERGED]
        gaps = np.linalg.norm(exact[:, None] - converged[None], axis=2)
        n_found += int((gaps.min(axis=1, initial=np.inf) <= SAME_SOLUTION).sum())
        n_exact += len(exact)
    return Found(solutions.n_solutions, n_found, n_exact)


def _enumerated(solver: BaseSolver, targets: Float64Array) -> Enumerated:
    seconds = min(_seconds(lambda: solver.solve_all(targets)) for _ in range(_N_REPEATS))
    solutions = solver.solve_all(targets)
    found, status = _found(solutions), solutions.status
    return Enumerated(
        n_solutions=int((status == Status.CONVERGED).sum()),
        n_found=found.n_found,
        n_exact=found.n_exact,
        microseconds_per_target=1e6 * seconds / len(targets),
    )


def _rows_to_draw(targets: Float64Array, n_drawn: int) -> list[int]:
    """Targets with solutions that look different, each as far as possible from earlier ones."""
    exact = PROBLEM.preimages(targets)
    rows = [i for i, x in enumerate(exact) if len(x) > 1 and np.ptp(x[:, 1]) > _LOOK_DIFFERENT]
    if len(rows) < n_drawn:
        rows = list(range(len(targets)))
    gaps = np.full(len(rows), np.inf)
    chosen = [int(np.argmax(targets[rows, 1]))]
    while len(chosen) < min(n_drawn, len(rows)):
        latest = targets[rows[chosen[-1]]]
        gaps = np.minimum(gaps, np.linalg.norm(targets[rows] - latest, axis=1))
        chosen.append(int(np.argmax(gaps)))
    return [rows[i] for i in chosen]


def _add_legend(figure: Figure) -> None:
    """One legend for both panels, each entry once."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=4, frameon=False
    )
