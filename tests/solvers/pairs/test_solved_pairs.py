"""Training pairs that are solutions near anchors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinv as fi
from fastinv.backends import get_backend
from fastinv.functions.conversion import as_forward
from fastinv.solvers.pairs.radius import pair_radius
from fastinv.solvers.pairs.solved import PairRegion, targets_for
from fastinv.solvers.pairs.solved import solved_pairs as solved_pairs_of_anchors

ARM = fi.problems.two_link_arm
CPP = get_backend("cpp")
ONE_EPOCH = fi.TwinNetwork(max_iter=1)


def region_of(bounds, n_anchors):
    return PairRegion(bounds, pair_radius(bounds, n_anchors))


def solved_pairs(backend, forward, anchors, region, points):
    """For anchors that are not indexed yet."""
    return solved_pairs_of_anchors(backend, backend.anchors(*anchors), forward, region, points)


def pairs_of(problem, n_anchors, n_pairs, seed):
    rng = np.random.default_rng(seed)
    region = region_of(np.asarray(problem.bounds), n_anchors)
    x = region.uniform(n_anchors, rng)
    points = region.uniform(targets_for(n_pairs, n_anchors), rng)
    return solved_pairs(CPP, problem.forward, (x, problem.forward(x)), region, points)


@pytest.mark.parametrize("problem", [ARM, fi.problems.cubic, fi.problems.three_link_arm])
def test_most_pairs_are_solutions_near_their_anchors(problem):
    pairs = pairs_of(problem, 500, 4000, seed=7101)
    bounds = np.asarray(problem.bounds)
    assert ((bounds[:, 0] <= pairs.x) & (pairs.x <= bounds[:, 1])).all()
    assert (np.abs(pairs.x - pairs.x_anchor) <= 0.75 * np.ptp(bounds, axis=1)).all()
    np.testing.assert_array_equal(pairs.y_anchor, problem.forward(pairs.x_anchor))
    residual = np.linalg.norm(problem.forward(pairs.x) - pairs.y, axis=1)
    closer = np.linalg.norm(pairs.y_anchor - pairs.y, axis=1)
    assert np.median(residual) < 1e-3 * np.median(closer)
    assert np.mean(residual < 1e-3) > 0.97  # also across folds


def test_a_target_beyond_the_fold_of_an_anchors_branch():
    """x³ - x has a local maximum at -0.577, of 0.385: 0.4 is reached at 1.1597 only."""
    f = as_forward(lambda x: x**3 - x, 1, 1)
    x = np.array([[-0.6], [-0.577], [-0.5]])
    region = region_of(np.array([[-2.0, 2.0]]), 300)
    pairs = solved_pairs(CPP, f, (x, f(x)), region, np.array([[1.1597]]))
    np.testing.assert_allclose(pairs.x, 1.1597, atol=1e-6)
    np.testing.assert_allclose(np.sort(pairs.x_anchor, axis=0), x)


def test_few_anchors_and_few_pairs():
    pairs = pairs_of(ARM, 3, 7, seed=7102)
    assert len(pairs.x) <= 9
    first, rest = pairs.split(5)
    assert len(first.x) == min(5, len(pairs.x) // 2)
    assert len(first.x) + len(rest.x) == len(pairs.x)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), p=st.integers(1, 4), q=st.integers(1, 3))
def test_a_solution_is_no_farther_from_its_target_than_its_anchor(seed, p, q):
    """Whatever f is, also where it is not a number."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(p, q)) * 3

    def f(x):
        with np.errstate(invalid="ignore"):
            return np.sin(x @ weights) + np.sqrt(x[:, :1] + 0.5)

    forward = as_forward(f, p, q)
    bounds = np.tile([-1.0, 1.0], (p, 1))
    region = region_of(bounds, 33)
    x = np.abs(region.uniform(33, rng))
    pairs = solved_pairs(CPP, forward, (x, f(x)), region, region.uniform(50, rng))
    assert np.isfinite(np.hstack([pairs.x, pairs.y])).all()
    after = np.linalg.norm(f(pairs.x) - pairs.y, axis=1)
    before = np.linalg.norm(pairs.y_anchor - pairs.y, axis=1)
    assert (after <= before * (1 + 1e-12)).all()


