"""A jacobian= that is not the derivative of f is refused by `fit`, and one that is, is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinv as fi

BOX = [(-1.5, 1.5)] * 2


def swirl(x, y):
    y[0] = np.sin(2.0 * x[0]) + x[1] ** 3 - x[1]
    y[1] = x[0] * x[1] + 0.5 * x[0]


def right(x, J):
    J[0, 0] = 2.0 * np.cos(2.0 * x[0])
    J[0, 1] = 3.0 * x[1] ** 2 - 1.0
    J[1, 0] = x[1] + 0.5
    J[1, 1] = x[0]


def negated(x, J):
    J[0, 0] = -2.0 * np.cos(2.0 * x[0])
    J[0, 1] = 1.0 - 3.0 * x[1] ** 2
    J[1, 0] = -x[1] - 0.5
    J[1, 1] = -x[0]


def transposed(x, J):
    J[0, 0] = 2.0 * np.cos(2.0 * x[0])
    J[1, 0] = 3.0 * x[1] ** 2 - 1.0
    J[0, 1] = x[1] + 0.5
    J[1, 1] = x[0]


def zero(x, J):
    J[:] = 0.0


def one_wrong(x, J):
    J[0, 0] = 2.0 * np.cos(2.0 * x[0])
    J[0, 1] = 3.0 * x[1] ** 2 - 1.0
    J[1, 0] = x[1] + 0.5
    J[1, 1] = 1.01 * x[0]


def forgotten(x, J):
    J[0, 0] = 2.0 * np.cos(2.0 * x[0])
    J[0, 1] = 3.0 * x[1] ** 2 - 1.0
    J[1, 0] = x[1] + 0.5


def fit(function, jacobian, p=2, q=2, bounds=BOX, **options):
    f = fi.forward(n_inputs=p, n_outputs=q, jacobian=jacobian)(function)
    return fi.NearestSolver(f, bounds=bounds, n_anchors=50, random_state=0, **options).fit()


@pytest.mark.parametrize("jacobian", [negated, transposed, zero, one_wrong, forgotten])
def test_wrong_ones(jacobian):
    with pytest.raises(ValueError, match="jacobian of swirl must be the derivative of f: at x = "):
        fit(swirl, jacobian)


def test_the_right_one():
    fit(swirl, right)
    fit(swirl, right, bounds=[(0.3, 0.3 + 1e-7)] * 2)
    f = fi.forward(n_inputs=2, n_outputs=2, jacobian=right)(swirl)
    fi.NearestSolver(f).fit(np.random.default_rng(0).normal(size=(20, 2)))


def test_the_message_names_the_place_the_entry_and_both_numbers():
    with pytest.raises(ValueError, match=r"J\[1, 1\] is .*, but differences of f give ") as refusal:
        fit(swirl, one_wrong)
    text = str(refusal.value)
    x = [float(number) for number in text.split("x = (")[1].split(")")[0].split(",")]
    declared = float(text.split("J[1, 1] is ")[1].split(",")[0])
    assert declared == pytest.approx(1.01 * x[0], rel=1e-4)
    assert float(text.split("differences of f give ")[1]) == pytest.approx(x[0], rel=1e-4)


def swirl_of_rows(X):
    return np.stack(
        [np.sin(2.0 * X[:, 0]) + X[:, 1] ** 3 - X[:, 1], X[:, 0] * X[:, 1] + 0.5 * X[:, 0]], axis=1
    )


def right_of_rows(X):
    J = np.empty((len(X), 2, 2))
    for x, one in zip(X, J, strict=True):
        right(x, one)
    return J


def test_derivatives_of_callables():
    for jacobian, wrong in (
        (right_of_rows, False),
        (lambda X: -right_of_rows(X), True),
        (lambda X: right_of_rows(X).swapaxes(1, 2), True),
        (lambda X: 0.0 * right_of_rows(X), True),
    ):
        f = fi.CallableFunction(swirl_of_rows, 2, 2, jacobian=jacobian)
        solver = fi.NearestSolver(f, bounds=BOX, n_anchors=50, random_state=0)
        if wrong:
            with pytest.raises(ValueError, match="jacobian of swirl_of_rows must be"):
                solver.fit()
        else:
            solver.fit()


def absolute(x, y):
    y[0] = abs(x[0]) + max(x[1], 0.0)


def of_absolute(x, J):
    J[0, 0] = 1.0 if x[0] > 0 else -1.0
    J[0, 1] = 1.0 if x[1] > 0 else 0.0


def not_of_absolute(x, J):
    J[0, 0] = 1.0
    J[0, 1] = 0.5


def test_kinks():
    fit(absolute, of_absolute, q=1)
    grid = np.stack(np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]), axis=-1).reshape(-1, 2)
    for x in (grid, np.zeros((1, 2)), grid + 1e-9):
        f = fi.forward(n_inputs=2, n_outputs=1, jacobian=of_absolute)(absolute)
        fi.NearestSolver(f, n_candidates=1).fit(x)
    with pytest.raises(ValueError, match="jacobian of absolute"):
        fit(absolute, not_of_absolute, q=1)


def stairs(x, y):
    y[0] = np.floor(32768.0 * x[0]) / 32768.0  # 16 bits from -1 to 1


def of_the_line(x, J):
    J[0, 0] = 1.0


def single(x, y):
    y[0] = np.float32(x[0])


def against_the_line(x, J):
    J[0, 0] = -1.0


@pytest.mark.parametrize("function", [stairs, single])
def test_f_in_stairs_may_have_the_derivative_of_what_it_approximates(function):
    fit(function, of_the_line, 1, 1, [(-1.0, 1.0)])
    for wrong in (against_the_line, zero):
        with pytest.raises(ValueError, match=f"jacobian of {function.__name__}"):
            fit(function, wrong, 1, 1, [(-1.0, 1.0)])


def steep(x, y):
    y[0] = np.exp(50.0 * x[0])


def of_steep(x, J):
    J[0, 0] = 50.0 * np.exp(50.0 * x[0])


def flat(x, y):
    y[0] = np.tanh(30.0 * x[0])


def of_flat(x, J):
    J[0, 0] = 30.0 / np.cosh(30.0 * x[0]) ** 2


def fast(x, y):
    y[0] = np.sin(1e6 * x[0])


def of_fast(x, J):
    J[0, 0] = 1e6 * np.cos(1e6 * x[0])


def far(x, y):
    y[0] = (x[0] - 1e6) ** 2


def of_far(x, J):
    J[0, 0] = 2.0 * (x[0] - 1e6)


def part(x, y):
    y[0] = np.sqrt(x[0])


def of_part(x, J):
    J[0, 0] = 0.5 / np.sqrt(x[0])


@pytest.mark.parametrize(
    ("function", "jacobian", "bounds", "tells"),
    [
        (steep, of_steep, (-1.0, 1.0), True),
        (flat, of_flat, (-1.0, 1.0), True),
        (fast, of_fast, (-1.0, 1.0), False),
        (far, of_far, (1e6 - 1, 1e6 + 1), True),
        (part, of_part, (-1.0, 1.0), True),
        (part, of_part, (0.0, 1e-12), True),
    ],
)
def test_functions_that_are_hard_to_differentiate(function, jacobian, bounds, tells):
    f = fi.forward(n_inputs=1, n_outputs=1, jacobian=jacobian)(function)
    for seed in range(10):
        fi.NearestSolver(f, bounds=[bounds], n_anchors=30, random_state=seed).fit()
    if tells:
        with pytest.raises(ValueError, match="jacobian of "):
            fit(function, zero, 1, 1, [bounds])


@settings(max_examples=6, deadline=None)  # each compiles two functions
@given(r=st.integers(-40, 40), s=st.integers(-60, 60), wrong=st.booleans())
def test_units_do_not_matter(r, s, wrong):
    unit_x, unit_y = 2.0**r, 2.0**s

    def rows(x, y):
        y[0] = unit_y * np.sin(x[0] / unit_x) * x[1]

    def jacobian(x, J):
        J[0, 0] = unit_y / unit_x * np.cos(x[0] / unit_x) * x[1]
        J[0, 1] = (1.1 if wrong else 1.0) * unit_y * np.sin(x[0] / unit_x)

    bounds = [(-unit_x, unit_x), (-1.0, 1.0)]
    if wrong:
        with pytest.raises(ValueError, match=r"J\[0, 1\]"):
            fit(rows, jacobian, 2, 1, bounds)
    else:
        fit(rows, jacobian, 2, 1, bounds)


def rows_of(function, shape):
    """A function of one x as one of many rows."""

    def of_rows(X):
        out = np.full((len(X), *shape), np.nan)
        for x, y in zip(X, out, strict=True):
            function(x, y)
        return out

    return of_rows


@pytest.mark.parametrize("wrong", [negated, transposed, zero, one_wrong])
def test_that_of_a_callable_is_looked_at_too(wrong):
    for jacobian in (right, wrong):
        f = fi.CallableFunction(rows_of(swirl, (2,)), 2, 2, jacobian=rows_of(jacobian, (2, 2)))
        solver = fi.NearestSolver(f, bounds=BOX, n_anchors=50, random_state=0)
        if jacobian is right:
            assert (solver.fit().solve_all([0.1, 0.2]).count > 0).all()
        else:
            with pytest.raises(ValueError, match="jacobian of of_rows must be the derivative of f"):
                solver.fit()
