"""The number of threads of a training follows what its epochs take."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastinv as fi
from fastinv.training import pace as _pace
from fastinv.training.pace import Pace


def run(pace, seconds_of, n_epochs):
    """The numbers of threads of that many epochs, which take `seconds_of(epoch, n_threads)`."""
    taken = []
    for epoch in range(n_epochs):
        taken.append(pace.n_threads)
        pace.took(seconds_of(epoch, pace.n_threads))
    return taken


@pytest.mark.parametrize("pace", [Pace(2), Pace(1, adapts=True), Pace(3)])
def test_a_number_that_was_asked_for_stays(pace):
    n_threads = pace.n_threads
    assert run(pace, lambda epoch, n: float(n**3 + epoch), 9) == [n_threads] * 9


def test_one_thread_is_tried_once_where_more_are_faster():
    taken = run(Pace(2, adapts=True), lambda epoch, n: 1.0 / n, 50)
    assert taken == [2, 1, *[2] * 48]


def test_one_thread_is_kept_where_processors_are_busy():
    taken = run(Pace(4, adapts=True), lambda epoch, n: 50.0 if n > 1 else 1.0, 50)
    assert taken == [4, *[1] * 49]


def test_a_machine_that_becomes_busy_and_idle_again():
    taken = run(
        Pace(2, adapts=True), lambda epoch, n: 9.0 if n == 2 and 20 <= epoch < 60 else 1 / n, 200
    )
    assert set(taken[22:60]) == {1}
    assert set(taken[130:140]) == {2}
    assert sum(n == 1 for n in taken[130:]) <= 2


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=200), st.integers(2, 8))
def test_only_the_two_numbers_are_ever_taken(seconds, n_threads):
    taken = run(Pace(n_threads, adapts=True), lambda epoch, n: seconds[epoch], len(seconds))
    assert taken[0] == n_threads
    assert set(taken) <= {1, n_threads}


def test_time_has_no_influence_on_the_bits(monkeypatch):
    X = np.random.default_rng(0).uniform(size=(600, 3))
    model = fi.MLPRegressor(
        (128, 128), max_iter=6, batch_size=256, early_stopping=False, n_iter_no_change=None,
        random_state=0,
    )  # fmt: skip
    first = model.fit(X, X[:, 0]).parameters_
    counts = []

    def took(self, seconds):
        counts.append(self.n_threads)
        self._current = self._choices[len(counts) % len(self._choices)]

    monkeypatch.setattr(_pace.Pace, "took", took)
    np.testing.assert_array_equal(model.fit(X, X[:, 0]).parameters_, first)
    assert len(counts) == 6