@pytest.mark.parametrize(("p", "q"), [(2, 7), (1, 33), (3, 3), (4, 1)])
def test_any_number_of_outputs(p, q):
    rng = np.random.default_rng(7105)
    weights = rng.normal(size=(p, q))
    f = as_forward(lambda x: np.tanh(x @ weights), p, q)
    region = region_of(np.tile([-1.0, 1.0], (p, 1)), 100)
    x = region.uniform(100, rng)
    pairs = solved_pairs(CPP, f, (x, f(x)), region, region.uniform(40, rng))
    assert np.median(np.linalg.norm(f(pairs.x) - pairs.y, axis=1)) < 1e-4


def test_data_far_from_zero_are_solved_as_well():
    """Steps of differences suit the width of the box and the size of x."""
    x = np.random.default_rng(7106).uniform(-1.0, 1.0, size=(200, 2))
    weights = np.array([[1.0, 0.3], [-0.2, 0.8]])
    for offset in (0.0, 1e6):
        f = as_forward(lambda x, offset=offset: np.sin((x - offset) @ weights), 2, 2)
        region = region_of(np.array([[offset - 1, offset + 1]] * 2), 200)
        pairs = solved_pairs(CPP, f, (x + offset, f(x + offset)), region, x[::-1] + offset)
        assert np.median(np.linalg.norm(f(pairs.x) - pairs.y, axis=1)) < 1e-5


@pytest.mark.filterwarnings("ignore:differences of .* do not agree")
@pytest.mark.parametrize("f", [lambda x: np.floor(5 * x), np.sign, lambda x: 0.0 * x + 3.0])
def test_an_f_in_stairs_has_no_steps(f):
    options = {"network": ONE_EPOCH, "pairs": fi.SolvedPairs(n_pairs=500), "random_state": 0}
    solver = fi.TwinSolver(f, bounds=[(-1, 1)], n_anchors=50, **options).fit()
    assert solver.solve(f(np.array([0.3]))).residual[0, 0] == 0.0


def test_a_constant_column_with_a_formula():
    X = np.column_stack([np.linspace(-1, 1, 50), np.full(50, 300.0)])
    for pairs in (fi.SolvedPairs(n_pairs=500), fi.NearPairs()):
        f = lambda x: np.column_stack([x[:, 0] ** 2, x[:, 0] + x[:, 1]])  # noqa: E731
        solver = fi.TwinSolver(f, network=ONE_EPOCH, pairs=pairs, random_state=0)
        solver.fit(X)
        assert np.isfinite(solver.solve([[0.25, 300.5]]).residual).all()


def test_no_pairs_left():
    solver = fi.TwinSolver(
        ARM.forward,
        bounds=ARM.bounds,
        n_anchors=1,
        n_candidates=1,
        pairs=fi.SolvedPairs(n_pairs=1),
        random_state=0,
    )
    with pytest.raises(ValueError, match="n_pairs must leave at least 2"):
        solver.fit()


def test_an_f_that_is_finite_nowhere():
    f = lambda x: np.where(np.abs(x - 0.5) < 1e-9, x, np.nan)  # noqa: E731
    with pytest.raises(ValueError, match="must be finite inside bounds"):
        fi.TwinSolver(
            f, bounds=[(0, 1)], n_candidates=1, random_state=0, pairs=fi.SolvedPairs(n_pairs=50)
        ).fit([[0.5]])


