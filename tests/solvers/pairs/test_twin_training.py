"""How a solver trains its twin network: kinds of pairs, interruptions, checkpoints, bad options."""

import numpy as np
import pytest
from sklearn.base import clone

import fastinv as fi
from fastinv.backends import get_backend
from fastinv.solvers.pairs.near import ScaledFormulaPairs
from fastinv.solvers.pairs.solved import SolvedRows
from fastinv.solvers.pairs.sources import neighbor_source

FIELDS = ("x", "residual", "anchor", "status")
QUICK = {
    "network": fi.TwinNetwork((48, 48), max_iter=15),
    "pairs": fi.SolvedPairs(n_pairs=12800, pairs_per_epoch=6400),
}
SMALL = fi.MLPRegressor(
    (16,),
    max_iter=40,
    learning_rate="cosine",
    learning_rate_init=0.02,
    early_stopping=False,
    random_state=0,
)


LINE = np.linspace(-2.0, 2.0, 41)[:, None]


def assert_same(a, b, rows=slice(None)):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field)[rows])


@pytest.fixture(scope="module")
def arm():
    return fi.problems.two_link_arm


def interrupt(patch, source, epoch):
    """Ctrl-C when `source` is asked for the rows of that epoch, counted from 1."""
    draw, calls = source.epoch, []

    def interrupted(self, rng):
        calls.append(1)
        if len(calls) == epoch:
            raise KeyboardInterrupt
        return draw(self, rng)

    patch.setattr(source, "epoch", interrupted)


KINDS_OF_PAIRS = [
    (fi.SolvedPairs(n_pairs=12800, pairs_per_epoch=6400), SolvedRows),
    (fi.NearPairs(pairs_per_epoch=6400), ScaledFormulaPairs),
]


@pytest.mark.parametrize(("pairs", "source"), KINDS_OF_PAIRS)
def test_ctrl_c_keeps_the_best_weights(arm, monkeypatch, pairs, source):
    interrupt(monkeypatch, source, 4)
    options = {**QUICK, "pairs": pairs}
    solver = fi.TwinSolver(arm.forward, bounds=arm.bounds, random_state=0, **options)
    with pytest.warns(UserWarning, match="Training interrupted after 3 epochs: the best weights"):
        solver.fit()
    assert solver.n_iter_ == 3
    assert solver.stopped_ == "interrupted"
    assert np.isfinite(solver.solve(arm.forward([0.3, 0.7])).residual).all()


@pytest.mark.parametrize(("pairs", "source"), KINDS_OF_PAIRS)
def test_checkpoint_resumes_to_the_same_bits(arm, tmp_path, monkeypatch, pairs, source):
    options = {**QUICK, "random_state": 0, "bounds": arm.bounds, "pairs": pairs}
    straight = fi.TwinSolver(arm.forward, **options).fit()
    solver = clone(straight).set_params(network__checkpoint=tmp_path / "twin.safetensors")
    with monkeypatch.context() as patch:
        interrupt(patch, source, 13)
        with pytest.warns(UserWarning, match="interrupted"):
            solver.fit()
    solver.fit()
    assert solver.n_iter_ == straight.n_iter_
    np.testing.assert_array_equal(solver.twin_.parameters, straight.twin_.parameters)
    assert solver.loss_curve_ == straight.loss_curve_
    _, y = arm.sample(10, random_state=31)
    assert_same(solver.solve(y), straight.solve(y))


def test_points_held_out_for_validation_are_not_trained_on(arm):
    X, y = arm.sample(100, random_state=42)
    solver = fi.TwinSolver(SMALL, random_state=0)
    data, rng = solver._start(X, y, None)
    _, source, validation = neighbor_source(get_backend("cpp"), data.points, 5, 0.25, rng)
    assert len(validation[0]) == 25 * 5
    assert len(source.X) == 75 * 6
    trained_with = {row.tobytes() for row in source.X[:, 4:]}
    assert {row.tobytes() for row in validation[0][:, 4:]} <= trained_with
    assert len(trained_with) <= 75


def test_training_can_be_continued_for_longer(arm, tmp_path):
    network = fi.TwinNetwork((48, 48), learning_rate="constant", max_iter=2)
    options = {**QUICK, "bounds": arm.bounds, "random_state": 0, "network": network}
    short = fi.TwinSolver(arm.forward, **options)
    short.set_params(network__checkpoint=tmp_path / "twin.safetensors").fit()
    longer = clone(short).set_params(network__max_iter=4).fit()
    straight = clone(longer).set_params(network__checkpoint=None).fit()
    assert longer.loss_curve_ == straight.loss_curve_


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pairs": fi.NearPairs(validation_fraction=7.0)}, "validation_fraction"),
        ({"pairs": fi.NearPairs(n_neighbors=0)}, "n_neighbors"),
        ({"pairs": fi.NearPairs(pairs_per_epoch=-3)}, "pairs_per_epoch"),
        ({"n_anchors": -5}, "n_anchors"),
        ({"network__n_iter_no_change": 0}, "n_iter_no_change"),
        ({"network__max_iter": 0}, "max_iter"),
        ({"network__activation": "gelu"}, "activation"),
        ({"network__loss": "log"}, "loss"),
        ({"network__hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes"),
        ({"network__learning_rate": "steps"}, "learning_rate"),
        ({"random_state": -1}, "random_state"),
    ],
)
@pytest.mark.parametrize("measured", [False, True])
def test_parameters_are_checked_in_both_cases(parameters, message, measured):
    network = fi.TwinNetwork(max_iter=2)
    solver = fi.TwinSolver(None if measured else np.square, network=network, random_state=0)
    arguments = (LINE, LINE**2) if measured else (LINE,)
    with pytest.raises(ValueError, match=message):
        solver.set_params(**parameters).fit(*arguments)


def test_points_that_are_all_the_same_cannot_be_paired():
    X = np.full((20, 2), 3.0)
    with (
        pytest.warns(UserWarning, match="constant"),
        pytest.raises(ValueError, match="X must hold different points to pair"),
    ):
        fi.TwinSolver(random_state=0).fit(X, X)
