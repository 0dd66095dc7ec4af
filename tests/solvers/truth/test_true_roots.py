"""A small draw of the campaign ``bench/campaigns/true_roots.py``; its judge, on known cases."""

import numpy as np
import pytest
from flint import arb
from formulas import Formula
from random_functions import FAMILIES, random_function
from root_campaign import draw_targets, run_campaign
from root_judge import Judge, Verdict


def test_no_solution_lies():
    figures = run_campaign(12, 600, seed=1)
    assert figures.violations == 0, figures.examples
    assert not any(figures.lies.values()), figures.examples
    assert not figures.missed, figures.examples
    assert figures.unproven == 0
    assert figures.twice == 0
    assert sum(figures.verdicts.values()) > 600
    assert np.median(figures.ulp_ratios) <= 100


# The judge itself.


def power_of(n, root=0.0):
    """(x - root)^n, and a judge of it on ±2."""
    formula = Formula(1)
    formula.outputs = [formula.power(formula.plus(formula.x(0), -root), n)]
    return Judge(formula, np.array([[-2.0, 2.0]]), np.ones(1))


def verdict(judge, y, x, x_error, known=()):
    return judge.judge(np.array([y]), np.array([x]), x_error, known)


def test_a_root_is_within_its_error_or_not():
    judge = power_of(2)
    assert verdict(judge, 2.0, 2**0.5, 1e-16).verdict is Verdict.ROOT
    assert verdict(judge, 2.0, 2**0.5, 1e-16).true_error == pytest.approx(9.667e-17, rel=1e-3)
    assert verdict(judge, 2.0, 1.41, 1e-2).verdict is Verdict.ROOT
    assert verdict(judge, 2.0, 1.41, 1e-3).verdict is Verdict.FALSE
    assert verdict(judge, 2.0, -(2**0.5), 1e-16).verdict is Verdict.ROOT


def test_what_is_not_there_is_false():
    judge = power_of(2)
    for x, x_error in ((0.0, 0.1), (1e-5, 1.0), (0.5, 4.0)):
        assert verdict(judge, -1e-10, x, x_error).verdict is Verdict.FALSE
    assert verdict(judge, 4.1, 2.0, 1e-2).verdict is Verdict.FALSE  # beyond the bounds
    assert verdict(judge, 4.0, 2.0, 1e-2).verdict is Verdict.ROOT


def test_what_f_cannot_tell_from_a_root():
    """(x - 1/3)^2 + 1: its rounding error is 1e-16, however near x is to its lowest place."""
    formula = Formula(1)
    square = formula.power(formula.plus(formula.x(0), -1 / 3), 2)
    formula.outputs = [formula.plus(square, 1.0)]
    judge = Judge(formula, np.array([[-2.0, 2.0]]), np.ones(1))
    below = float(np.nextafter(1.0, 0.0))
    assert verdict(judge, below, 1 / 3, 1e-9).verdict is Verdict.ROUNDED
    assert verdict(judge, 1.0 - 1e-12, 1 / 3, 1e-3).verdict is Verdict.FALSE
    above = float(np.nextafter(1.0, 2.0))  # the root is 1.5e-8 away, and f is flat up to there
    assert verdict(judge, above, 1 / 3, 1e-9).verdict is Verdict.UNDERSTATED
    assert verdict(judge, above, 1 / 3, 1e-7).verdict is Verdict.ROOT


@pytest.mark.parametrize("n", [3, 5, 9])
def test_a_multiple_root(n):
    judge = power_of(n, 0.25)
    assert verdict(judge, 0.0, 0.25 + 1e-6, 1e-5, [np.array([0.25])]).verdict is Verdict.ROOT
    assert verdict(judge, 0.0, 0.25 + 1e-6, 1e-7, [np.array([0.25])]).verdict is Verdict.FALSE
    assert verdict(judge, 1e-30, 0.25 + 1e-30 ** (1 / n), 1e-5).verdict is Verdict.ROOT


def test_as_many_and_fewer_outputs():
    line = Formula(2)
    line.outputs = [line.add(line.x(0), line.x(1))]
    box = np.array([[-1.0, 1.0]] * 2)
    judge = Judge(line, box, np.ones(2))
    on, off = np.array([0.1, 0.2]), np.array([0.1, 0.21])
    assert judge.judge(np.array([0.3]), on, 1e-15).verdict is Verdict.ROOT
    assert judge.judge(np.array([0.3]), off, 1e-3).verdict is Verdict.FALSE
    assert judge.judge(np.array([0.3]), off, 1e-2).true_error == pytest.approx(0.01 / 2**0.5)
    curve = Formula(1)
    x = curve.x(0)
    curve.outputs = [curve.sin(x), curve.times(x, 3.0)]
    judge = Judge(curve, box[:1], np.ones(1))
    image = curve.compiled([0.4])
    assert judge.judge(image, np.array([0.4]), 1e-15).verdict is Verdict.ROOT
    assert (
        judge.judge(image + np.array([1e-9, 0.0]), np.array([0.4]), 1e-3).verdict is Verdict.FALSE
    )


# The generator: f as compiled is as near to the true one as is said, no image beyond a bound.


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_said_of_a_function_holds(family):
    rng = np.random.default_rng([5, FAMILIES.index(family)])
    found = random_function(rng, family)
    f, (low, high) = found.formula, found.bounds.T
    X = rng.uniform(low, high, size=(200, f.p))
    Y, rounding = f.compiled(X), f.rounding(X)
    exact = [[arb(float(v)) for v in x] for x in X]
    errors = [
        [abs(float(v - arb(float(t)))) for v, t in zip(f.exact(x), y, strict=True)]
        for x, y in zip(exact, Y, strict=True)
    ]
    assert (np.array(errors) <= rounding).all()
    for cap in found.caps:
        beyond = cap.sign * (Y[:, cap.output] - cap.value)
        assert (beyond <= rounding[:, cap.output]).all()
    targets = draw_targets(found, 60, rng)
    assert len(targets.y) == len(targets.kind) == 60
    np.testing.assert_array_equal(
        f.compiled(targets.x[targets.attainable]), targets.y[: targets.attainable.sum()]
    )
