"""`x_error` reaches the true root, found in 60 digits, and is not much larger than it must be."""

import numpy as np
import pytest
from formulas import Formula
from root_judge import Judge, Verdict

import fastinv as fi

STEPS = np.concatenate([np.arange(6) * 2.0**-53, np.logspace(-15, -6, 40)])


def judged(formula, bounds, targets):
    """The verdicts on all that is CONVERGED in solve and solve_all, and x_error / true error."""
    solver = fi.NearestSolver(formula.compiled, bounds=bounds, random_state=0).fit()
    judge = Judge(formula, np.array(bounds, dtype=float), solver.problem_.region.scale)
    verdicts, ratios = [], []
    for found in (solver.solve(targets), solver.solve_all(targets)):
        for row, k in np.argwhere(found.status == fi.Status.CONVERGED):
            x_error = found.x_error[row, k]
            result = judge.judge(found.targets[row], found.x[row, k], x_error)
            verdicts.append(result.verdict)
            if result.true_error > 0:
                ratios.append(x_error / result.true_error)
    return verdicts, np.array(ratios)


def bell(t, f):
    return f.divide(f.constant(1.0), f.plus(f.power(t, 2), 1.0))


def crest(t, f):
    return f.sin(f.plus(t, np.pi / 2))


def bowl(t, f):
    return f.plus(f.power(t, 2), 1.0)


@pytest.mark.parametrize(("shape", "sign"), [(bell, -1), (crest, -1), (bowl, 1)])
@pytest.mark.parametrize(
    ("slope", "shift"), [(1.02, -0.073), (1.137, -0.23), (1.381, 0.011), (1.413, -0.347)]
)
def test_around_a_fold(shape, sign, slope, shift):
    """Twice as far as the slope says, where two roots are about to meet."""
    formula = Formula(1)
    t = formula.plus(formula.times(formula.x(0), slope), shift)
    formula.outputs = [shape(t, formula)]
    verdicts, ratios = judged(formula, [(-2, 2)], 1.0 + sign * STEPS)
    assert max(verdicts) <= Verdict.ROUNDED
    assert np.median(ratios) <= 100


def cubic(t, f):
    inner = f.plus(f.times(t, -1.2), 0.5)
    return f.multiply(f.plus(f.multiply(inner, t), 0.9), t)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("p", [1, 2])
def test_where_offsets_cancel(offset, p):
    """f's rounding error is that of the offset, which the values of f do not show."""
    formula = Formula(p)
    t = formula.x(0)
    shifted = formula.plus(formula.plus(cubic(t, formula), offset), -offset)
    formula.outputs = [shifted]
    if p == 2:
        formula.outputs.append(formula.add(formula.x(1), formula.times(t, 0.3)))
    x = np.random.default_rng(p).uniform(-1, 1, (300, p))
    verdicts, ratios = judged(formula, [(-1, 1)] * p, formula.compiled(x))
    assert len(verdicts) > 600
    assert max(verdicts) <= Verdict.ROUNDED
    assert np.median(ratios) <= 100


def test_on_a_bound_of_a_set():
    """Inputs on a bound cannot move, and the others have to make up for them."""
    formula = Formula(2)
    first, second = formula.x(0), formula.x(1)
    formula.outputs = [formula.add(formula.power(first, 3), formula.times(second, 0.01))]
    x = np.random.default_rng(3).uniform(-1, 1, (200, 2))
    x[::2, 0] = 1.0
    x[1::4, 1] = -1.0
    verdicts, ratios = judged(formula, [(-1, 1)] * 2, formula.compiled(x))
    assert max(verdicts) <= Verdict.ROUNDED
    assert np.median(ratios) <= 100
