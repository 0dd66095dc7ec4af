"""The mixture solver: every branch, ranked like any solver's, corrected, and as a posterior."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from residuals import residuals
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastinv as fi
from fastinv.solvers.mixture import MixtureSolver

SEED = 4711
WAVE, ARM, CUBIC = fi.problems.wave, fi.problems.two_link_arm, fi.problems.cubic


@pytest.fixture(scope="module")
def cubic():
    solver = MixtureSolver(CUBIC.forward, bounds=CUBIC.bounds, n_anchors=2000, random_state=0)
    return solver.set_params(density__max_iter=100).fit()


def test_modes_are_near_every_preimage(cubic):
    targets = np.linspace(-0.3, 0.3, 7)
    found = cubic.solve(targets, k=10)
    assert found.x.shape == (7, 10, 1)
    for i, exact in enumerate(CUBIC.preimages(targets)):
        assert len(exact) == 3
        # All three are exact, hence in the order of their coordinates.
        np.testing.assert_allclose(found.x[i, :3], np.sort(exact, axis=0), atol=1e-9)
    images = CUBIC.forward(found.x.reshape(-1, 1)).reshape(7, 10, 1)
    exact_residual = residuals(cubic, images, targets[:, None, None])
    np.testing.assert_allclose(found.residual, exact_residual, atol=1e-12)
    # Other modes led to the same solutions, which stand behind the three.
    for i in range(7):
        copies = np.abs(found.x[i, 3:] - found.x[i, :3, 0]).min(axis=1)
        assert (copies < 1e-9).all()
    assert (found.anchor == -1).all()


def test_statuses_are_those_of_every_solver(cubic):
    found = cubic.solve([0.0, np.nan, 1e3, np.inf])
    assert found.status[0, 0] in (fi.Status.CONVERGED, fi.Status.APPROXIMATE)
    assert (found.status[[1, 3]] == fi.Status.INVALID).all()
    assert (found.status[2] == fi.Status.UNREACHABLE).all()
    assert (np.abs(found.x[[0, 2]]) <= 2.0).all()
    np.testing.assert_array_equal(found[0].x, cubic.solve(0.0).x)
    assert cubic.solve(np.empty((0, 1))).x.shape == (0, 5, 1)


def test_a_target_gets_the_same_in_any_batch(cubic):
    targets = np.random.default_rng(SEED).uniform(-1.0, 1.0, 33)
    together = cubic.solve(targets, k=8)
    for i in (0, 7, 32):
        np.testing.assert_array_equal(cubic.solve(targets[i], k=8).x[0], together.x[i])
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(cubic)).solve(targets, k=8).x, together.x
    )


def test_targets_are_solved_in_blocks_to_the_same_bits(cubic, monkeypatch):
    targets = np.random.default_rng(SEED).uniform(-1.0, 1.0, 33)
    targets[5] = np.nan
    near = np.random.default_rng(SEED).uniform(-2.0, 2.0, (33, 1))
    whole = cubic.solve(targets, near=near)
    monkeypatch.setattr("fastinv.solvers.mixture._TARGETS_AT_ONCE", 7)
    monkeypatch.setattr("fastinv.mixture.modes._FLOPS_AT_ONCE", 1e5)
    blocks = cubic.solve(targets, near=near, out=cubic.solve(targets))
    for name in ("x", "residual", "anchor", "status"):
        np.testing.assert_array_equal(getattr(blocks, name), getattr(whole, name))
    assert (blocks.status[5] == fi.Status.INVALID).all()


def test_near_prefers_converged_solutions_near_a_state():
    solver = MixtureSolver(CUBIC.forward, bounds=CUBIC.bounds, residual_tol=0.1, random_state=0)
    solver.set_params(density__max_iter=60).fit()
    for state in (-1.0, 0.0, 1.0):
        assert abs(solver.solve(0.0, k=10, near=[state]).best[0, 0] - state) < 0.25


def test_corrector_lowers_residuals_and_never_raises_one(cubic):
    twin = fi.TwinSolver(network=fi.TwinNetwork(max_iter=20), random_state=0)
    alone = clone(cubic).set_params(refine=False).fit()
    hybrid = clone(alone).set_params(corrector=twin).fit()
    targets = np.random.default_rng(SEED).uniform(-1.0, 1.0, 100)
    corrected = hybrid.solve(targets)
    # Both have the same proposals, of which none has become worse: nor has the best, or the next.
    before = np.sort(alone.solve(targets).residual)
    after = np.sort(corrected.residual)
    assert (after <= before).all()
    assert np.median(after[:, 0]) < 0.2 * np.median(before[:, 0])
    # One that is fitted is used as it is.
    trained = hybrid.corrector_
    hybrid.set_params(corrector=trained).fit()
    assert hybrid.corrector_ is trained
    np.testing.assert_array_equal(hybrid.solve(targets).x, corrected.x)


def test_from_data_alone_f_is_learned_once():
    x, y = WAVE.sample(300, random_state=SEED, noise=0.0)
    twin = fi.TwinSolver(network=fi.TwinNetwork(max_iter=5), random_state=0)
    solver = MixtureSolver(corrector=twin, random_state=0)
    solver.set_params(density__max_iter=60).fit(x, y)
    assert solver.corrector_.forward_ is solver.forward_
    assert solver.predict(x).shape == y.shape
    assert np.median(solver.solve([0.2, 0.8]).residual[:, 0]) < 0.05


def test_posterior(cubic):
    x = np.linspace(-2.5, 2.5, 4001)
    density = np.exp(cubic.log_prob(x[:, None], np.zeros(4001)))
    assert abs(np.trapezoid(density, x) - 1.0) < 1e-2
    samples = cubic.sample([0.0, 1.0], 400, random_state=1)
    assert samples.shape == (2, 400, 1)
    np.testing.assert_array_equal(samples, cubic.sample([0.0, 1.0], 400, random_state=1))
    for branch in (-1.0, 0.0, 1.0):
        assert np.mean(np.abs(samples[0] - branch) < 0.3) > 0.05
    only_samples = clone(cubic).set_params(propose="samples").fit()
    assert np.median(only_samples.solve(0.0, k=50).residual) < 0.5


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"propose": "means"}, ValueError, "propose must be one of"),
        ({"n_candidates": 0}, ValueError, "n_candidates must be positive"),
        ({"corrector": fi.NearestSolver()}, TypeError, "corrector must be a TwinSolver or None"),
    ],
)
def test_refuses(change, error, message):
    solver = MixtureSolver(CUBIC.forward, bounds=CUBIC.bounds, n_anchors=50)
    with pytest.raises(error, match=message):
        solver.set_params(**change).fit()
    with pytest.raises(NotFittedError):
        solver.solve(0.0)


def test_refuses_in_use(cubic):
    with pytest.raises(ValueError, match=r"X must have shape \(2, 1\), a row for each target"):
        cubic.log_prob([[0.0]], [0.0, 1.0])
    with pytest.raises(ValueError, match="k must be positive"):
        cubic.solve(0.0, k=0)
    with pytest.raises(NotFittedError):
        MixtureSolver().posterior(0.0)


def test_every_branch_of_the_arm():
    """Modes within 0.1 rad of each exact solution, for held-out targets."""
    solver = MixtureSolver(
        ARM.forward,
        bounds=ARM.bounds,
        n_anchors=10000,
        density=fi.MixtureDensityNetwork(20, hidden_layer_sizes=(128, 128), activation="tanh"),
        random_state=0,
    ).fit()
    _, targets = ARM.sample(200, random_state=1)
    modes = solver.posterior(targets).modes()
    farthest = [
        np.nanmin(np.linalg.norm(exact[:, None] - x, axis=2), axis=1).max()
        for exact, x in zip(ARM.preimages(targets), modes.x, strict=True)
    ]
    assert np.mean(np.array(farthest) <= 0.1) >= 0.99
