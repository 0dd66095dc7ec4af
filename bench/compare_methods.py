"""Compares ways of inverting f: how many of the solutions each one finds, and what that costs.

    python bench/compare_methods.py --targets 100 --out bench/results/compare_methods.md

The problems are the nine experiments of `fastinv.problems` and poses of two robot arms. All methods
have the same bounds and one thread. Recall counts true solutions that are met within 1e-3 of the
inputs' range, where they are finitely many and known. A target is solved if a residual of 1e-6 is
reached; this and the median are of its best candidate, in units of the spread of the targets.
Evaluations of f are counted, differences for derivatives included. The arms have analytic
Jacobians, of which ours count one as one evaluation; SciPy takes differences. Its times are mostly
those of Python, so that evaluations compare better. Anchors are drawn once, in `fit`.
"""

import argparse
import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
from scipy.optimize import least_squares

import fastinv as fi

ANCHORS = 1000
STARTS = 24  # of SciPy, and at most of solve_all
CANDIDATES = 10  # of the solvers' solve()
SAME = 1e-3  # of the inputs' range
CONVERGED = 1e-6  # of the spread of the targets
LABELS = {
    "scipy": f"SciPy least_squares, {STARTS} random starts",
    "lookup": f"{CANDIDATES} anchors, no network, no polish",
    "nearest": f"{CANDIDATES} anchors, polish",
    "twin alone": f"{CANDIDATES} anchors, network, no polish",
    "twin 5": f"{CANDIDATES} anchors, network of 5 epochs, polish",
    "twin": f"{CANDIDATES} anchors, network, polish",
    "all": f"solve_all, {STARTS} starts",
}


@dataclass(frozen=True)
class Case:
    """f, its bounds, targets that it reaches, and their solutions where they can be listed."""

    name: str
    forward: fi.ForwardFunction
    bounds: np.ndarray
    periods: np.ndarray
    targets: np.ndarray
    solutions: list[np.ndarray] | None


@dataclass(frozen=True)
class Row:
    """What one method achieved on one case."""

    case: str
    method: str
    recall: float  # NaN where solutions are curves
    solved: float
    residual: float
    evaluations: float  # per target, NaN where they were not counted
    seconds: float  # per target
    training: float  # seconds of fit


def experiment_case(number: int, n: int) -> Case:
    problem = fi.problems.experiment(number)
    _, y = problem.sample(n, random_state=1, noise=0.0)
    known = None if problem.inverse is None else problem.preimages(y)
    periods = np.full(problem.n_inputs, np.inf)
    name = f"{number} {problem.name}"
    return Case(name, problem.forward, problem.bounds, periods, y, known)


def arm_case(arm: fi.robots.SerialChain, n: int) -> Case:
    _, poses = arm.sample(n, random_state=1)
    known = [fi.robots.ur5_inverse(T) for T in poses] if arm.name == "ur5" else None
    f = arm.forward("pose")
    return Case(f"{arm.name} pose", f, arm.limits, arm.periods, arm.targets(poses), known)


