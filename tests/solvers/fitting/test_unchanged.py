"""When it is loaded or frozen, a solver refuses an f that is not what it was fitted to."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import fastinv as fi

LENGTH = 1.0
BOX = [(-1.5, 1.5)] * 2
PLACE = r"at x = \(.*\) .* is \(.*\), but "


@fi.forward(n_inputs=2, n_outputs=2)
def arm(x, y):
    y[0] = np.cos(x[0]) + LENGTH * np.cos(x[0] + x[1])
    y[1] = np.sin(x[0]) + LENGTH * np.sin(x[0] + x[1])


def arm_in_python(X):
    a, b = X[:, 0], X[:, 0] + X[:, 1]
    return np.stack([np.cos(a) + LENGTH * np.cos(b), np.sin(a) + LENGTH * np.sin(b)], axis=1)


@pytest.fixture
def longer(monkeypatch):
    """Makes the arm longer by some factor."""
    return lambda factor: monkeypatch.setattr(sys.modules[__name__], "LENGTH", factor)


def fit(f, **options):
    return fi.NearestSolver(f, bounds=BOX, n_anchors=50, random_state=0, **options).fit()


def reloaded(solver):
    return pickle.loads(pickle.dumps(solver))


def test_what_is_unchanged_loads_and_freezes():
    for solver in (fit(arm), fit(arm_in_python), fit(arm, backend="reference")):
        y = arm([[0.2, 0.7]])
        np.testing.assert_array_equal(reloaded(solver).solve(y).x, solver.solve(y).x)
    hot = fit(arm).freeze()
    np.testing.assert_array_equal(reloaded(hot)(y).x, hot(y).x)


def test_a_global_that_changed_after_compilation(longer):
    solver = fit(arm)
    hot = solver.freeze()
    saved, saved_hot = pickle.dumps(solver), pickle.dumps(hot)
    longer(1.5)
    for stale in (
        solver.freeze,
        lambda: pickle.loads(saved),
        lambda: pickle.loads(saved_hot),
        lambda: fit(arm),
    ):
        with pytest.raises(ValueError, match=r"arm was compiled.* changed since: " + PLACE):
            stale()
    longer(1.0)
    pickle.loads(saved).freeze()
    fit(arm)


def test_a_global_that_a_callable_reads(longer):
    solver = fit(arm_in_python)
    saved = pickle.dumps(solver)
    longer(1.5)
    with pytest.raises(ValueError, match="arm_in_python is not what the solver was fitted to: "):
        pickle.loads(saved)
    fit(arm_in_python)
    longer(1.0 + 1e-7)
    with pytest.raises(ValueError, match="arm_in_python is not"):
        pickle.loads(saved)
    longer(1.0 + 1e-13)  # another instruction set does as much
    pickle.loads(saved)


def test_the_message_has_both_values(longer):
    saved = pickle.dumps(fit(arm_in_python))
    longer(1.5)
    with pytest.raises(ValueError, match=PLACE) as refusal:
        pickle.loads(saved)
    text = str(refusal.value)
    x, now, then = (
        np.array([float(number) for number in part.split(")")[0].split(",")])
        for part in (text.split("x = (")[1], text.split("is (")[1], text.split("it was (")[1])
    )
    np.testing.assert_allclose(now, arm_in_python(x[None])[0], rtol=1e-6)
    longer(1.0)
    np.testing.assert_allclose(then, arm_in_python(x[None])[0], rtol=1e-6)


def test_an_array_that_changed_in_place():
    table = np.array([1.0, 2.0, 4.0])

    def powers(x, y):
        y[0] = table[0] + table[1] * x[0] + table[2] * x[1] ** 2

    solver = fit(fi.forward(n_inputs=2, n_outputs=1)(powers))
    table[1] = 2.5
    with pytest.raises(ValueError, match="powers was compiled"):
        solver.freeze()


SCRIPT = """
import pickle, sys, types
import numpy as np
import fastinv as fi
formulas = types.ModuleType("formulas")
sys.modules["formulas"] = formulas
exec(compile('''
import fastinv as fi, numpy as np
@fi.forward(n_inputs=1, n_outputs=1)
def f(x, y):
    y[0] = {factor} * x[0] ** 2
''', "formulas.py", "exec"), formulas.__dict__)
formulas.f.__module__ = "formulas"
{rest}
"""


def in_new_process(factor, rest):
    script = textwrap.dedent(SCRIPT.format(factor=factor, rest=rest))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_a_formula_that_changed_between_processes(tmp_path):
    path = str(tmp_path / "solver.pkl")
    made = in_new_process(
        1.0,
        "solver = fi.NearestSolver(formulas.f, bounds=[(-1, 1)], random_state=0).fit()\n"
        f"pickle.dump((solver, solver.freeze()), open({path!r}, 'wb'))",
    )
    assert made.returncode == 0, made.stderr
    load = f"solver, hot = pickle.load(open({path!r}, 'rb')); print(solver.solve(0.25).best)"
    same = in_new_process(1.0, load)
    assert same.returncode == 0, same.stderr
    changed = in_new_process(1.25, load)
    assert changed.returncode != 0
    assert "ValueError: f is not what the solver was fitted to: at x = (" in changed.stderr


def test_a_formula_that_python_computes_otherwise_is_not_stale():
    def hashed(x, y):
        state = int(x[0] * 1e6)
        for _ in range(5):  # wraps around in machine code, and grows in Python
            state = state * 6364136223846793005 + 1442695040888963407
        y[0] = x[0] + 1e-22 * state

    def inverse(x, y):
        y[0] = 1.0 / (1.0 + 1.0 / abs(float(x[0] - x[0])))  # Python raises ZeroDivisionError
        y[0] += x[0] ** 2 + x[1]

    for function in (hashed, inverse):
        solver = fit(fi.forward(n_inputs=2, n_outputs=1)(function))
        solver.freeze()


def test_python_that_is_slow_is_called_once():
    calls = []

    def slow(x, y):
        y[0] = x[0] ** 2 + x[1]

    f = fi.forward(n_inputs=2, n_outputs=1)(slow)
    solver = fit(f)

    def counted(x, y):
        calls.append(1)
        time.sleep(0.02)
        slow(x, y)

    f.__wrapped__ = counted
    solver.freeze()
    assert len(calls) == 1


def test_f_of_data_is_not_compared():
    X = np.random.default_rng(0).uniform(-1, 1, size=(60, 2))
    network = fi.MLPRegressor((8,), max_iter=5, learning_rate="cosine", random_state=0)
    solver = fi.NearestSolver(network).fit(X, arm_in_python(X))
    reloaded(solver).freeze()


def test_what_differs_from_call_to_call_is_not_what_it_was():
    calls = []

    def drifting(X):
        calls.append(1)
        return arm_in_python(X) + 1e-6 * len(calls)

    solver = fit(drifting)
    with pytest.raises(ValueError, match="not what the solver was fitted to"):
        solver.__setstate__(solver.__getstate__())
