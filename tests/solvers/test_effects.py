"""No parameter is silently ignored: it changes what comes out, or `fit` says why it cannot."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning

import fastinv as fi

ARM = fi.problems.two_link_arm
X, Y = ARM.sample(60, random_state=2601, noise=0.01)
FORWARD = fi.MLPRegressor((8,), max_iter=3, n_iter_no_change=None, random_state=0)
PLAIN = {"max_iter": 6, "n_iter_no_change": None, "random_state": 0}


@fi.forward(n_inputs=2, n_outputs=2)
def longer_arm(x, y):
    y[0] = 1.1 * np.cos(x[0]) + np.cos(x[0] + x[1])
    y[1] = 1.1 * np.sin(x[0]) + np.sin(x[0] + x[1])


def formula(solver_class, **parts):
    options = {"bounds": ARM.bounds, "n_anchors": 60, "refine": False, "random_state": 0}
    return solver_class(ARM.forward, **options, **parts)


def network():
    return fi.TwinNetwork((8,), max_iter=6)


# Each with the arguments of its `fit`.
FITS = {
    "MLPRegressor": (fi.MLPRegressor((8,), **PLAIN), (X, Y)),
    "DistilledRegressor": (
        fi.DistilledRegressor((8,), n_points=200, max_iter=6, random_state=0), (X, Y)
    ),
    "MixtureDensityNetwork": (
        fi.MixtureDensityNetwork(3, hidden_layer_sizes=(8,), **PLAIN), (X, Y)
    ),
    "TwinSolver, solved": (
        formula(
            fi.TwinSolver, network=network(), pairs=fi.SolvedPairs(n_pairs=900, pairs_per_epoch=300)
        ), (),
    ),
    "TwinSolver, near": (
        formula(fi.TwinSolver, network=network(), pairs=fi.NearPairs(pairs_per_epoch=300)), ()
    ),
    "TwinSolver, data": (
        fi.TwinSolver(
            FORWARD, bounds=[(-2, 2)] * 2, network=network(), pairs=fi.NearPairs(), random_state=0
        ), (X, Y),
    ),
    "NearestSolver": (formula(fi.NearestSolver), ()),
    "NearestSolver, data": (fi.NearestSolver(FORWARD, bounds=[(-2, 2)] * 2), (X, Y)),
    "DirectSolver": (formula(fi.DirectSolver, network=fi.MLPRegressor((8,), **PLAIN)), ()),
    "MixtureSolver": (
        formula(
            fi.MixtureSolver,
            density=fi.MixtureDensityNetwork(3, hidden_layer_sizes=(8,), **PLAIN),
            corrector=fi.TwinSolver(network=network(), pairs=fi.SolvedPairs(n_pairs=900)),
        ), (),
    ),
}  # fmt: skip

# Another value of each parameter, or the first of two that the estimator does not have yet.
OTHER = {
    "forward": (longer_arm,),
    "hidden_layer_sizes": ((5,),),
    "activation": ("silu", "tanh"),
    "loss": ("huber",),
    "huber_delta": (0.1,),
    "batch_size": (7,),
    "learning_rate": ("constant", "cosine"),
    "learning_rate_init": (0.02,),
    "plateau_factor": (0.1,),
    "plateau_patience": (1,),
    "max_iter": (4,),
    "early_stopping": (True, False),
    "validation_fraction": (0.3,),
    "n_iter_no_change": (1,),
    "tol": (100.0,),
    "beta_1": (0.5,),
    "beta_2": (0.5,),
    "epsilon": (0.1,),
    "checkpoint_every": (3,),
    "random_state": (1,),
    "max_samples": (30,),
    "n_points": (100,),
    "n_components": (2,),
    "covariance_type": ("full",),
    "max_components": (2,),
    "init_means": ("random",),
    "min_weight": (0.1,),
    "min_scale": (0.5,),
    "reinit_dead": (0.99,),
    "n_init": (3,),
    "bounds": ([(-1, 1)] * 2,),
    "n_anchors": (50,),
    "n_candidates": (3,),
    "residual_tol": (0.1,),
    "error_tol": ([0.02, 0.1],),
    "y_scale": ([0.3, 2.0],),
    "n_passes": (3,),
    "anchor_choice": ("nearest",),
    "refine": (True,),
    "periods": (2 * np.pi,),
    "n_pairs": (800,),
    "pairs_per_epoch": (200,),
    "radius": (0.3,),
    "n_neighbors": (3,),
    "propose": ("samples",),
}
# What makes them visible within few epochs: set before, or together with them.
BEFORE = {
    "tol": {"n_iter_no_change": 1},
    "reinit_dead": {"max_iter": 12},
    "periods": {"error_tol": 10.0},  # all are CONVERGED, and `near` decides
}
TOGETHER = {
    "n_iter_no_change": {"tol": 100.0},
    "early_stopping": {"tol": 100.0, "n_iter_no_change": 1},
}
CHANGE_NO_NUMBERS = {"n_threads", "verbose", "checkpoint", "backend"}
# What is vacuous rather than ignored, each with the reason.
VACUOUS = {
    ("NearestSolver, data", "random_state"): "nothing is drawn",
    ("DirectSolver", "periods"): "there is one candidate, to which nothing is compared",
}


def parameters_of(estimator):
    """All names, those of parts, too, but not the parts and what the learner of f has."""
    params = estimator.get_params()
    return [
        name
        for name, value in params.items()
        if not (isinstance(value, BaseEstimator) or name == "corrector" or "forward__" in name)
    ]


CASES = [
    (fit, name)
    for fit, (estimator, _) in FITS.items()
    for name in parameters_of(estimator)
    if name.rpartition("__")[2] not in CHANGE_NO_NUMBERS and (fit, name) not in VACUOUS
]


def outcome(estimator, arguments):
    """All numbers that come out of a fit."""
    estimator = clone(estimator).fit(*arguments)
    if hasattr(estimator, "predict_distribution"):
        mixture = estimator.predict_distribution(X)
        return [mixture.weights, mixture.means, mixture.covariances]
    if not hasattr(estimator, "solve"):
        return [estimator.predict(X)]
    k = None if isinstance(estimator, fi.DirectSolver) else 2
    state = [0.2 + 2 * np.pi, -0.4]  # a turn away from where solutions are
    solved = [estimator.solve(Y), estimator.solve(Y, k, near=state)]
    numbers = [getattr(s, f) for s in solved for f in ("x", "residual", "anchor", "status")]
    return [*numbers, np.array(estimator.residual_tol_)]


def same(a, b):
    return all(np.array_equal(u, v, equal_nan=True) for u, v in zip(a, b, strict=True))


def set_leaves(estimator, prefix, values):
    """Set those of `values` that the part with this prefix has; their names."""
    known = {
        name: value for name, value in values.items() if prefix + name in estimator.get_params()
    }
    estimator.set_params(**{prefix + name: value for name, value in known.items()})
    return known


@pytest.mark.parametrize(("fit", "name"), CASES)
@pytest.mark.filterwarnings("ignore:Training ended after max_iter")
def test_every_parameter_acts_or_is_refused(fit, name):
    estimator, arguments = FITS[fit]
    leaf = name.rpartition("__")[2]
    prefix = name.removesuffix(leaf)
    estimator = clone(estimator)
    before = set_leaves(estimator, prefix, BEFORE.get(leaf, {}))
    changed = clone(estimator)
    current = estimator.get_params()[name]
    value = next(value for value in OTHER[leaf] if not np.array_equal(value, current))
    after = set_leaves(changed, prefix, {leaf: value, **TOGETHER.get(leaf, {})})
    try:
        numbers = [outcome(one, arguments) for one in (estimator, changed)]
    except ValueError as error:
        refusal = rf"\(({'|'.join([*before, *after])})=.*\) has no effect .*: it needs "
        if not re.search(refusal, str(error)):
            raise
    else:
        assert not same(*numbers), f"{name} was ignored"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"plateau_factor": 0.3},
         "with learning_rate='constant': it needs learning_rate='plateau'"),
        ({"plateau_patience": 3, "learning_rate": "cosine"}, "with learning_rate='cosine'"),
        ({"huber_delta": 2.0}, "with loss='absolute_error': it needs loss='huber'"),
        ({"validation_fraction": 0.2, "early_stopping": False},
         "with early_stopping=False: it needs early_stopping=True"),
        ({"tol": 0.1, "n_iter_no_change": None}, "with n_iter_no_change=None and learning_rate="
         "'constant': it needs n_iter_no_change or learning_rate='plateau'"),
        ({"checkpoint_every": 3}, "with checkpoint=None: it needs a checkpoint"),
    ],
)  # fmt: skip
def test_parameters_of_a_network_that_cannot_act(parameters, message):
    name = next(iter(parameters))
    model = fi.MLPRegressor(**{**PLAIN, "n_iter_no_change": 10, **parameters})
    message = rf"MLPRegressor\({name}={parameters[name]}\) has no effect {message}"
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
    assert not hasattr(model, "parameters_")


def test_parameters_of_a_density_that_cannot_act():
    model = fi.MixtureDensityNetwork(3, max_components=4)
    message = (
        r"MixtureDensityNetwork\(max_components=4\) has no effect with n_components=3: it needs "
        "n_components='bic' or n_components='cv'"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
    # Choosing tries given numbers, for which it has none.
    few = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
    chosen = fi.MixtureDensityNetwork("bic", max_components=2, **few).fit(X, Y)
    assert len(chosen.component_scores_.scores) == 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"network__plateau_factor": 0.3}, r"TwinNetwork\(plateau_factor=0.3\) has no effect with "
         "learning_rate='cosine': it needs learning_rate='plateau'"),
        ({"network__n_iter_no_change": 3}, "it needs early_stopping=True"),
        ({"network__tol": 0.1}, "it needs early_stopping=True or learning_rate='plateau'"),
        ({"network__huber_delta": 0.1}, "it needs loss='huber'"),
        ({"pairs": fi.NearPairs(n_neighbors=3)}, r"NearPairs\(n_neighbors=3\) has no effect with a "
         r"formula, by which pairs are drawn: it needs measured points, fit\(X, y\)"),
        ({"pairs": fi.NearPairs(validation_fraction=0.3)}, "it needs measured points"),
    ],
)  # fmt: skip
def test_parameters_of_parts_that_cannot_act(parameters, message):
    solver = fi.TwinSolver(ARM.forward, bounds=ARM.bounds).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        solver.fit()


@pytest.mark.parametrize("name", ["radius", "pairs_per_epoch"])
def test_parameters_of_drawn_pairs_on_measured_points(name):
    solver = fi.TwinSolver(pairs=fi.NearPairs(**{name: 7}))
    message = rf"NearPairs\({name}=7\) has no effect on measured points, which are paired with"
    with pytest.raises(ValueError, match=message):
        solver.fit(X, Y)


SOLVERS = [fi.TwinSolver, fi.NearestSolver, fi.DirectSolver, fi.MixtureSolver]


@pytest.mark.parametrize("solver_class", SOLVERS)
@pytest.mark.parametrize("arguments", [(X,), (X, Y), (None, None, X)])
def test_anchors_that_are_not_drawn_have_no_number(solver_class, arguments):
    solver = solver_class(ARM.forward, bounds=ARM.bounds, n_anchors=7)
    anchors = arguments[2] if len(arguments) == 3 else None
    message = (
        r"\(n_anchors=7\) has no effect where fit gets X or anchors: it needs fit without both"
    )
    with pytest.raises(ValueError, match=solver_class.__name__ + message):
        solver.fit(*arguments[:2], anchors=anchors)


@pytest.mark.parametrize(
    "parameters",
    [
        {"forward": ARM.forward}, {"bounds": ARM.bounds}, {"n_anchors": 7}, {"n_candidates": 9},
        {"residual_tol": 0.1}, {"n_passes": 2}, {"anchor_choice": "nearest"}, {"refine": False},
        {"periods": 1.0},
    ],
)  # fmt: skip
def test_a_corrector_that_is_not_fitted_has_a_network_only(parameters):
    (name,) = parameters
    solver = fi.MixtureSolver(ARM.forward, bounds=ARM.bounds, corrector=fi.TwinSolver(**parameters))
    message = rf"TwinSolver\({name}=.* has no effect in a corrector that is not fitted: only its"
    with pytest.raises(ValueError, match=message):
        solver.fit()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["constant", "plateau", "cosine"]),
    st.sampled_from(["absolute_error", "squared_error", "huber"]),
    st.booleans(),
    st.none() | st.just(10),
    st.sets(st.sampled_from([
        "plateau_factor", "plateau_patience", "huber_delta", "validation_fraction", "tol"
    ])),
)  # fmt: skip
def test_a_fit_is_refused_just_where_something_set_cannot_act(rate, loss, early, patience, names):
    acts = {
        "plateau_factor": rate == "plateau",
        "plateau_patience": rate == "plateau",
        "huber_delta": loss == "huber",
        "validation_fraction": early,
        "tol": patience is not None or rate == "plateau",
    }
    options = {"learning_rate": rate, "loss": loss, "early_stopping": early, "max_iter": 1}
    changed = {name: OTHER[name][0] for name in names}
    model = fi.MLPRegressor((2,), n_iter_no_change=patience, random_state=0, **options, **changed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if all(acts[name] for name in names):
            assert model.fit(X[:10], Y[:10]).n_iter_ == 1
            return
        with pytest.raises(ValueError, match="has no effect"):
            model.fit(X[:10], Y[:10])


def test_a_parameter_set_to_its_default_is_not_set():
    """So that one grid can hold several values of what governs it."""
    options = {**PLAIN, "learning_rate": "cosine", "plateau_factor": 0.5, "huber_delta": 1}
    fi.MLPRegressor((2,), **options).fit(X, Y)
    fi.TwinSolver(ARM.forward, n_anchors=1000).set_params(network__max_iter=1).fit(X)
