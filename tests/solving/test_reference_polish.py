"""The reference polish takes many starts side by side, and each goes its own way."""

from dataclasses import fields

import numpy as np
import pytest
from chains import REFERENCE, Setup, assert_same_bits, code_of, polished_setup
from hypothesis import given, settings
from hypothesis import strategies as st

from fastinv.backends.reference.function import Derivatives
from fastinv.backends.reference.polish import EVALUATIONS, SOLVED, STATIONARY, Polish
from fastinv.functions import NetworkCode, NetworkSpec


def random_polish(seed, p, q, *, kind, cap, lower=-1.0, upper=1.0, periods=np.inf):
    """Of an f that is undefined in a part of its box, by differences, its Jacobian or a network."""
    rng = np.random.default_rng([62, seed])
    a, b = rng.normal(size=(q, p)), rng.normal(size=(q, p))
    if kind == "network":
        net = NetworkSpec((p, 9, q), "tanh")
        function = NetworkCode(
            net, rng.normal(size=net.n_parameters).astype(np.float32), np.zeros(p), np.ones(p),
            np.zeros(q), np.ones(q),
        )  # fmt: skip
    else:

        def f(x):
            return a @ x + b @ np.sin(3 * x) + np.sqrt(x[0] + 0.9)

        def jacobian(x):
            slopes = a + 3 * b * np.cos(3 * x)
            slopes[:, 0] += 0.5 / np.sqrt(x[0] + 0.9)
            return slopes

        function = code_of(f, p, q, jacobian if kind == "jacobian" else None)
    setup = Setup(np.zeros((1, p)), np.zeros((1, q)), function, lower=lower, upper=upper,
                  periods=periods, max_evaluations=cap)  # fmt: skip
    return Polish(setup.problem, setup.options)


def assert_same_ends(found, wanted, rows):
    for field in fields(wanted):
        one, other = getattr(found, field.name), getattr(wanted, field.name)[rows]
        assert one.tobytes() == other.tobytes(), field.name


def ends_of(polish, targets, x):
    with np.errstate(invalid="ignore"):
        images = Derivatives(polish._problem).values(x)
    return polish.run(targets, x, images)


@settings(max_examples=80, deadline=None)
@given(
    shape=st.sampled_from([(1, 1), (2, 2), (3, 2), (2, 3), (7, 7), (1, 7), (9, 1), (5, 3)]),
    kind=st.sampled_from(["differences", "jacobian", "network"]),
    cap=st.sampled_from([1, 7, 33, 400]),
    n=st.sampled_from([2, 3, 7, 33]),
    spoiled=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_one_start_alone_has_the_bits_it_has_among_many(shape, kind, cap, n, spoiled, seed):
    p, q = shape
    polish = random_polish(seed, p, q, kind=kind, cap=cap)
    rng = np.random.default_rng([63, seed])
    x = rng.uniform(-1, 1, size=(n, p))
    x[rng.random((n, p)) < 0.1] = 1.0  # on a bound
    targets = 2 * rng.normal(size=(n, q))
    if spoiled:
        targets[rng.integers(n), rng.integers(q)] = rng.choice([np.nan, np.inf, -np.inf])
        x[rng.integers(n), 0] = np.nan
    together = ends_of(polish, targets, x)
    for i in range(min(n, 5)):
        rows = slice(i, i + 1)
        assert_same_ends(ends_of(polish, targets[rows], x[rows]), together, rows)
    order = rng.permutation(n)
    assert_same_ends(ends_of(polish, targets[order], x[order]), together, order)
    some = np.sort(order[: n // 2])
    assert_same_ends(ends_of(polish, targets[some], x[some]), together, some)


@pytest.mark.parametrize("kind", ["differences", "jacobian", "network"])
def test_rows_that_cannot_move_stay_and_cost_nothing(kind):
    polish = random_polish(1, 2, 2, kind=kind, cap=400)
    rng = np.random.default_rng(64)
    x, targets = rng.uniform(-0.8, 0.8, size=(6, 2)), rng.normal(size=(6, 2))
    x[1, 0], targets[3, 1], targets[4, 0] = np.nan, np.inf, np.nan
    ends = ends_of(polish, targets, x)
    stays = np.array([False, True, False, True, True, False])
    np.testing.assert_array_equal(ends.x[stays], x[stays])
    assert (ends.end[stays] == STATIONARY).all()
    assert (ends.n_evaluations == 0).tolist() == stays.tolist()
    assert (ends.first_step[stays] == 0).all()
    assert (ends.later_steps[stays][1:] == 0).all()
    assert np.isfinite(ends.residual).tolist() == (~stays).tolist()


def test_every_start_ends_for_its_own_reason():
    """One is there already, one gets there, one cannot, and one is cut short."""
    cube = code_of(lambda x: x**3, 1, 1, jacobian=lambda x: 3 * x**2)
    setup = Setup(np.zeros((1, 1)), np.zeros((1, 1)), cube, lower=-2.0, upper=2.0,
                  max_evaluations=12)  # fmt: skip
    targets, x = np.array([[1.0], [1.331], [27.0], [-1.0]]), np.array([[1.0], [1.0], [1.0], [1.9]])
    polish = Polish(setup.problem, setup.options)
    ends = ends_of(polish, targets, x)
    assert ends.end.tolist() == [SOLVED, SOLVED, STATIONARY, EVALUATIONS]
    assert ends.n_evaluations[0] == 0
    np.testing.assert_allclose(ends.x[1:3, 0], [1.1, 2.0], atol=1e-12)
    assert ends.n_evaluations[3] >= 12
    alone = [ends_of(polish, targets[i : i + 1], x[i : i + 1]) for i in range(4)]
    for i in range(4):
        assert_same_ends(alone[i], ends, slice(i, i + 1))


def test_no_starts():
    polish = random_polish(0, 2, 3, kind="differences", cap=10)
    ends = ends_of(polish, np.empty((0, 3)), np.empty((0, 2)))
    assert ends.x.shape == (0, 2)
    assert ends.end.dtype == np.int8


def test_a_target_among_others_has_the_solutions_it_has_alone():
    """The same of the search: every anchor is a start there."""
    setup = polished_setup(n_anchors=20)
    targets = setup.anchors_y[:5] + 0.01
    targets[2, 0] = np.nan
    search = setup.search(REFERENCE)
    found = search.solve_all(setup.goal(targets), k=5, n_starts=1)
    for row in range(5):
        rows = slice(row, row + 1)
        alone = search.solve_all(setup.goal(targets[row]), k=5, n_starts=1)
        assert_same_bits(alone.ranked, found.ranked, rows)
        assert (alone.n_found, alone.ended) == (found.n_found[row], found.ended[row])
