"""Whether there is a root near a point and how sharply f determines it: compiled code against the
reference, and both against what is known of simple functions."""

import numpy as np
import pytest
from chains import BACKENDS, CPP, REFERENCE, Setup, assert_same_bits

import fastinv as fi
from fastinv.functions import CallableFunction

EPSILON = float(np.finfo(float).eps)
by_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())


@fi.forward(n_inputs=1, n_outputs=1)
def line(x, y):
    y[0] = 2.0 * x[0]


@fi.forward(n_inputs=1, n_outputs=1)
def parabola(x, y):
    y[0] = x[0] * x[0]


@fi.forward(n_inputs=1, n_outputs=1)
def cubic(x, y):
    y[0] = x[0] * x[0] * x[0]


@fi.forward(n_inputs=1, n_outputs=1)
def expanded_fifth(x, y):
    """(x - 1)⁵, of which differences of large terms leave little but rounding."""
    z = x[0]
    y[0] = z**5 - 5 * z**4 + 10 * z**3 - 10 * z**2 + 5 * z - 1


@fi.forward(n_inputs=1, n_outputs=1)
def lost_digits(x, y):
    """sin(3 x), but for eight digits."""
    y[0] = (1e8 + np.sin(3.0 * x[0])) - 1e8


@fi.forward(n_inputs=2, n_outputs=2)
def fold(x, y):
    y[0] = x[0] * x[0] + 0.3 * x[1]
    y[1] = x[1] - 0.2 * x[0] * x[0]


def fold_in(unit):
    @fi.forward(n_inputs=2, n_outputs=2)
    def in_units(x, y):
        a, b = x[0] / unit, x[1] / unit
        y[0] = unit * (a * a + 0.3 * b)
        y[1] = unit * (b - 0.2 * a * a)

    return in_units


@fi.forward(n_inputs=1, n_outputs=3)
def curve(x, y):
    y[0] = np.cos(x[0])
    y[1] = np.sin(x[0])
    y[2] = x[0] * x[0]


@fi.forward(n_inputs=3, n_outputs=2)
def redundant(x, y):
    y[0] = x[0] + np.sin(x[1]) + x[2] * x[2]
    y[1] = x[1] - x[0] * x[2]


@fi.forward(n_inputs=2, n_outputs=1)
def bowl(x, y):
    """One root of f = 0, and circles of all others."""
    y[0] = x[0] * x[0] + x[1] * x[1]


@fi.forward(n_inputs=2, n_outputs=2)
def ridge(x, y):
    """Depends on a sum only: its roots fill lines."""
    s = x[0] + x[1]
    y[0] = np.sin(s)
    y[1] = s * s


@fi.forward(n_inputs=1, n_outputs=1)
def root_of_x(x, y):
    """Defined for x >= 0."""
    y[0] = np.sqrt(x[0])


def setup_of(f, lower=-2.0, upper=2.0, **changes):
    x = np.random.default_rng(80).uniform(max(lower, 0.0), upper, size=(5, f.n_inputs))
    given = {"lower": lower, "upper": upper, "root": True, "tol": 1e-3, "max_evaluations": 400}
    return Setup(x, f(x), f, **{**given, **changes})


def assess(backend, setup, targets, x, n_threads=1):
    x = np.array(x, dtype=float).reshape(-1, setup.p)
    return setup.search(backend).assess(setup.goal(targets), x, n_threads=n_threads)


def random_points(f, seed, n, lower=-2.0, upper=2.0):
    """Targets, and points at, near and far from their roots, some on bounds, some NaN."""
    rng = np.random.default_rng([81, seed])
    x = rng.uniform(lower, upper, size=(n, f.n_inputs))
    x[rng.random(x.shape) < 0.1] = upper
    x[rng.random(x.shape) < 0.1] = max(lower, 0.0)
    y = f(x) if n else np.empty((0, f.n_outputs))
    off = 10.0 ** rng.integers(-16, 0, size=(n, 1)) * rng.normal(size=x.shape)
    off[rng.random(n) < 0.4] = 0.0
    x = np.clip(x + off, lower, upper)
    y[rng.random(n) < 0.05] = np.nan
    x[rng.random(n) < 0.05] = np.nan
    return y, x


