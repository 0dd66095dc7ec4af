"""Solvers made of parts: nested parameters, what parts have from the solver, and old names."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import (
    check_do_not_raise_errors_in_init_or_set_params,
    check_estimator_cloneable,
    check_estimator_repr,
    check_get_params_invariance,
    check_mixin_order,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
)

import fastinv as fi
from fastinv.backends import get_backend
from fastinv.solvers import TrainingPairs

ARM, WAVE = fi.problems.two_link_arm, fi.problems.wave
TINY = fi.TwinNetwork((8,), max_iter=2)
FEW = fi.SolvedPairs(n_pairs=2000, pairs_per_epoch=500)
OF_ARM = {"forward": ARM.forward, "bounds": ARM.bounds, "random_state": 0}
COMPOSED = {
    fi.TwinSolver: {"network": fi.TwinNetwork, "pairs": fi.SolvedPairs},
    fi.MixtureSolver: {"density": fi.MixtureDensityNetwork},
    fi.DirectSolver: {"network": fi.MLPRegressor},
}
PARTS = [(solver, *part) for solver, parts in COMPOSED.items() for part in parts.items()]
FIELDS = ("x", "residual", "anchor", "status")


def tiny_twin(**options):
    return fi.TwinSolver(**{**OF_ARM, "network": TINY, "pairs": FEW, **options})


def assert_same(a, b):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


@pytest.mark.parametrize("kind", [fi.TwinNetwork, fi.SolvedPairs, fi.NearPairs])
def test_parts_without_a_fit_pass_the_checks_of_parameters(kind):
    """All that scikit-learn checks of an estimator that can neither be fitted nor predict."""
    name, part = kind.__name__, kind()
    for check in (
        check_parameters_default_constructible,
        check_get_params_invariance,
        check_set_params,
        check_no_attributes_set_in_init,
        check_do_not_raise_errors_in_init_or_set_params,
        check_estimator_cloneable,
        check_estimator_repr,
        check_mixin_order,
    ):
        check(name, part)
    assert not hasattr(part, "fit")
    assert repr(clone(part)) == repr(part) == f"{name}()"
    assert repr(pickle.loads(pickle.dumps(part))) == repr(part)


# --- parameters of parts -----------------------------------------------------------------------


@pytest.mark.parametrize(("solver_class", "name", "kind"), PARTS)
def test_parameters_of_a_part_that_is_none_are_shown(solver_class, name, kind):
    solver = solver_class()
    assert getattr(solver, name) is None
    shown = solver.get_params()
    assert shown[name] is None
    nested = {key: shown[f"{name}__{key}"] for key in kind().get_params()}
    assert f"{name}__{next(iter(nested))}" not in solver.get_params(deep=False)
    # What is shown is what is made once one of them is set.
    solver.set_params(**{f"{name}__{key}": value for key, value in nested.items()})
    assert type(getattr(solver, name)) is kind
    assert getattr(solver, name).get_params() == nested
    assert repr(solver_class()) == f"{solver_class.__name__}()"
    assert solver_class()._repr_html_()


@pytest.mark.parametrize(("solver_class", "name", "kind"), PARTS)
def test_setting_a_parameter_of_none_makes_the_part_first(solver_class, name, kind):
    key = next(key for key in kind().get_params() if key.endswith(("sizes", "epoch")))
    solver = solver_class()
    assert solver.set_params(**{f"{name}__{key}": 7, "residual_tol": 0.5}) is solver
    assert (getattr(getattr(solver, name), key), solver.residual_tol) == (7, 0.5)
    others = {k: v for k, v in solver.get_params().items() if k not in (name, f"{name}__{key}")}
    expected = solver_class(residual_tol=0.5).get_params()
    assert others == {k: expected[k] for k in others}
    same = clone(solver)
    assert getattr(same, name) is not getattr(solver, name)
    assert repr(same) == repr(solver)
    # Both at once: the part that is given, with this parameter.
    given = kind()
    solver.set_params(**{f"{name}__{key}": 9, name: given})
    assert getattr(solver, name) is given
    assert getattr(given, key) == 9


def test_defaults_of_a_part_are_those_of_the_solver():
    direct = fi.DirectSolver().set_params(network__max_iter=5).network
    assert (direct.hidden_layer_sizes, direct.activation) == ((128, 128), "silu")
    mixture = fi.MixtureSolver().set_params(density__max_iter=5).density
    assert (mixture.n_components, mixture.activation) == (10, "tanh")


def test_none_is_the_default_part_to_the_bit():
    y = ARM.sample(20, random_state=1)[1]
    quick = {"network__max_iter": 2, "pairs__n_pairs": 2000}
    solved = fi.TwinSolver(**OF_ARM).set_params(**quick).fit().solve(y)
    given = fi.TwinSolver(
        **OF_ARM, network=fi.TwinNetwork(max_iter=2), pairs=fi.SolvedPairs(n_pairs=2000)
    )
    assert_same(given.fit().solve(y), solved)
    density = fi.MixtureDensityNetwork(10, activation="tanh", max_iter=2)
    mixture = fi.MixtureSolver(**OF_ARM, density=density).fit().solve(y)
    nested = fi.MixtureSolver(**OF_ARM).set_params(density__max_iter=2)
    assert_same(nested.fit().solve(y), mixture)


@pytest.mark.parametrize(
    ("forward", "kind"),
    [
        (None, fi.SolvedPairs),
        (ARM.forward, fi.SolvedPairs),
        (np.square, fi.SolvedPairs),
        (fi.MLPRegressor(), fi.SolvedPairs),
        (fi.DistilledRegressor(), fi.SolvedPairs),
        (LinearRegression(), fi.NearPairs),
    ],
)
def test_pairs_that_are_none_depend_on_f(forward, kind):
    solver = fi.TwinSolver(forward).set_params(pairs__radius=0.5)
    assert type(solver.pairs) is kind
    assert solver.pairs.radius == 0.5


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"network__n_estimators": 3}, "Invalid parameter 'n_estimators' for estimator TwinNet"),
        ({"net__max_iter": 3}, "Invalid parameter 'net' for estimator TwinSolver"),
        ({"n_estimators": 3}, "Invalid parameter 'n_estimators' for estimator TwinSolver"),
        ({"bounds__max_iter": 3}, "bounds must be an estimator for bounds__max_iter to be set"),
        ({"pairs__n_neighbors": 3}, "Invalid parameter 'n_neighbors' for estimator SolvedPairs"),
    ],
)
def test_parameters_that_do_not_exist(params, message):
    solver = fi.TwinSolver()
    with pytest.raises(ValueError, match=message):
        solver.set_params(**params)
    assert repr(solver) == "TwinSolver()"  # no part is left behind


def test_a_corrector_that_is_none_cannot_be_set():
    message = "corrector must be an estimator for corrector__network__max_iter to be set, got None"
    with pytest.raises(ValueError, match=message):
        fi.MixtureSolver().set_params(corrector__network__max_iter=3)
    solver = fi.MixtureSolver(corrector=fi.TwinSolver())
    solver.set_params(corrector__network__max_iter=3, corrector__pairs__n_pairs=10)
    assert (solver.corrector.network.max_iter, solver.corrector.pairs.n_pairs) == (3, 10)


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (fi.TwinSolver(network=fi.MLPRegressor()), "network must be a TwinNetwork or None, got"),
        (fi.TwinSolver(network=(64,)), r"network must be a TwinNetwork or None, got \(64,\)"),
        (fi.TwinSolver(pairs="near"), "pairs must be a TrainingPairs or None, got 'near'"),
        (fi.TwinSolver(pairs=fi.NearPairs), "pairs must be a TrainingPairs or None, got <class"),
        (fi.DirectSolver(network=TINY), "network must be a MLPRegressor or None, got TwinNet"),
        (fi.MixtureSolver(density=3), "density must be a MixtureDensityNetwork or None, got 3"),
    ],
)
def test_parts_of_another_kind(solver, message):
    with pytest.raises(TypeError, match=message):
        solver.fit([[0.0], [1.0]], [[0.0], [1.0]])


# --- what parts have from the solver -----------------------------------------------------------


def test_the_fitted_part_is_a_copy():
    network = fi.TwinNetwork((8,), max_iter=2)
    solver = tiny_twin(network=network).fit()
    assert solver.network is network
    assert not hasattr(network, "model_")
    assert solver.network_ is not network
    assert solver.pairs_ is not FEW
    assert solver.twin_ is solver.network_.model_
    assert solver.loss_curve_ is solver.network_.loss_curve_
    assert solver.validation_loss_curve_ is solver.network_.validation_loss_curve_
    assert (solver.n_iter_, solver.stopped_) == (2, "max_iter")


@pytest.mark.parametrize("solver_class", [fi.TwinSolver, fi.MixtureSolver, fi.DirectSolver])
def test_attributes_of_the_training_are_missing_before_fit(solver_class):
    for name in ("network_", "twin_", "density_", "loss_curve_", "n_iter_", "stopped_"):
        assert not hasattr(solver_class(), name)


@pytest.mark.parametrize(
    ("solver_class", "name", "part"),
    [
        (fi.TwinSolver, "network", TINY),
        (fi.DirectSolver, "network", fi.MLPRegressor((4,), max_iter=2, n_iter_no_change=None)),
        (fi.MixtureSolver, "density", fi.MixtureDensityNetwork(2, max_iter=2)),
    ],
)
def test_what_a_part_leaves_open_it_has_from_the_solver(solver_class, name, part, capsys):
    options = {"backend": "reference", "n_threads": 2, "n_anchors": 60}
    solver = solver_class(**OF_ARM, **{name: part}, **options)
    if solver_class is fi.TwinSolver:
        solver.set_params(pairs=fi.SolvedPairs(n_pairs=300, pairs_per_epoch=100))
    trained = getattr(clone(solver).fit(), f"{name}_")
    assert (trained.backend, trained.n_threads, trained.verbose) == ("reference", 2, 0)
    own = clone(solver)
    getattr(own, name).set_params(backend="cpp", n_threads=1, random_state=5)
    trained = getattr(own.fit(), f"{name}_")
    assert (trained.backend, trained.n_threads, trained.random_state) == ("cpp", 1, 5)
    assert capsys.readouterr().err == ""
    getattr(solver.set_params(verbose=1).fit(), f"{name}_")
    assert "epoch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("solver_class", "name"),
    [(fi.TwinSolver, "network"), (fi.DirectSolver, "network"), (fi.MixtureSolver, "density")],
)
def test_seeds_of_parts(solver_class, name):
    """A part without one follows the solver; its own leaves everything else as it was."""
    y = ARM.sample(10, random_state=1)[1]

    def fitted(seed, of_part):
        solver = solver_class(**{**OF_ARM, "random_state": seed, "n_anchors": 100, "refine": False})
        solver.set_params(**{f"{name}__max_iter": 2, f"{name}__random_state": of_part})
        if solver_class is fi.TwinSolver:
            solver.set_params(pairs__n_pairs=500, pairs__pairs_per_epoch=200)
        return solver.fit()

    first, again, other, own, own_again = (
        fitted(*seeds) for seeds in [(0, None), (0, None), (1, None), (0, 7), (0, 7)]
    )
    assert_same(first.solve(y), again.solve(y))
    assert_same(own.solve(y), own_again.solve(y))
    assert (other.anchors_x_ != first.anchors_x_).any()
    np.testing.assert_array_equal(own.anchors_x_, first.anchors_x_)
    assert (own.solve(y).x != first.solve(y).x).any()
    of_other_anchors = fitted(1, 7)
    weights = [getattr(solver, f"{name}_").parameters_ for solver in (own, of_other_anchors)]
    assert (weights[0] != weights[1]).any()


def test_pairs_of_ones_own():
    """A subclass of TrainingPairs is all that it takes."""

    class OnePair(TrainingPairs):
        def __init__(self, step=0.1):
            self.step = step

        def check(self, measured):
            assert not measured

        def source(self, data, anchors, backend, rng, n_threads=1):
            return fi.NearPairs(radius=self.step).source(data, anchors, backend, rng, n_threads)

    solver = tiny_twin(pairs=OnePair(), n_anchors=100).set_params(pairs__step=0.2).fit()
    assert solver.pairs_.step == 0.2
    near = tiny_twin(pairs=fi.NearPairs(radius=0.2), n_anchors=100).fit()
    np.testing.assert_array_equal(solver.twin_.parameters, near.twin_.parameters)


# --- grids -------------------------------------------------------------------------------------


def test_a_grid_over_the_layers_of_the_network():
    X, y = ARM.sample(80, random_state=3)

    def closeness(solver, X, y):
        return -np.median(solver.solve(y).residual[:, 0])

    forward = fi.MLPRegressor((16,), max_iter=20, n_iter_no_change=None, random_state=0)
    grid = GridSearchCV(
        fi.TwinSolver(forward, random_state=0),
        {"network__hidden_layer_sizes": [(), (8,), (8, 8)], "network__max_iter": [2]},
        scoring=closeness,
        cv=2,
    ).fit(X, y)
    assert len(grid.cv_results_["params"]) == 3
    best = grid.best_estimator_
    assert best.network_.hidden_layer_sizes == grid.best_params_["network__hidden_layer_sizes"]
    assert grid.estimator.network is None


def test_a_grid_over_the_components_of_the_density():
    x, y = WAVE.sample(80, random_state=3)
    grid = GridSearchCV(
        fi.MixtureSolver(WAVE.forward, random_state=0),
        {"density__n_components": [1, 4], "density__max_iter": [2]},
        scoring=lambda solver, X, y: solver.log_prob(X, y).mean(),
        cv=2,
    ).fit(x, y)
    assert grid.best_estimator_.density_.n_components == grid.best_params_["density__n_components"]


def test_parts_in_a_pipeline():
    pipeline = Pipeline([("same", FunctionTransformer()), ("solver", fi.TwinSolver())])
    pipeline.set_params(solver__network__max_iter=3)
    assert pipeline.get_params()["solver__network__max_iter"] == 3


# --- old names ---------------------------------------------------------------------------------

OLD = {
    fi.TwinSolver: {
        "hidden_layer_sizes": r"TwinSolver\(network=fi\.TwinNetwork\(hidden_layer_sizes=\.\.\.\)\)",
        "max_iter": r"set_params\(network__max_iter=\.\.\.\)",
        "loss": "is a parameter of the network now",
        "checkpoint": "is a parameter of the network now",
        "training_pairs": r"TwinSolver\(pairs=fi\.NearPairs\(\)\) for 'near'",
        "n_pairs": r"TwinSolver\(pairs=fi\.SolvedPairs\(n_pairs=\.\.\.\)\)",
        "pairs_per_epoch": r"fi\.SolvedPairs\(pairs_per_epoch=\.\.\.\)",
        "pair_radius": r"fi\.SolvedPairs\(radius=\.\.\.\)",
        "n_pair_neighbors": r"fi\.NearPairs\(n_neighbors=\.\.\.\)",
        "validation_fraction": r"fi\.NearPairs\(validation_fraction=\.\.\.\)",
        "n_neighbors": "is called n_candidates now",
    },
    fi.NearestSolver: {"n_neighbors": "is called n_candidates now"},
    fi.MixtureSolver: {
        "n_components": r"fi\.MixtureDensityNetwork\(n_components=\.\.\.\)",
        "covariance_type": r"set_params\(density__covariance_type=\.\.\.\)",
        "max_iter": "is a parameter of the density now",
        "reinit_dead": "is a parameter of the density now",
    },
    fi.DirectSolver: {
        "hidden_layer_sizes": r"DirectSolver\(network=fi\.MLPRegressor\(hidden_layer_sizes=",
        "early_stopping": "which keeps the other defaults of a DirectSolver",
    },
}


@pytest.mark.parametrize(
    ("solver_class", "name"), [(solver, name) for solver, names in OLD.items() for name in names]
)
def test_old_names_say_where_they_are_now(solver_class, name):
    message = OLD[solver_class][name]
    with pytest.raises(TypeError, match=f"^{name} .*{message}"):
        solver_class(**{name: 1})
    with pytest.raises(ValueError, match=f"^{name} .*{message}"):
        solver_class().set_params(**{name: 1})


def test_names_that_never_were_are_refused_as_always():
    with pytest.raises(TypeError, match="unexpected keyword argument 'n_estimators'"):
        fi.TwinSolver(n_estimators=3)


@pytest.mark.parametrize(
    ("estimator", "most"),
    [(fi.TwinSolver, 17), (fi.MixtureSolver, 16), (fi.DirectSolver, 13), (fi.NearestSolver, 14)],
)
def test_parameters_of_solvers_are_those_of_solving(estimator, most):
    parameters = list(inspect.signature(estimator).parameters)
    assert len(parameters) == most
    assert sorted(parameters) == estimator._get_param_names()
    shared = ["forward", "bounds", "n_anchors"]
    assert parameters[:3] == shared


def test_pairs_can_be_made_without_a_solver(monkeypatch):
    """What `source` gives is what the network is trained on."""
    solver = tiny_twin()
    data, rng = solver._start(None, None, None)
    source = FEW.source(data, solver._anchors, get_backend("cpp"), rng)
    network = fi.TwinNetwork((8,), max_iter=2).fit_pairs(source, rng)
    np.testing.assert_array_equal(network.parameters_, solver.fit().network_.parameters_)
    assert network.model_.parameters is network.parameters_
