"""A campaign: random functions, targets that can and cannot be reached, and a verdict on each
solution that is called CONVERGED."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flint import arb
from formulas import Array
from random_functions import Cap, RandomFunction, random_function
from root_judge import Judge, Verdict

import fastinv as fi

BEYOND = (1e-12, 1e-6, 1e-3, 0.3)  # of an output's spread, past a bound
# Of the targets that can be reached, and their shares.
KINDS = {"inside": 0.6, "bounds": 0.1, "fold": 0.1, "near a fold": 0.1, "multiple": 0.1}
_MARGIN = 64.0  # a target is out of reach only if it is farther off than so much rounding
_TWIN_EVERY = 40  # functions


@dataclass
class Targets:
    """`y` (n, q), of which kind each is, and the `x` (n, p) that they are images of, or NaN."""

    y: Array
    kind: list[str]
    x: Array

    @property
    def attainable(self) -> Any:
        return np.isfinite(self.x).all(axis=1)


@dataclass
class Figures:
    """What was counted. The keys of counters begin with a family."""

    verdicts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    lies: Counter[tuple[str, str]] = field(default_factory=Counter)  # unattainable, CONVERGED
    missed: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # attainable, not so
    targets: Counter[tuple[str, str]] = field(default_factory=Counter)
    unproven: int = 0  # CONVERGED with an infinite x_error
    twice: int = 0  # pairs of solutions of one target that are the same root
    recalled: int = 0  # attainable targets whose own x is among the solutions of solve_all
    ratios: list[float] = field(default_factory=list)  # x_error / true error
    ulp_ratios: list[float] = field(default_factory=list)  # x_error / max(true error, ulp of x)
    examples: list[str] = field(default_factory=list)

    @property
    def violations(self) -> int:
        wrong = (Verdict.UNDERSTATED.name, Verdict.FALSE.name)
        return sum(count for key, count in self.verdicts.items() if key[2] in wrong)


def draw_targets(found: RandomFunction, n: int, rng: np.random.Generator) -> Targets:
    """`n` targets, a third of them unattainable by construction."""
    f, (low, high) = found.formula, found.bounds.T
    n_beyond = n // 3 if found.caps else 0
    kinds = rng.choice(list(KINDS), n - n_beyond, p=list(KINDS.values()))
    x = rng.uniform(low, high, size=(n - n_beyond, f.p))
    folds = fold_points(found, rng)
    for row, kind in enumerate(kinds):
        special = found.special if kind == "multiple" else folds
        if kind == "bounds":
            i = rng.integers(f.p)
            x[row, i] = found.bounds[i, rng.integers(2)]
        elif kind != "inside" and special:
            x[row] = special[rng.integers(len(special))]
            if kind == "near a fold":
                aside = rng.standard_normal(f.p) * 10.0 ** rng.uniform(-8, -2) * (high - low)
                x[row] = np.clip(x[row] + aside, low, high)
        elif kind != "inside":
            kinds[row] = "inside"
    y = f.compiled(x)
    sample = rng.uniform(low, high, size=(2000, f.p))
    images = f.compiled(sample)
    rounding = f.rounding(sample)
    beyond, names = [], []
    for _ in range(n_beyond):
        cap = found.caps[rng.integers(len(found.caps))]
        row, name = beyond_cap(cap, images, rounding, rng)
        beyond.append(row)
        names.append(name)
    nowhere = np.full((n_beyond, f.p), np.nan)
    return Targets(
        np.vstack([y, np.reshape(beyond, (-1, f.q))]),
        [*kinds.tolist(), *names],
        np.vstack([x, nowhere]),
    )


def beyond_cap(cap: Cap, images: Array, rounding: Array, rng: np.random.Generator) -> Any:
    """A target past `cap`, its other outputs those of some x; and how far past it is."""
    row = images[rng.integers(len(images))].copy()
    spread = images[:, cap.output].std()
    # The rounding of f where it comes nearest to the bound.
    nearest = np.argsort(np.abs(images[:, cap.output] - cap.value))[: len(images) // 50]
    least = _MARGIN * max(rounding[nearest, cap.output].max(), np.spacing(abs(cap.value)))
    steps = [step for step in BEYOND if step * spread > least] or [1.0]
    step = float(steps[rng.integers(len(steps))])
    row[cap.output] = cap.value + cap.sign * max(step * spread, least)
    return row, f"{step:.0e} beyond" if cap.tight else "far"


def fold_points(found: RandomFunction, rng: np.random.Generator, most: int = 10) -> list[Array]:
    """Points at which the Jacobian is singular, by bisection along random lines; q = p only."""
    f, (low, high) = found.formula, found.bounds.T
    if f.p != f.q:
        return []
    points = []
    for _ in range(most):
        a, b = rng.uniform(low, high, size=(2, f.p))
        line = a + np.linspace(0, 1, 9)[:, None] * (b - a)
        signs = np.array([determinant_sign(found, x) for x in line])
        change = np.flatnonzero(signs[:-1] * signs[1:] < 0)
        if not len(change):
            continue
        a, b = line[change[0]], line[change[0] + 1]
        sign = signs[change[0]]
        for _ in range(54):
            middle = 0.5 * (a + b)
            a, b = (middle, b) if determinant_sign(found, middle) == sign else (a, middle)
        points.append(a)
    return points


def determinant_sign(found: RandomFunction, x: Array) -> float:
    _, slopes = found.formula.exact_derivative([arb(float(v)) for v in x])
    J = np.array([[float(d.mid()) for d in row] for row in slopes]) * np.ptp(found.bounds, axis=1)
    size = np.abs(J).max(axis=1, keepdims=True)
    return float(np.sign(np.linalg.det(J / np.where(size > 0, size, 1.0))))


def solvers_of(found: RandomFunction, number: int) -> Iterator[tuple[str, Any]]:
    options: dict[str, Any] = {"bounds": found.bounds, "random_state": 0, "n_threads": 1}
    f = found.formula.compiled
    yield "nearest", fi.NearestSolver(f, **options).fit()
    if number % _TWIN_EVERY == 0:
        network = fi.TwinNetwork((16,), max_iter=3)
        pairs = fi.SolvedPairs(pairs_per_epoch=1024)
        yield "twin", fi.TwinSolver(f, network=network, pairs=pairs, **options).fit()


def run_campaign(n_functions: int, n_targets: int, seed: int, report: Any = None) -> Figures:
    """`n_targets` in all, over `n_functions`."""
    figures = Figures()
    for number in range(n_functions):
        rng = np.random.default_rng([seed, number])
        n = n_targets // n_functions + (number < n_targets % n_functions)
        found = random_function(rng)
        targets = draw_targets(found, n, rng)
        for kind in targets.kind:
            figures.targets[found.family, kind] += 1
        for name, solver in solvers_of(found, number):
            judge = Judge(found.formula, found.bounds, solver.problem_.region.scale)
            where = f"seed {seed}, function {number}, {name}"
            everything = solver.solve_all(targets.y)
            count_solutions(figures, found, targets, judge, everything, f"{where}, solve_all")
            count_statuses(figures, found, targets, everything, where)
            solved = solver.solve(targets.y)
            count_solutions(figures, found, targets, judge, solved, f"{where}, solve")
        if report is not None:
            report(number, found, figures)
    return figures


def count_solutions(
    figures: Figures,
    found: RandomFunction,
    targets: Targets,
    judge: Judge,
    solutions: Any,
    where: str,
) -> None:
    """Verdicts on all that is CONVERGED."""
    call = where.rpartition(" ")[2]
    converged = solutions.status == fi.Status.CONVERGED
    x_errors = solutions.x_error
    for row in np.flatnonzero(converged.any(axis=1)):
        y, roots = targets.y[row], []
        known = [targets.x[row]] if targets.attainable[row] else []
        lied = not targets.attainable[row]
        figures.lies[found.family, targets.kind[row]] += lied
        for k in np.flatnonzero(converged[row]):
            x, x_error = solutions.x[row, k], float(x_errors[row, k])
            judged = judge.judge(y, x, x_error, known)
            figures.verdicts[found.family, call, judged.verdict.name] += 1
            figures.unproven += not np.isfinite(x_error)
            if judged.verdict is Verdict.ROOT:
                roots.append(judged.root)
                if judged.true_error > 0:
                    ulp = np.linalg.norm(np.spacing(np.abs(x)) / judge.scale)
                    figures.ratios.append(x_error / judged.true_error)
                    figures.ulp_ratios.append(x_error / max(judged.true_error, ulp))
            elif judged.verdict is not Verdict.ROUNDED or lied:
                figures.examples.append(
                    f"{where}: {found.family}, {targets.kind[row]} target {row} {y.tolist()}, "
                    f"x {x.tolist()}, x_error {x_error:.3g}: {judged.verdict.name}, exact root at "
                    f"{judged.true_error:.3g}"
                )
        if call == "solve_all" and found.formula.p <= found.formula.q:
            n = len(roots)
            figures.twice += sum(
                judge.distance(roots[i], roots[j]) < 1e-25 for i in range(n) for j in range(i)
            )


def count_statuses(
    figures: Figures, found: RandomFunction, targets: Targets, solutions: Any, where: str
) -> None:
    """Of what attainable targets are called in the first place."""
    scale = np.ptp(found.bounds, axis=1)
    for row in np.flatnonzero(targets.attainable):
        gaps = np.abs(solutions.x[row] - targets.x[row]) / scale
        figures.recalled += bool((gaps.max(axis=1) < 1e-3).any())
        status = fi.Status(solutions.status[row, 0])
        if status != fi.Status.CONVERGED or solutions.count[row] < 1:
            figures.missed[found.family, targets.kind[row], status.name] += 1
            figures.examples.append(
                f"{where}: {found.family}, {targets.kind[row]} target {row} "
                f"{targets.y[row].tolist()} is the image of {targets.x[row].tolist()} and "
                f"{status.name}, residual {solutions.residual[row, 0]:.3g}"
            )