CASES = {
    f.__name__: (f, lower)
    for f, lower in [
        (line, -2.0), (parabola, -2.0), (cubic, -2.0), (expanded_fifth, -2.0), (lost_digits, -2.0),
        (fold, -2.0), (curve, -2.0), (redundant, -2.0), (bowl, -2.0),
        (root_of_x, 0.0),
    ]
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_against_the_reference(name):
    f, lower = CASES[name]
    for n, y_scale in [(0, 1.0), (1, 0.7), (7, 3.0), (33, 0.01), (33, 1.0)]:
        setup = setup_of(f, lower, y_scale=y_scale)
        targets, x = random_points(f, n, n, lower)
        exact = assess(REFERENCE, setup, targets, x)
        first = None
        for backend in CPP.values():
            for n_threads in (1, 2):
                found = assess(backend, setup, targets, x, n_threads)
                if first is None:
                    first = found
                assert_same_bits(found, first)
        np.testing.assert_array_equal(np.isinf(first.x_error), np.isinf(exact.x_error))
        np.testing.assert_array_equal(first.isolated, exact.isolated)
        # Radii grow by factors of four. Which is enough may hang on the last bit of a direction.
        several = setup.p > 1
        np.testing.assert_allclose(first.x_error, exact.x_error, rtol=3.0 if several else 1e-9)
        for row in range(min(n, 5)):
            rows = slice(row, row + 1)
            for backend, whole in [(REFERENCE, exact), (CPP["baseline"], first)]:
                assert_same_bits(assess(backend, setup, targets[rows], x[rows]), whole, rows)


@by_backend
@pytest.mark.parametrize(
    ("f", "x", "least", "most"),
    [
        (line, 0.7, 1e-16, 1e-14),
        (parabola, 1.3, 1e-16, 1e-14),
        (expanded_fifth, 1.9, 1e-16, 1e-12),
        (expanded_fifth, 1.0, 1e-4, 5e-2),  # any x so near to 1 gives rounding of its terms
        (lost_digits, 0.2, 1e-9, 1e-7),
    ],
)
def test_how_sharply_a_root_is_determined(backend, f, x, least, most):
    setup = setup_of(f)
    found = assess(backend, setup, f(np.array([[x]])), x)
    assert least <= found.x_error.item() <= most
    assert found.isolated.item()


@by_backend
def test_the_true_root_lies_within_the_radius(backend):
    """Of f = 2 x, x² and x³, from points that are as good as the root for f, and less good ones."""
    for f, root in [(line, 0.7), (parabola, 1.3), (parabola, 0.0), (cubic, 0.0), (cubic, -1.1)]:
        off = np.array([0.0, 1e-16, -1e-12, 1e-9, -1e-6, 1e-3])
        setup = setup_of(f)
        x = root + off
        found = assess(backend, setup, np.repeat(f(np.array([[root]])), 6, axis=0), x)
        shown = np.isfinite(found.x_error)
        assert shown[0]
        assert (np.abs(off) <= found.x_error + EPSILON)[shown].all()
        assert found.isolated[shown].all()


@by_backend
def test_no_root_is_shown_where_there_is_none(backend):
    """Below the parabola, at its vertex and beside it; far from roots; and what is not finite."""
    targets = [[-1e-9], [-1e-3], [-1e-3], [1.0], [np.nan], [1.0], [np.inf], [1.0]]
    x = [0.0, 0.0, 1e-3, 0.1, 1.0, np.nan, 1.0, np.inf]
    found = assess(backend, setup_of(parabola), targets, x)
    assert np.isinf(found.x_error).all()
    assert not found.isolated.any()
    assert found.isolated.dtype == bool


@by_backend
def test_members_of_sets_are_not_isolated(backend):
    found = assess(backend, setup_of(bowl), [[0.0], [1.0], [1.0]], [[0, 0], [1, 0], [0.6, 0.8]])
    assert found.isolated.tolist() == [True, False, False]
    x = np.array([[0.3, 0.4], [-0.2, 0.9], [0.7, 0.0]])
    found = assess(backend, setup_of(ridge), ridge(x), x)
    assert found.isolated.tolist() == [False] * 3
    assert np.isfinite(found.x_error).all()


@by_backend
def test_units_that_are_powers_of_two_change_no_bit(backend):
    """Neither those of x nor those of y."""
    x = np.array([[0.3, 0.4], [0.0, -0.2], [1e-9, 0.5], [0.1, 0.1]])
    y = fold(np.array([[0.3, 0.4], [0.0, -0.2], [0.0, 0.5], [0.9, 0.1]]))
    wanted = assess(backend, setup_of(fold), y, x)
    assert np.isfinite(wanted.x_error).tolist() == [True, True, True, False]
    for unit in (2.0**-40, 2.0**40):
        setup = setup_of(fold_in(unit), -2.0 * unit, 2.0 * unit, scale=unit, y_scale=unit)
        assert_same_bits(assess(backend, setup, unit * y, unit * x), wanted)


def test_f_is_never_evaluated_outside_the_bounds():
    seen = []

    def f(X):
        seen.append(X.copy())
        return X**2

    setup = setup_of(parabola, 0.0, 1.0)
    slow = Setup(setup.anchors_x, setup.anchors_y, CallableFunction(f, 1, 1), lower=0.0, upper=1.0)
    for backend in BACKENDS.values():
        assess(backend, slow, [[0.0], [1.0], [1e-20], [0.25]], [0.0, 1.0, 0.0, 0.5])
    everything = np.concatenate(seen)
    assert everything.min() >= 0.0
    assert everything.max() <= 1.0
