"""Units change nothing: by powers of two not a bit, by powers of ten nothing but rounding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scaled_formulas import arm, cubic, units, valley

import fastinv as fi

BOX = {arm: (-1.5, 1.5), cubic: (-2.0, 2.0), valley: (-1.0, 1.5)}
NETWORK = {"hidden_layer_sizes": (6,), "max_iter": 2}
REGRESSOR = {**NETWORK, "learning_rate": "cosine", "early_stopping": False}
SOLVERS = {
    "nearest": (fi.NearestSolver, {}),
    "plain": (fi.NearestSolver, {"refine": False}),
    "reference": (fi.NearestSolver, {"backend": "reference"}),
    "twin": (
        fi.TwinSolver,
        {"network": fi.TwinNetwork(**NETWORK), "pairs": fi.SolvedPairs(pairs_per_epoch=256)},
    ),
    "unpolished": (
        fi.TwinSolver,
        {
            "network": fi.TwinNetwork(**NETWORK),
            "pairs": fi.NearPairs(pairs_per_epoch=256),
            "refine": False,
        },
    ),
    "direct": (fi.DirectSolver, {"network": fi.MLPRegressor(**REGRESSOR)}),
    "mixture": (fi.MixtureSolver, {"density": fi.MixtureDensityNetwork(n_components=2, **NETWORK)}),
}
FEW = settings(max_examples=6, deadline=None, derandomize=True)


def exponents(p, limit):
    return st.lists(st.integers(-limit, limit), min_size=p, max_size=p).map(
        lambda values: np.array(values, dtype=float)
    )


def unit_targets(f):
    """A dozen that can be reached, three that cannot, one at a fold."""
    units()
    low, high = BOX[f]
    x = np.random.default_rng(4).uniform(low, high, (12, f.n_inputs))
    y = f(x)
    fold = {arm: [2.0, 0.0], cubic: [2 / 27**0.5], valley: [np.exp(-1.0)]}[f]
    return np.vstack([y, y[:3] - 9.0, [fold]]), x


def fitted(name, f, x_unit, y_unit, **more):
    """A solver of `f` in these units."""
    kind, options = SOLVERS[name]
    units(x_unit, y_unit)
    if kind is fi.NearestSolver or kind is fi.TwinSolver:
        options = {"n_anchors": 150, **options}
    bounds = np.array([BOX[f]] * f.n_inputs) * np.reshape(x_unit, (-1, 1))
    return kind(f, bounds=bounds, random_state=0, **options, **more).fit()


def assert_bits(found, plain, x_unit, y_unit):
    """`found` is `plain` in other units, bit by bit."""
    np.testing.assert_array_equal(found.status, plain.status)
    np.testing.assert_array_equal(found.x / x_unit, plain.x)
    np.testing.assert_array_equal(found.residual, plain.residual)
    for name in ("anchor", "count", "search_status", "isolated", "jumped", "x_error"):
        if getattr(plain, name, None) is not None:
            np.testing.assert_array_equal(getattr(found, name), getattr(plain, name), name)
    if hasattr(plain, "error"):
        np.testing.assert_array_equal(found.error / y_unit, plain.error)


def assert_close(found, plain, x_unit):
    """`found` is `plain` in other units, but for rounding."""
    np.testing.assert_array_equal(found.status, plain.status)
    if getattr(plain, "count", None) is not None:
        np.testing.assert_array_equal(found.count, plain.count)
        np.testing.assert_array_equal(found.search_status, plain.search_status)
    x_error = getattr(plain, "x_error", np.zeros(plain.status.shape))
    tolerance = 1e-9 + 8 * np.where(np.isfinite(x_error), x_error, 1e-3)
    gaps = np.abs(found.x / x_unit - plain.x).max(axis=-1)
    assert (gaps[np.isfinite(gaps)] <= tolerance[np.isfinite(gaps)]).all()


def complete(found):
    """`found` with what is computed when it is asked for, while f has its units."""
    if isinstance(found, fi.solutions.Solutions):
        assert found.error is not None
        assert found.x_error.shape == found.isolated.shape == found.status.shape
    return found


def answers(name, f, x_unit, y_unit):
    """What a solver in these units says: solve, with `near`, solve_all, solve_path."""
    y, x = unit_targets(f)
    solver = fitted(name, f, x_unit, y_unit)
    near = np.resize(x, (len(y), f.n_inputs)) * x_unit
    path = np.linspace(y[0], y[1], 7)
    yield complete(solver.solve(y * y_unit))
    yield complete(solver.solve(y * y_unit, near=near))
    yield complete(solver.solve_all(y * y_unit))
    yield complete(solver.solve_all(y * y_unit, near=near, within=1.0))
    yield solver.solve_path(path * y_unit, x[0] * x_unit)


@pytest.mark.parametrize("f", [arm, cubic, valley], ids=lambda f: f.name)
@pytest.mark.parametrize("name", ["nearest", "plain"])
def test_powers_of_two_change_no_bit(f, name):
    ones = np.ones(f.n_inputs), np.ones(f.n_outputs)
    plain = list(answers(name, f, *ones))

    @FEW
    @given(exponents(f.n_inputs, 40), exponents(f.n_outputs, 40))
    def check(ex, ey):
        x_unit, y_unit = 2.0**ex, 2.0**ey
        for found, wanted in zip(answers(name, f, x_unit, y_unit), plain, strict=True):
            assert_bits(found, wanted, x_unit, y_unit)

    check()


@pytest.mark.parametrize("name", ["twin", "unpolished", "direct", "mixture", "reference"])
def test_powers_of_two_change_no_bit_of_other_solvers(name):
    plain = list(answers(name, arm, np.ones(2), np.ones(2)))
    for ex, ey in (([40, -40], [-40, 40]), ([-7, 3], [11, 40])):
        x_unit, y_unit = np.exp2(ex), np.exp2(ey)
        for found, wanted in zip(answers(name, arm, x_unit, y_unit), plain, strict=True):
            assert_bits(found, wanted, x_unit, y_unit)


@pytest.mark.parametrize("f", [arm, cubic], ids=lambda f: f.name)
def test_powers_of_ten_change_rounding_only(f):
    ones = np.ones(f.n_inputs), np.ones(f.n_outputs)
    plain = list(answers("nearest", f, *ones))

    @FEW
    @given(exponents(f.n_inputs, 12), exponents(f.n_outputs, 12))
    def check(ex, ey):
        x_unit, y_unit = 10.0**ex, 10.0**ey
        for found, wanted in zip(answers("nearest", f, x_unit, y_unit), plain, strict=True):
            assert_close(found, wanted, x_unit)

    check()


@pytest.mark.parametrize("name", ["twin", "direct", "mixture"])
def test_powers_of_ten_change_rounding_only_for_other_solvers(name):
    plain = list(answers(name, arm, np.ones(2), np.ones(2)))
    x_unit, y_unit = np.array([1e12, 1e-12]), np.array([1e-12, 1e12])
    for found, wanted in list(zip(answers(name, arm, x_unit, y_unit), plain, strict=True))[2:4]:
        assert_close(found, wanted, x_unit)


@FEW
@given(exponents(2, 40), exponents(2, 40))
def test_periods_and_what_the_user_sets_have_units(ex, ey):
    """Periods, scales of y, tolerances in the units of y, and samples."""
    y, _ = unit_targets(arm)
    found = []
    for x_unit, y_unit in ((np.ones(2), np.ones(2)), (2.0**ex, 2.0**ey)):
        units(x_unit, y_unit)
        whole = np.array([[-np.pi, np.pi]] * 2) * x_unit[:, None]
        given_units = {"periods": 2 * np.pi * x_unit, "y_scale": np.array([0.5, 0.1]) * y_unit}
        solver = fi.NearestSolver(arm, bounds=whole, random_state=0, **given_units).fit()
        tolerance = np.array([1e-3, 1e-5]) * y_unit
        found.append(
            (
                complete(solver.solve_all(y * y_unit)),
                complete(solver.solve_all(y * y_unit, error_tol=tolerance)),
                complete(
                    solver.solve_all((y + np.array([2e-4, 0.0])) * y_unit, error_tol=tolerance)
                ),
            )
        )
    for one, other in zip(*found, strict=True):
        assert_bits(other, one, 2.0**ex, 2.0**ey)


@FEW
@given(exponents(2, 40), exponents(1, 40))
def test_samples_have_units(ex, ey):
    plain = fitted("nearest", valley, np.ones(2), np.ones(1)).sample_solutions(
        [1.2], 7, random_state=3
    )
    solver = fitted("nearest", valley, 2.0**ex, 2.0**ey)
    again = solver.sample_solutions([1.2 * 2.0 ** ey[0]], 7, random_state=3)
    np.testing.assert_array_equal(again / 2.0**ex, plain)


# From measured data.


def from_data(name, x_unit, y_unit):
    """A solver that learned f from 120 noisy pairs in these units."""
    units()
    rng = np.random.default_rng(8)
    X = rng.uniform(-1.5, 1.5, size=(120, 2))
    y = arm(X) + 0.01 * rng.standard_normal((120, 2))
    learned = fi.MLPRegressor(**REGRESSOR, random_state=0)
    if name == "distilled":
        solver = fi.NearestSolver(random_state=0)
    elif name == "nearest":
        solver = fi.NearestSolver(learned, random_state=0)
    else:
        network, pairs = fi.TwinNetwork(**NETWORK), fi.SolvedPairs(pairs_per_epoch=256)
        solver = fi.TwinSolver(learned, network=network, pairs=pairs, random_state=0, refine=True)
    return solver.fit(X * x_unit, y * y_unit), y[:9] * y_unit


@pytest.mark.parametrize("name", ["nearest", "twin", "distilled"])
def test_units_of_data_change_no_bit(name):
    solver, y = from_data(name, np.ones(2), np.ones(2))
    plain = solver.solve(y), solver.solve_all(y)
    for ex, ey in (([40, -40], [-40, 40]), ([3, 17], [-5, 2])):
        x_unit, y_unit = np.exp2(ex), np.exp2(ey)
        solver, y = from_data(name, x_unit, y_unit)
        assert_bits(solver.solve(y), plain[0], x_unit, y_unit)
        assert_bits(solver.solve_all(y), plain[1], x_unit, y_unit)
