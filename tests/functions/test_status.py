"""Statuses: the values that native results carry are those of the enumeration."""

import numpy as np
import pytest
from chains import BACKENDS, Setup, folded, polished_setup
from parabola import parabola, rank_residuals

import fastinv as fi
from fastinv import _core
from fastinv.backends import CandidateFlag
from fastinv.functions import SearchStatus, Status

NAMES = ["CONVERGED", "APPROXIMATE", "EXTRAPOLATED", "OUT_OF_BOUNDS", "UNREACHABLE", "INVALID"]

by_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())


@fi.forward(n_inputs=2, n_outputs=1)
def round_hill(x, y):
    y[0] = x[0] ** 2 + x[1] ** 2


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
    found, n_found, ended = setup.search(backend).solve_all(goal, k=3, n_starts=7)
    assert n_found.tolist() == [2, 0, 0]
    assert ended.dtype == np.int8
    assert [SearchStatus(value).name for value in ended] == ["ENDED", "ENDED", "INVALID"]
    cut = setup.search(backend).solve_all(goal, k=1, n_starts=7)
    assert cut.n_found.tolist() == [1, 0, 0]
    assert [SearchStatus(value).name for value in cut.ended] == ["CUT", "ENDED", "INVALID"]
    assert found.status.dtype == np.int8
    assert names_of(found.status) == [
        *["CONVERGED", "CONVERGED", "INVALID"],
        *["UNREACHABLE", "INVALID", "INVALID"],
        *["INVALID", "INVALID", "INVALID"],
    ]
    capped = parabola(lower=-3.0, upper=3.0, tol=1e-9, max_evaluations=1).search(backend)
    found = capped.solve_all(setup.goal([2.0]), k=1, n_starts=7).ranked
    assert names_of(found.status) == ["APPROXIMATE"]


@by_backend
def test_the_status_of_a_search_that_finds_a_set(backend):
    """The circle of radius 1/2: some members of it, each far from the others."""
    grid = np.linspace(-0.9, 0.9, 9)
    anchors_x = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    setup = Setup(anchors_x, round_hill(anchors_x), round_hill, lower=-1.0, upper=1.0, tol=1e-9)
    found = setup.search(backend).solve_all(setup.goal([0.25, 3.0]), k=9, n_starts=81)
    assert [SearchStatus(value).name for value in found.ended] == ["SET", "ENDED"]
    assert found.n_found[0] == 8
    x = found.ranked.x[0, :8]
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 0.5, atol=1e-12)
    gaps = np.linalg.norm(x[:, None] - x, axis=2)[~np.eye(8, dtype=bool)]
    assert gaps.min() >= 0.25
    assert found.n_found[1] == 0


def test_names_and_messages_of_searches():
    assert [status.name for status in SearchStatus] == ["ENDED", "CUT", "SET", "INVALID"]
    assert [int(status) for status in SearchStatus] == list(range(4))
    assert len({status.description for status in SearchStatus}) == 4
    assert fi.SearchStatus is SearchStatus


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
