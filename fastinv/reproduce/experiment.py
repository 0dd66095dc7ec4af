"""One experiment, one seed: trainings, and the errors of every method."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import check_integer
from fastinv.functions.function import Function
from fastinv.problems import Problem
from fastinv.reproduce.candidates import Judge, branch_recall
from fastinv.reproduce.errors import N_ANCHORS_TRIED, Errors
from fastinv.reproduce.published import Setting
from fastinv.reproduce.training.recipes import FAST, Recipe
from fastinv.reproduce.training.trainings import Plan, from_twin
from fastinv.solvers import TwinSolver


@dataclass(frozen=True)
class ExperimentResult:
    """One experiment, one seed.

    Attributes
    ----------
    number : int or None
        Number in the paper.
    problem : str
    setting : {"known_forward", "noisy_data"}
    recipe : str
    random_state : int
    n_anchors, n_targets : int
    paper_protocol : Errors
        The paper's count of anchors: its first is the second nearest, its fifth the sixth.
    nearest_five : Errors
        The same networks and targets, from the five nearest anchors.
    fit_seconds : dict of str to float
        ``twin``, ``direct`` and, for noisy data, ``forward``.
    twin_epochs : int
        Epochs of the twin network's training.
    """

    number: int | None
    problem: str
    setting: Setting
    recipe: str
    random_state: int
    n_anchors: int
    n_targets: int
    paper_protocol: Errors
    nearest_five: Errors
    fit_seconds: dict[str, float]
    twin_epochs: int

    def summary(self) -> dict[str, Any]:
        """All numbers, in types of JSON."""
        return asdict(self)


def run_experiment(
    problem: Problem,
    random_state: int = 0,
    *,
    setting: Setting = "known_forward",
    recipe: Recipe = FAST,
    verbose: int = 0,
) -> ExperimentResult:
    """Run one experiment with one seed on the paper's data and split.

    The anchors tried are the nearest in y. Polishing is measured separately: the networks
    are compared without it.

    Parameters
    ----------
    problem : Problem
    random_state : int, default=0
        Seed of data and networks.
    setting : {"known_forward", "noisy_data"}, default="known_forward"
        Table 1 or table 2. In table 2 all methods get only the noisy points, and f is
        learned from them; errors are still computed with the exact f.
    recipe : Recipe, default=FAST
    verbose : int, default=0
        1 shows the progress of the trainings on standard error.

    Returns
    -------
    ExperimentResult

    Raises
    ------
    TypeError, ValueError
        `random_state` is not an integer or negative, or the solvers refuse a parameter.
    KeyboardInterrupt
        If a training is interrupted.
    """
    random_state = check_integer(random_state, "random_state", minimum=0)
    if setting not in ("known_forward", "noisy_data"):
        raise ValueError(f"setting must be 'known_forward' or 'noisy_data', got {setting!r}")
    plan = Plan.of(problem, random_state, setting, recipe, verbose)
    forward, forward_seconds = plan.forward()
    twin, twin_seconds = plan.twin(forward)
    average, direct_seconds = plan.direct()
    seconds = {"twin": twin_seconds, "direct": direct_seconds}
    if forward_seconds is not None:
        seconds["forward"] = forward_seconds
    paper_protocol, nearest_five = _both_protocols(plan, forward, twin, average)
    return ExperimentResult(
        number=problem.experiment,
        problem=problem.name,
        setting=setting,
        recipe=recipe.name,
        random_state=random_state,
        n_anchors=plan.split.n_anchors,
        n_targets=len(plan.split.targets),
        paper_protocol=paper_protocol,
        nearest_five=nearest_five,
        fit_seconds=seconds,
        twin_epochs=twin.n_iter_,
    )


def _both_protocols(
    plan: Plan, forward: Function, twin: TwinSolver, average: Float64Array
) -> tuple[Errors, Errors]:
    """Errors from the second nearest anchor on, and from the nearest on; `average` is direct."""
    split = plan.split
    n_many = plan.recipe.n_ranked if plan.noisy else N_ANCHORS_TRIED
    from_nearest = split.anchors_x[split.nearest_anchors(N_ANCHORS_TRIED + 1)]
    candidates = from_twin(twin, split, n_many + 1)
    judge = Judge.of(plan.problem, forward, split)
    least = judge.least(split, n_many) if plan.noisy else None
    paper_protocol, nearest_five = (
        _errors(
            judge,
            from_nearest[:, first : first + N_ANCHORS_TRIED],
            candidates[:, first : first + N_ANCHORS_TRIED],
            average,
            candidates[:, first : first + n_many],
            least,
        )
        for first in (1, 0)
    )
    return paper_protocol, nearest_five


def _errors(
    judge: Judge,
    from_nearest: Float64Array,
    from_twin: Float64Array,
    average: Float64Array,
    from_many: Float64Array,
    least: float | None,
) -> Errors:
    """Errors of all methods.

    Parameters
    ----------
    judge : Judge
    from_nearest, from_twin : ndarray of shape (n, 5, p)
        Solutions by anchor.
    average : ndarray of shape (n, p)
        Answers of the direct network.
    from_many : ndarray of shape (n, n_ranked, p)
        Solutions of the twin network from more anchors, for noisy data.
    least : float or None
        Error that remains even with the exact f.
    """
    exact, learned = judge.problem.forward, not judge.forward.exact
    polished = [judge.polished(x).x for x in (from_nearest, from_twin)]
    recalls = [branch_recall(judge.problem, judge.targets, x) for x in polished]
    return Errors(
        nearest_by_anchor=judge.by_anchor(from_nearest),
        twin_by_anchor=judge.by_anchor(from_twin),
        twin_best=judge.rmse(judge.best(from_twin, exact)),
        twin_best_learned=judge.rmse(judge.best(from_twin)) if learned else None,
        direct=judge.rmse(average),
        nearest_polished=judge.rmse(judge.best(polished[0])),
        twin_polished=judge.rmse(judge.best(polished[1])),
        twin_polished_many=(
            judge.rmse(judge.best(judge.polished(from_many).x)) if learned else None
        ),
        least=least,
        nearest_recall=recalls[0],
        twin_recall=recalls[1],
    )
