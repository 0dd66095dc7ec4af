"""Statuses: the values that native results carry are those of the enumeration."""

import numpy as np
import pytest
from chains import BACKENDS, folded, polished_setup
from parabola import parabola, rank_residuals

import fastinv as fi
from fastinv import _core
from fastinv.backends import CandidateFlag
from fastinv.functions import Status

NAMES = ["CONVERGED", "APPROXIMATE", "EXTRAPOLATED", "OUT_OF_BOUNDS", "UNREACHABLE", "INVALID"]

by_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())


def names_of(status):
    return [Status(value).name for value in np.ravel(status)]


def test_names_values_and_messages():
    assert [status.name for status in Status] == NAMES
    assert [int(status) for status in Status] == list(range(6))
    assert len({status.description for status in Status}) == 6
    assert Status(3) is Status.OUT_OF_BOUNDS
    assert fi.Status is Status
    with pytest.raises(ValueError, match="6 is not a valid Status"):
        Status(6)


@by_backend
def test_every_status_of_a_ranking(backend):
    flags = CandidateFlag
    near = rank_residuals(
        backend, [0.0, 1.0, 2.0, 3.0, np.nan], flags=[0, 0, flags.EXTRAPOLATED, flags.CLIPPED, 0]
    )
    assert near.status.dtype == np.int8
    assert names_of(near.status) == [n for n in NAMES if n != "UNREACHABLE"]
    far = rank_residuals(backend, [5.0], distance=9.0, coverage=1.0)
    assert names_of(far.status) == ["UNREACHABLE"]
    no_target = rank_residuals(backend, [1.0], target=np.nan)
    assert names_of(no_target.status) == ["INVALID"]


@by_backend
def test_every_status_of_a_search(backend):
    setup = parabola(lower=-3.0, upper=3.0, tol=1e-9)
    goal = setup.goal([4.0, -1.0, np.inf])
    found, count = setup.search(backend).solve_all(goal, k=3, n_starts=7)
    assert count.tolist() == [2, 0, 0]
    assert found.status.dtype == np.int8
    assert names_of(found.status) == [
        *["CONVERGED", "CONVERGED", "INVALID"],
        *["UNREACHABLE", "INVALID", "INVALID"],
        *["INVALID", "INVALID", "INVALID"],
    ]
    capped = parabola(lower=-3.0, upper=3.0, tol=1e-9, max_evaluations=1).search(backend)
    found, count = capped.solve_all(setup.goal([2.0]), k=1, n_starts=7)
    assert names_of(found.status) == ["APPROXIMATE"]


@by_backend
def test_every_status_of_a_path(backend):
    setup = parabola(lower=0.0, upper=3.0, tol=1e-9)
    goal = setup.goal([4.0, np.nan, 99.0, 4.41])
    track = setup.search(backend).solve_path(goal, np.array([2.0]), n_starts=7)
    assert track.status.dtype == np.int8
    assert names_of(track.status) == ["CONVERGED", "INVALID", "UNREACHABLE", "CONVERGED"]


@by_backend
def test_every_status_of_a_polished_chain(backend):
    setup = polished_setup()
    targets = folded(np.array([[0.5, 0.6], [1.05, 0.5], [9.0, 0.0]]))
    found = setup.solve(backend, targets, n_candidates=16, k=16)
    assert found.status[0, 0] == Status.CONVERGED
    assert Status.OUT_OF_BOUNDS in found.status[1]
    assert (found.status[2] == Status.UNREACHABLE).all()


def test_an_empty_solution_is_invalid():
    buffer = _core.SolutionBuffer(3, 2, 1)
    assert names_of(buffer.status) == ["INVALID"] * 3
