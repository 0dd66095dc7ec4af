"""A period that f does not have is refused by `fit`, in whatever units, and a true one is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinv as fi

TURN = 2 * np.pi


@fi.forward(n_inputs=2, n_outputs=2)
def arm(x, y):
    y[0] = np.cos(x[0]) + np.cos(x[0] + x[1])
    y[1] = np.sin(x[0]) + np.sin(x[0] + x[1])


@fi.forward(n_inputs=2, n_outputs=2)
def arm_in_degrees(x, y):
    a, b = np.deg2rad(x[0]), np.deg2rad(x[1])
    y[0] = np.cos(a) + np.cos(a + b)
    y[1] = np.sin(a) + np.sin(a + b)


def arm_in_python(X):
    a, b = X[:, 0], X[:, 0] + X[:, 1]
    return np.stack([np.cos(a) + np.cos(b), np.sin(a) + np.sin(b)], axis=1)


def fit(f, bounds, periods, **options):
    return fi.NearestSolver(f, bounds=bounds, periods=periods, n_anchors=50, random_state=0,
                            **options).fit()  # fmt: skip


@pytest.mark.parametrize("periods", [TURN, 180.0, 90.0, 360.001, [360.0, 359.0], [np.inf, 180.0]])
def test_wrong_periods_of_degrees(periods):
    with pytest.raises(ValueError, match=r"periods must be periods of arm_in_degrees, got "):
        fit(arm_in_degrees, [(-180.0, 180.0)] * 2, periods)


@pytest.mark.parametrize("periods", [360.0, 720.0, [360.0, np.inf], [np.inf, 360.0], np.inf])
def test_true_periods_of_degrees(periods):
    fit(arm_in_degrees, [(-180.0, 180.0)] * 2, periods)
    fit(arm_in_degrees, [(-1e4, -9e3)] * 2, periods)  # far from 0 there is more rounding


@pytest.mark.parametrize("periods", [180.0, 1.0, np.pi, 6.28318, TURN * (1 + 1e-9)])
@pytest.mark.parametrize("f", [arm, arm_in_python])
def test_wrong_periods_of_radians(f, periods):
    bounds = [(-periods, periods)] * 2
    with pytest.raises(ValueError, match="periods must be periods"):
        fit(f, bounds, periods)


@pytest.mark.parametrize("f", [arm, arm_in_python])
def test_true_periods_of_radians(f):
    for bounds in ((-np.pi, np.pi), (0.0, 4 * np.pi), (-1.0, 1.0), (1e6, 1e6 + 7)):
        fit(f, [bounds] * 2, TURN)


def test_the_message_names_the_input_the_place_and_both_values():
    with pytest.raises(ValueError, match="got 180 for input 1") as refusal:
        fit(arm_in_degrees, [(-180.0, 180.0)] * 2, [360.0, 180.0])
    message = str(refusal.value)
    place, value, shifted = (
        np.array([float(number) for number in part.split(")")[0].split(",")])
        for part in message.split("x = (")[1:2] + message.split("f(x) is (")[1:2]
        + message.split("but (")[1:2]
    )  # fmt: skip
    np.testing.assert_allclose(arm_in_degrees(place), value, rtol=1e-6)
    moved = [arm_in_degrees(place + np.array([0.0, turn])) for turn in (-180.0, 180.0)]
    assert min(np.abs(image - shifted).max() for image in moved) < 1e-6


def test_a_bounded_input_is_checked_where_f_is_compiled():
    """Only distances are modulo it there, and those are wrong, too."""
    with pytest.raises(ValueError, match=r"got 6\.28318531 for input 0"):
        fit(arm_in_degrees, [(-3.0, 3.0)] * 2, TURN)
    calls = []

    def inside_only(X):
        calls.append(X)
        return arm_in_python(X)

    fit(inside_only, [(-1.0, 1.0)] * 2, 5.0)
    assert all((np.abs(X) <= 1.0).all() for X in calls)


def test_f_that_has_no_values_beyond_its_bounds_has_no_period():
    @fi.forward(n_inputs=1, n_outputs=1)
    def sine_inside(x, y):
        if abs(x[0]) <= np.pi:
            y[0] = np.sin(x[0])

    with pytest.raises(ValueError, match=r"periods must be periods of sine_inside.*\(nan\)"):
        fit(sine_inside, [(-np.pi, np.pi)], TURN)
    fit(sine_inside, [(-3.0, 3.0)], TURN)  # never asked for beyond them
    fit(sine_inside, [(-np.pi, np.pi)], None)


def test_f_that_is_undefined_in_places_keeps_its_period():
    @fi.forward(n_inputs=1, n_outputs=1)
    def root(x, y):
        y[0] = np.sqrt(np.sin(x[0]))

    fit(root, [(-np.pi, np.pi)], TURN)
    with pytest.raises(ValueError, match="periods must be periods of root"):
        fit(root, [(-np.pi, np.pi)], 6.0)


def test_jumps_and_rounding_are_no_contradiction():
    @fi.forward(n_inputs=1, n_outputs=1)
    def sawtooth(x, y):
        y[0] = x[0] % 1.0

    @fi.forward(n_inputs=1, n_outputs=1)
    def cancelling(x, y):
        y[0] = (np.cos(x[0]) + 1e8) - 1e8

    @fi.forward(n_inputs=1, n_outputs=1)
    def single(x, y):
        y[0] = np.float32(np.cos(x[0]))

    @fi.forward(n_inputs=1, n_outputs=1)
    def fast(x, y):
        y[0] = np.sin(1e5 * x[0])

    fit(sawtooth, [(0.0, 1.0)], 1.0)
    fi.NearestSolver(sawtooth, bounds=[(0.0, 1.0)], periods=1.0).fit(np.linspace(0, 1, 21)[:, None])
    for f in (cancelling, single, fast):
        for seed in range(5):
            fi.NearestSolver(
                f, bounds=[(-np.pi, np.pi)], periods=TURN, n_anchors=20, random_state=seed
            ).fit()
        with pytest.raises(ValueError, match="periods must be"):
            fit(f, [(-np.pi, np.pi)], 2.5)


@settings(max_examples=25, deadline=None)
@given(unit_x=st.integers(-40, 40), unit_y=st.integers(-60, 60), base=st.sampled_from([2.0, 10.0]))
def test_units_do_not_matter(unit_x, unit_y, base):
    r, s = base ** (unit_x / 4 if base == 10.0 else unit_x), base ** (unit_y / 4)

    def f(X):
        return s * arm_in_python(X / r)

    bounds = [(-np.pi * r, np.pi * r)] * 2
    fit(f, bounds, TURN * r)
    with pytest.raises(ValueError, match="periods must be periods"):
        fit(f, bounds, 0.5 * TURN * r)


def test_learned_functions_are_left_alone():
    X = np.random.default_rng(0).uniform(-180.0, 180.0, size=(60, 2))
    network = fi.MLPRegressor((8,), max_iter=5, learning_rate="cosine", random_state=0)
    fi.NearestSolver(network, periods=TURN).fit(X, arm_in_degrees(X))


def test_every_solver_checks():
    network = {"hidden_layer_sizes": (4,), "max_iter": 1}
    for solver in (
        fi.TwinSolver(arm, network=fi.TwinNetwork(**network)),
        fi.DirectSolver(arm, network=fi.MLPRegressor(**network)),
        fi.MixtureSolver(arm, density=fi.MixtureDensityNetwork(2, **network)),
    ):
        solver.set_params(bounds=[(-np.pi, np.pi)] * 2, periods=3.0)
        with pytest.raises(ValueError, match="periods must be periods of arm, got 3 for input 0"):
            solver.fit()
