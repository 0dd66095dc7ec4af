"""The experiments of the paper on inverse twin networks, with its numbers beside ours.

S. J. Wetzel (2026), "Inverting Non-Injective Functions with Twin Neural Network Regression",
section 5 and appendix A, known forward function.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from fastinv._validation import check_integer
from fastinv.backends.protocol import Float64Array, IntArray
from fastinv.comparison import rmse_in_y, timed_fit
from fastinv.problems import Problem
from fastinv.solutions import Solutions
from fastinv.solvers import DirectSolver, NearestSolver, TwinSolver

N_ANCHORS_TRIED = 5

# The networks alone, and the nearest anchors, as in the paper.
_AS_IN_PAPER: dict[str, Any] = {"refine": False, "anchor_choice": "nearest"}

# The direct network as the paper trains it: rectifiers, the absolute error, and more data than
# the anchors, for with a formula there is no limit to it.
_DIRECT: dict[str, Any] = {
    "activation": "relu",
    "loss": "absolute_error",
    "learning_rate_init": 1e-3,
}
_N_DIRECT = 5000


@dataclass(frozen=True)
class Errors:
    """RMSE in y, :func:`fastinv.comparison.rmse_in_y`, of each method.

    Attributes
    ----------
    nearest_by_anchor, twin_by_anchor : tuple of 5 floats
        Of the solutions from each of the anchors tried, the nearest in y first.
    twin_best : float
        Of the solution from those anchors with the smallest residual.
    direct : float
        Of the network trained on the inverse, which knows no anchors.
    """

    nearest_by_anchor: tuple[float, ...]
    twin_by_anchor: tuple[float, ...]
    twin_best: float
    direct: float


@dataclass(frozen=True)
class ExperimentResult:
    """One experiment, one seed.

    Attributes
    ----------
    number : int or None
        In the paper.
    problem : str
    random_state : int
    n_anchors, n_targets : int
    paper_protocol : Errors
        The paper's count of anchors: its first is the second nearest, its fifth the sixth.
    nearest_five : Errors
        The same networks and targets, from the five nearest anchors.
    fit_seconds : dict of str to float
        ``twin`` and ``direct``.
    """

    number: int | None
    problem: str
    random_state: int
    n_anchors: int
    n_targets: int
    paper_protocol: Errors
    nearest_five: Errors
    fit_seconds: dict[str, float]

    def summary(self) -> dict[str, Any]:
        """All numbers, in types that JSON has."""
        return asdict(self)


@dataclass(frozen=True)
class PaperResult:
    """What the paper reports: mean and standard deviation over five seeds, shaped like Errors."""

    mean: Errors
    std: Errors

    def summary(self) -> dict[str, Any]:
        """All numbers, in types that JSON has."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Split:
    """The data of an experiment: 60 % anchors, 20 % validation, 20 % targets.

    The validation points are left out here: with a formula, networks validate on fresh pairs.
    """

    anchors_x: Float64Array  # (n, p)
    targets: Float64Array  # (m, q)

    @classmethod
    def of(cls, problem: Problem, random_state: int) -> Split:
        """500 uniform points where y has one component, as in experiments 1 to 4, else 1000."""
        n = 500 if problem.n_outputs == 1 else 1000
        X, y = problem.sample(n, random_state)
        return cls(X[: 3 * n // 5], y[4 * n // 5 :])


def run_experiment(
    problem: Problem, random_state: int = 0, *, max_iter: int = 100, verbose: int = 0
) -> ExperimentResult:
    """Run one experiment with one seed: known forward function, the paper's data and split.

    The networks are ours: :class:`TwinSolver` with its defaults, and :class:`DirectSolver` with
    the paper's loss and activation. Nothing is polished, which would leave rounding errors alone
    to compare, and the anchors tried are the nearest. Candidates of the twin network that are
    worse than their own anchor have been replaced by it, which is part of our method and not of
    the paper's.

    Parameters
    ----------
    problem : Problem
    random_state : int, default=0
        Of data and networks.
    max_iter : int, default=100
        Epochs of the twin network.
    verbose : int, default=0
        1 shows progress on standard error.

    Returns
    -------
    ExperimentResult

    Raises
    ------
    TypeError, ValueError
        `random_state` is no integer or negative; a parameter that the solvers refuse.
    KeyboardInterrupt
        If a training is interrupted.
    """
    random_state = check_integer(random_state, "random_state", minimum=0)
    words = np.random.SeedSequence(random_state).generate_state(3)
    of_data, of_more_data, of_networks = (int(word) for word in words)
    split = Split.of(problem, of_data)  # compiles f, which is no part of a training
    setting: dict[str, Any] = {"bounds": problem.bounds, "random_state": of_networks}
    twin = TwinSolver(
        problem.forward, max_iter=max_iter, verbose=verbose, **setting, **_AS_IN_PAPER
    )
    twin_seconds = timed_fit(twin, split.anchors_x)
    direct = DirectSolver(problem.forward, refine=False, verbose=verbose, **setting, **_DIRECT)
    direct_seconds = timed_fit(direct, problem.sample(_N_DIRECT, of_more_data)[0])
    n_tried = N_ANCHORS_TRIED + 1
    nearest = NearestSolver(problem.forward, n_neighbors=n_tried, **_AS_IN_PAPER)
    nearest.fit(split.anchors_x)
    lookup = nearest.solve(split.targets)  # ranked by residual: here the distance to the anchor
    from_nearest = lookup.x
    from_twin = _in_order_of(lookup.anchor, twin.solve(split.targets, k=n_tried))
    average = direct.solve(split.targets).best
    paper, right = (
        _errors(problem, split.targets, from_nearest[:, tried], from_twin[:, tried], average)
        for tried in (slice(1, None), slice(None, -1))
    )
    return ExperimentResult(
        number=problem.experiment,
        problem=problem.name,
        random_state=random_state,
        n_anchors=len(split.anchors_x),
        n_targets=len(split.targets),
        paper_protocol=paper,
        nearest_five=right,
        fit_seconds={"twin": twin_seconds, "direct": direct_seconds},
    )


@cache
def paper_result(number: int) -> PaperResult:
    """The published numbers of an experiment, 1 to 9, known forward function."""
    number = check_integer(number, "number")
    text = resources.files("fastinv").joinpath("data/paper_results.json").read_text("utf-8")
    published = json.loads(text)["known_forward"]
    if str(number) not in published:
        raise ValueError(f"number must be one of the experiments 1 to 9, got {number}")
    return PaperResult(*(_published(published[str(number)], moment) for moment in ("mean", "std")))


def _published(methods: dict[str, dict[str, list[float]]], moment: str) -> Errors:
    return Errors(
        nearest_by_anchor=tuple(methods["nearest_by_anchor"][moment]),
        twin_by_anchor=tuple(methods["twin_by_anchor"][moment]),
        twin_best=methods["twin_best"][moment][0],
        direct=methods["direct"][moment][0],
    )


def _in_order_of(anchors: IntArray, solutions: Solutions) -> Float64Array:
    """The x (n, k, p) of `solutions`, ordered like `anchors` (n, k), which they came from."""
    position = (solutions.anchor[:, None, :] == anchors[:, :, None]).argmax(axis=2)
    return np.take_along_axis(solutions.x, position[:, :, None], axis=1)


def _errors(
    problem: Problem,
    targets: Float64Array,
    from_nearest: Float64Array,
    from_twin: Float64Array,
    average: Float64Array,
) -> Errors:
    """The errors of solutions (n, 5, p), by anchor, and of the direct network's (n, p).

    As in the paper's code, solutions are moved to where f is defined first, which concerns
    experiment 4 alone.
    """

    def rmse(x: Float64Array) -> float:
        return rmse_in_y(problem.forward, problem.project(x), targets)

    by_anchor = [from_twin[:, i] for i in range(N_ANCHORS_TRIED)]
    images = [problem.forward(problem.project(x)) for x in by_anchor]
    residuals = [np.linalg.norm(image - targets, axis=1) for image in images]
    best = np.argmin(residuals, axis=0)
    return Errors(
        nearest_by_anchor=tuple(rmse(from_nearest[:, i]) for i in range(N_ANCHORS_TRIED)),
        twin_by_anchor=tuple(rmse(x) for x in by_anchor),
        twin_best=rmse(from_twin[np.arange(len(targets)), best]),
        direct=rmse(average),
    )
