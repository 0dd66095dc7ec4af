"""A polish near multiple roots: steps that shrink by a constant ratio are summed up at once."""

import numpy as np
import pytest
from chains import BACKENDS, CPP, REFERENCE, Setup

import fastinv as fi
from fastinv.backends.reference import polish

by_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())


@fi.forward(n_inputs=1, n_outputs=1)
def ninth(x, y):
    y[0] = x[0] ** 9


@fi.forward(n_inputs=2, n_outputs=2)
def two_powers(x, y):
    """A root of order 5 along one input, of order 1 along the other."""
    y[0] = x[0] ** 5 + x[1]
    y[1] = x[1] * (1.0 + x[0])


def polished(backend, f, starts, cap=2000, **changes):
    starts = np.array(starts, dtype=float).reshape(-1, f.n_inputs)
    given = {"lower": -2.0, "upper": 2.0, "max_evaluations": cap} | changes
    setup = Setup(starts, f(starts), f, **given)
    goal = setup.goal(np.zeros((len(starts), f.n_outputs)))
    return setup.search(backend).polish(goal, starts)


@pytest.fixture
def plain_steps(monkeypatch):
    """The evaluations that the reference needs from the same starts without sums of steps."""
    starts = [0.9, -1.3, 0.4]
    monkeypatch.setattr(polish, "_LARGEST_RATIO", 0.0)
    ends = polished(REFERENCE, ninth, starts)
    monkeypatch.undo()
    return starts, ends


@by_backend
def test_a_root_of_order_nine_takes_few_evaluations(backend, plain_steps):
    starts, plain = plain_steps
    found = polished(backend, ninth, starts)
    assert (found.residual <= plain.residual + 1e-30).all()
    assert (np.abs(found.x) < 1e-3).all()
    assert (found.n_evaluations < 0.5 * plain.n_evaluations).all()


@by_backend
def test_a_multiple_root_along_one_input_only(backend):
    found = polished(backend, two_powers, [[0.8, 0.3], [-0.5, -0.7]])
    assert (found.residual < 1e-11).all()
    assert (np.abs(found.x[:, 0]) < 5e-3).all()


@by_backend
def test_it_never_goes_away_from_the_target_nor_outside(backend):
    """Wherever it starts, and however the bounds cut the way."""
    rng = np.random.default_rng(90)
    for lower in (-2.0, -1e-3, 0.0):
        starts = rng.uniform(lower, 2.0, size=(33, 1))
        for cap in (1, 7, 33, 400):
            found = polished(backend, ninth, starts, cap, lower=lower)
            assert (found.residual <= np.abs(ninth(starts))[:, 0]).all()
            assert ((found.x >= lower) & (found.x <= 2.0)).all()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_all_instruction_sets_take_the_same_way(n_threads):
    starts = np.random.default_rng(91).uniform(-2.0, 2.0, size=(33, 2))
    setup = Setup(starts, two_powers(starts), two_powers, lower=-2.0, upper=2.0)
    goal = setup.goal(np.zeros((33, 2)))
    first = setup.search(CPP["baseline"]).polish(goal, starts)
    for backend in CPP.values():
        found = setup.search(backend).polish(goal, starts, n_threads=n_threads)
        for one, other in zip(found, first, strict=True):
            assert one.tobytes() == other.tobytes()
