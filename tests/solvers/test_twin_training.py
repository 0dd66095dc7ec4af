"""How a solver trains its twin network: kinds of pairs, interruptions, checkpoints, bad options."""

import numpy as np
import pytest
from sklearn.base import clone

import fastinv as fi
from fastinv.backends import get_backend
from fastinv.solvers.pairs.pairs import ScaledFormulaPairs
from fastinv.solvers.pairs.solved import SolvedPairs
from fastinv.solvers.pairs.sources import neighbor_source

FIELDS = ("x", "residual", "anchor", "status")
QUICK = {
    "max_iter": 15, "pairs_per_epoch": 6400, "n_pairs": 12800, "hidden_layer_sizes": (48, 48)
}  # fmt: skip
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


KINDS_OF_PAIRS = [("solved", SolvedPairs), ("near", ScaledFormulaPairs)]


@pytest.mark.parametrize(("training_pairs", "source"), KINDS_OF_PAIRS)
def test_ctrl_c_keeps_the_best_weights(arm, monkeypatch, training_pairs, source):
    interrupt(monkeypatch, source, 4)
    options = {**QUICK, "training_pairs": training_pairs}
    solver = fi.TwinSolver(arm.forward, bounds=arm.bounds, random_state=0, **options)
    with pytest.warns(UserWarning, match="Training interrupted after 3 epochs: the best weights"):
        solver.fit()
    assert solver.n_iter_ == 3
    assert solver.stopped_ == "interrupted"
    assert np.isfinite(solver.solve(arm.forward([0.3, 0.7])).residual).all()


@pytest.mark.parametrize(("training_pairs", "source"), KINDS_OF_PAIRS)
def test_checkpoint_resumes_to_the_same_bits(arm, tmp_path, monkeypatch, training_pairs, source):
    options = {
        **QUICK, "random_state": 0, "bounds": arm.bounds, "training_pairs": training_pairs
    }  # fmt: skip
    straight = fi.TwinSolver(arm.forward, **options).fit()
    solver = fi.TwinSolver(arm.forward, checkpoint=tmp_path / "twin.safetensors", **options)
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
    options = {"bounds": arm.bounds, "random_state": 0, "learning_rate": "constant", **QUICK}
    checkpoint = tmp_path / "twin.safetensors"
    short = fi.TwinSolver(arm.forward, checkpoint=checkpoint, **options).set_params(max_iter=2)
    short.fit()
    longer = clone(short).set_params(max_iter=4).fit()
    straight = fi.TwinSolver(arm.forward, **options).set_params(max_iter=4).fit()
    assert longer.loss_curve_ == straight.loss_curve_


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"validation_fraction": 7.0}, "validation_fraction"),
        ({"n_pair_neighbors": 0}, "n_pair_neighbors"),
        ({"pairs_per_epoch": -3}, "pairs_per_epoch"),
        ({"n_anchors": -5}, "n_anchors"),
        ({"n_iter_no_change": 0}, "n_iter_no_change"),
        ({"max_iter": 0}, "max_iter"),
        ({"activation": "gelu"}, "activation"),
        ({"loss": "log"}, "loss"),
        ({"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes"),
        ({"learning_rate": "steps"}, "learning_rate"),
        ({"random_state": -1}, "random_state"),
    ],
)
@pytest.mark.parametrize("measured", [False, True])
def test_parameters_are_checked_in_both_cases(parameters, message, measured):
    solver = fi.TwinSolver(None if measured else np.square, max_iter=2, random_state=0)
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