def scipy_solutions(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The end points (n, STARTS, p) and evaluations of f per target."""
    rng = np.random.default_rng(0)
    low, high = case.bounds.T
    p = len(low)
    found = np.full((len(case.targets), STARTS, p), np.nan)
    evaluations = np.zeros(len(case.targets))
    for i, y in enumerate(case.targets):
        for s, start in enumerate(rng.uniform(low, high, (STARTS, p))):
            with np.errstate(all="ignore"):
                try:
                    result = least_squares(
                        lambda x, y=y: case.forward(x, n_threads=1) - y,
                        start, bounds=(low, high), xtol=1e-12, ftol=1e-12, gtol=1e-12,
                    )  # fmt: skip
                except ValueError:  # f is not finite at the start or beside it
                    evaluations[i] += 1
                    continue
            found[i, s] = result.x
            evaluations[i] += result.nfev + p * (result.njev or 0)
    return found, evaluations


def counted(f: fi.ForwardFunction) -> tuple[fi.ForwardFunction, list[int]]:
    """`f`, and a list of one number: how often it was evaluated, a Jacobian counting as once."""
    count = [0]

    def increment() -> float:
        count[0] += 1
        return 0.0

    tick = ctypes.CFUNCTYPE(ctypes.c_double)(increment)
    compiled = numba.njit(f.python_function)

    def function(x, y):
        tick()
        compiled(x, y)

    if f.jacobian is None:
        return fi.ForwardFunction(function, f.n_inputs, f.n_outputs), count
    derivative = numba.njit(f.jacobian)

    def jacobian(x, J):
        tick()
        derivative(x, J)

    return fi.ForwardFunction(function, f.n_inputs, f.n_outputs, jacobian), count


def describe(
    case: Case, method: str, x: np.ndarray, evaluations: float, seconds: float, training: float
) -> Row:
    """The row for candidates `x` (n, k, p), NaN where there is none."""
    n, k, p = x.shape
    images = case.forward(x.reshape(-1, p)).reshape(n, k, -1)
    residual = np.linalg.norm(images - case.targets[:, None], axis=2)
    residual = np.where(np.isfinite(residual), residual, np.inf)
    residual /= np.linalg.norm(case.targets.std(axis=0))
    best = residual.min(axis=1)
    recall = np.nan
    if case.solutions is not None:
        spread = SAME * np.ptp(case.bounds, axis=1)
        met = sum(
            int((gap(case, known, found) < spread).all(axis=2).any(axis=1).sum())
            for known, found in zip(case.solutions, x, strict=True)
        )
        recall = met / sum(map(len, case.solutions))
    return Row(
        case.name, method, recall, float((best <= CONVERGED).mean()), float(np.median(best)),
        evaluations, seconds, training,
    )  # fmt: skip


def gap(case: Case, known: np.ndarray, found: np.ndarray) -> np.ndarray:
    """|known - found|, of each known solution and each found one, modulo the periods."""
    difference = np.abs(known[:, None] - found[None])
    turns = np.isfinite(case.periods)
    around = np.where(turns, case.periods - difference, np.inf)
    return np.minimum(difference, np.abs(around))


def by_scipy(case: Case) -> Row:
    began = time.perf_counter()
    found, evaluations = scipy_solutions(case)
    seconds = (time.perf_counter() - began) / len(found)
    return describe(case, LABELS["scipy"], found, float(evaluations.mean()), seconds, 0.0)


def by_candidates(case: Case, solver: fi.NearestSolver | fi.TwinSolver, *names: str) -> list[Row]:
    """`solver`, which does not polish: its candidates, and those polished."""
    began = time.perf_counter()
    solver.fit()
    training = time.perf_counter() - began
    candidates = solver.solve(case.targets, k=CANDIDATES).x
    n = len(case.targets)
    solving = fastest(lambda: solver.solve(case.targets, k=CANDIDATES)) / n
    rows = [
        describe(case, LABELS[name], candidates, CANDIDATES, solving, training)
        for name in names
        if name.endswith(("lookup", "alone"))
    ]
    targets = np.repeat(case.targets, CANDIDATES, axis=0)
    starts = candidates.reshape(len(targets), -1)
    search = solver.search()
    polished = search.polish(targets, starts)
    polishing = fastest(lambda: search.polish(targets, starts)) / n
    evaluations = CANDIDATES + polished.n_evaluations.sum() / n
    x = polished.x.reshape(candidates.shape)
    seconds = solving + polishing
    return [*rows, describe(case, LABELS[names[-1]], x, evaluations, seconds, training)]


def by_solve_all(case: Case) -> Row:
    def fitted(f: fi.ForwardFunction) -> fi.NearestSolver:
        solver = fi.NearestSolver(
            f, bounds=case.bounds, n_anchors=ANCHORS, periods=case.periods, n_threads=1,
            random_state=0,
        ).fit()  # fmt: skip
        solver.solve_all(case.targets[:1])  # it prepares itself when it is first called
        return solver

    began = time.perf_counter()
    solver = fitted(case.forward)
    training = time.perf_counter() - began
    found = solver.solve_all(case.targets)
    seconds = fastest(lambda: solver.solve_all(case.targets)) / len(case.targets)
    counting, count = counted(case.forward)
    solver = fitted(counting)
    before = count[0]
    solver.solve_all(case.targets)
    evaluations = (count[0] - before) / len(case.targets)
    return describe(case, LABELS["all"], found.x, evaluations, seconds, training)


def fastest(run: Callable[[], object], repetitions: int = 3) -> float:
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


def compare(case: Case) -> list[Row]:
    options = {
        "bounds": case.bounds,
        "n_anchors": ANCHORS,
        "n_candidates": CANDIDATES,
        "periods": case.periods,
        "refine": False,
        "n_threads": 1,
        "random_state": 0,
    }
    short = fi.TwinNetwork(max_iter=5)
    case.forward(case.bounds.mean(axis=1))  # compiles
    return [
        by_scipy(case),
        *by_candidates(case, fi.NearestSolver(case.forward, **options), "lookup", "nearest"),
        *by_candidates(case, fi.TwinSolver(case.forward, network=short, **options), "twin 5"),
        *by_candidates(case, fi.TwinSolver(case.forward, **options), "twin alone", "twin"),
        by_solve_all(case),
    ]


def table(rows: list[Row]) -> str:
    """In Markdown."""
    lines = [
        "| f | method | recall | solved | median residual | evaluations | µs per target | fit, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        recall = "" if np.isnan(row.recall) else f"{100 * row.recall:.1f} %"
        lines.append(
            f"| {row.case} | {row.method} | {recall} | {100 * row.solved:.1f} % | "
            f"{row.residual:.0e} | {row.evaluations:.0f} | {1e6 * row.seconds:.3g} | "
            f"{row.training:.2g} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", type=int, default=100, metavar="N")
    parser.add_argument("--experiments", type=int, nargs="*", default=list(range(1, 10)))
    parser.add_argument("--no-arms", action="store_true", help="leave UR5 and Panda out")
    parser.add_argument("--out", type=Path, help="a Markdown file; by default printed only")
    options = parser.parse_args()
    cases = [experiment_case(number, options.targets) for number in options.experiments]
    if not options.no_arms:
        cases += [arm_case(arm, options.targets) for arm in (fi.robots.ur5(), fi.robots.panda())]
    rows: list[Row] = []
    for case in cases:
        rows += compare(case)
        print(table(rows[-len(LABELS) :]), flush=True)
    if options.out is not None:
        heading = f"# Ways of inverting f, {options.targets} targets each\n\n"
        explanation = __doc__.split("\n\n")[2].strip()
        options.out.write_text(f"{heading}{explanation}\n\n{table(rows)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
