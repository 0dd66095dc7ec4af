"""Compares ways to learn f from few noisy points on random functions, to choose the default by.

    python bench/choose_learned_forward.py --functions 16 --rows 400 --ways network distilled

The functions are those of `choose_defaults.py`, of which every second is made positive: by a
square, the root of a square, or an exponential function. Noise is normal, 2 % of the spread of y,
or, for the positive ones, 2 % of y. None is an experiment of `fastinv.problems`. What counts is the
root mean square error against f without noise, at 2000 other points, in units of the noise's: below
1, averaging brought more than a single measurement.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from choose_defaults import Array, Function, random_function

import fastinv as fi

NOISE = 0.02
TESTS = 2000
HEADER = "| way | median | 90 % | worst | seconds |\n|---|---|---|---|---|"
NETWORK: dict[str, Any] = {
    "hidden_layer_sizes": (128, 128),
    "activation": "silu",
    "loss": "squared_error",
    "learning_rate": "cosine",
    "learning_rate_init": 3e-3,
    "n_iter_no_change": None,
    "n_threads": 1,
}
Predict = Callable[[Array], Array]
POSITIVE: tuple[Predict, ...] = (
    lambda y: y**2 + 0.1,
    lambda y: np.sqrt(np.abs(y) + 0.05),
    np.exp,
)


@dataclass(frozen=True)
class Task:
    """Noisy rows, and what f is elsewhere."""

    X: Array
    y: Array
    tests: Array
    truth: Array
    noise: float  # root mean square


def function_of(number: int) -> tuple[Function, bool]:
    """The function, and whether it is positive."""
    f = random_function(number // 2 if number % 2 == 0 else 100 + number // 2, 0)
    if number % 2 == 0:
        return f, False
    make = POSITIVE[(number // 2) % len(POSITIVE)]
    return Function(f.name, lambda x: make(f.evaluate(x)), f.bounds), True


def task(number: int, n_rows: int, seed: int) -> Task:
    f, positive = function_of(number)
    rng = np.random.default_rng([seed, number])
    X, tests = f.sample(n_rows, rng), f.sample(TESTS, rng)
    exact = f.evaluate(X)
    noise = NOISE * (exact if positive else exact.std(axis=0)) * rng.normal(size=exact.shape)
    return Task(X, exact + noise, tests, f.evaluate(tests), float(np.sqrt(np.mean(noise**2))))


def network(X: Array, y: Array, seed: int) -> Predict:
    return fi.MLPRegressor(**NETWORK, random_state=seed).fit(X, y).predict


def long_network(X: Array, y: Array, seed: int) -> Predict:
    return fi.MLPRegressor(**NETWORK, max_iter=1000, random_state=seed).fit(X, y).predict


def ensemble(X: Array, y: Array, seed: int) -> Predict:
    members = [network(X, y, 5 * seed + member) for member in range(5)]
    return lambda x: np.mean([member(x) for member in members], axis=0)


def distilled(X: Array, y: Array, seed: int) -> Predict:
    return fi.DistilledRegressor(n_threads=1, random_state=seed).fit(X, y).predict


def teachers(X: Array, y: Array, seed: int) -> Predict:
    """The Gaussian processes themselves."""
    model = fi.DistilledRegressor(n_points=1, max_iter=1, random_state=seed).fit(X, y)
    return lambda x: np.column_stack([teacher.predict(x) for teacher in model.teachers_])


WAYS: dict[str, Callable[[Array, Array, int], Predict]] = {
    "network": network,
    "1000 epochs": long_network,
    "mean of 5 networks": ensemble,
    "Gaussian process": teachers,
    "distilled": distilled,
}


def score(way: str, number: int, n_rows: int, seed: int) -> tuple[float, float]:
    """Error in units of the noise, and seconds of processor time."""
    given = task(number, n_rows, seed)
    start = time.process_time()
    predict = WAYS[way](given.X, given.y, seed)
    seconds = time.process_time() - start
    errors = predict(given.tests).reshape(given.truth.shape) - given.truth
    return float(np.sqrt(np.mean(errors**2))) / given.noise, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--functions", type=int, default=16, help="how many random functions")
    parser.add_argument("--seeds", type=int, default=1, help="noise and fits per function")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    arguments = parser.parse_args()
    print(HEADER)
    for way in arguments.ways:
        scores = [
            score(way, number, arguments.rows, seed)
            for number in range(arguments.functions)
            for seed in range(arguments.seeds)
        ]
        errors, seconds = np.transpose(scores)
        columns = np.median(errors), np.quantile(errors, 0.9), errors.max()
        numbers = " | ".join(f"{number:.3f}" for number in columns)
        print(f"| {way} | {numbers} | {seconds.mean():.1f} |", flush=True)


if __name__ == "__main__":
    main()
