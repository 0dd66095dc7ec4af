"""What all estimators with a network share: rows, curves, warnings, pickling."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import fastinv as fi

RNG = np.random.default_rng(2601)
X = RNG.normal(size=(60, 2))
Y = X @ np.array([[1.0, 0.5], [-0.5, 2.0]])
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
NETWORKS = {
    "mlp": lambda **o: fi.MLPRegressor(**SMALL, **o),
    "mixture": lambda **o: fi.MixtureDensityNetwork(2, **SMALL, **o),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_curves_are_those_of_the_training(make):
    model = make(early_stopping=True, n_iter_no_change=None).fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == len(model.validation_loss_curve_) == 3
    assert model.best_loss_ == min(model.loss_curve_)
    assert model.best_validation_loss_ == min(model.validation_loss_curve_)
    assert (model.stopped_, model.parameters_.dtype) == ("max_iter", np.float32)
    alone = make(early_stopping=False, n_iter_no_change=None).fit(X, Y)
    assert alone.validation_loss_curve_ is alone.best_validation_loss_ is None


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_the_warning_of_a_short_training_names_the_line_that_fits(make):
    impatient = make(n_iter_no_change=2, learning_rate="constant", tol=0.0)
    with pytest.warns(ConvergenceWarning, match="Training ended after max_iter=3") as caught:
        impatient.fit(X, Y)
    assert [warning.filename for warning in caught] == [__file__]
    impatient.set_params(learning_rate="cosine").fit(X, Y)  # meant to end there


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_the_native_network_is_made_again_from_a_pickle(make):
    model = make(n_iter_no_change=None).fit(X, Y)
    assert "_network" not in model.__getstate__()
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    pickle.loads(pickle.dumps(make()))  # not fitted