def test_points_around_others_stay_near_them():
    rng = np.random.default_rng(7104)
    bounds = np.array([[-1.0, 1.0], [0.0, 3.0]])
    region = region_of(bounds, 50)
    points = np.array([[-1.0, 0.0], [1.0, 3.0]])
    drawn = region.around(points, 200, rng)
    assert drawn.shape == (200, 2)
    assert ((bounds[:, 0] <= drawn) & (drawn <= bounds[:, 1])).all()
    steps = np.abs(drawn[:, None] - points)
    assert (steps <= region.radius * (1 + 1e-12)).all(axis=2).any(axis=1).all()


def test_the_network_alone_is_better_by_far():
    """All five candidates, without polish: few large errors make most of the mean square."""
    settings = {
        "bounds": ARM.bounds, "n_anchors": 600, "network": fi.TwinNetwork(max_iter=30),
        "refine": False, "anchor_choice": "nearest", "random_state": 0,
    }  # fmt: skip
    many = fi.SolvedPairs(n_pairs=100_000)
    near = fi.TwinSolver(ARM.forward, pairs=fi.NearPairs(), **settings).fit()
    solved = fi.TwinSolver(ARM.forward, pairs=many, **settings).fit()
    _, y = ARM.sample(500, random_state=1)
    ours, theirs = (np.sqrt(np.mean(s.solve(y).residual ** 2)) for s in (solved, near))
    assert ours < 0.7 * theirs
    again = fi.TwinSolver(ARM.forward, pairs=many, n_threads=1, **settings).fit()
    np.testing.assert_array_equal(again.solve(y).x, solved.solve(y).x)


@pytest.mark.filterwarnings("ignore:differences of .* do not agree")
def test_which_pairs_by_default(monkeypatch):
    """A stranger's regressor gives the paper's pairs of neighbouring data; ours is solved."""
    from sklearn.neighbors import KNeighborsRegressor

    from fastinv.solvers.pairs import sources

    solved = []
    original = sources.solved_pairs
    monkeypatch.setattr(sources, "solved_pairs", lambda *a: (solved.append(a[2]), original(*a))[1])
    X, y = ARM.sample(100, random_state=0)
    small = {"network": fi.TwinNetwork((8,), max_iter=1), "random_state": 0}
    near = fi.TwinSolver(KNeighborsRegressor(3), **small).fit(X, y)
    assert isinstance(near.pairs_, fi.NearPairs)
    assert not solved
    network = fi.MLPRegressor((8,), max_iter=2, early_stopping=False, n_iter_no_change=None)
    fi.TwinSolver(network, **small).fit(X, y)
    fi.TwinSolver(ARM.forward, **small).fit(X, y)
    assert [f.exact for f in solved] == [False, True]


def test_a_learned_f_is_solved_for_what_it_says():
    """The measured images of the anchors carry noise, and f, in single precision, has a slope."""
    X, y = ARM.sample(400, random_state=2, noise=0.05)
    network = fi.MLPRegressor(
        (32,), "tanh", max_iter=30, random_state=0, loss="squared_error",
        early_stopping=False, n_iter_no_change=None,
    ).fit(X, y)  # fmt: skip
    forward = as_forward(network, 2, 2)
    rng = np.random.default_rng(0)
    region = region_of(np.asarray(ARM.bounds), 400)
    pairs = solved_pairs(CPP, forward, (X, y), region, region.around(X, 300, rng))
    np.testing.assert_array_equal(
        pairs.y_anchor[:10],
        y[[int(np.flatnonzero((x == X).all(1))[0]) for x in pairs.x_anchor[:10]]],
    )
    assert np.median(np.linalg.norm(forward(pairs.x) - pairs.y, axis=1)) < 1e-4


def test_bad_settings():
    for name, value, message in (
        ("pairs", "fresh", "pairs must be a TrainingPairs or None, got 'fresh'"),
        ("pairs__n_pairs", 0, "n_pairs must be positive"),
    ):
        solver = fi.TwinSolver(ARM.forward, bounds=ARM.bounds).set_params(**{name: value})
        with pytest.raises((TypeError, ValueError), match=message):
            solver.fit()
