"""Compares settings of `fastinv.TwinSolver` on random functions, to choose its defaults by.

    python bench/choose_defaults.py --functions 12 --seeds 1 --settings defaults silu huber

The functions are sums of sines, sums of products of Chebyshev polynomials, and random networks,
of one to four inputs and one to three outputs; most are not injective. None is an experiment of
`fastinv.problems`, on which the defaults are judged afterwards. Anchors are uniform in the bounds,
300 where y has one component, else 600; targets are images of other points. The network corrects
the six anchors nearest to a target, without polish. What counts is the error of the best of the
second to sixth, the paper's count of anchors, in units of the same error of the anchors themselves.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastinv as fi

Array = NDArray[np.float64]
KINDS = ("sines", "polynomial", "network")
SHAPES = ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (4, 3), (4, 2), (1, 2))
TARGETS = 500
TRIED = 6
HEADER = (
    "| setting | median | 90 % | five nearest, median | 90 % | first, median | seconds per fit |\n"
    "|---|---|---|---|---|---|---|"
)
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "one pass": {"n_passes": 1},
    "three passes": {"n_passes": 3},
    "near pairs": {"pairs": fi.NearPairs()},
    "near pairs, one pass, 2 layers": {
        "pairs": fi.NearPairs(), "n_passes": 1, "network__hidden_layer_sizes": (128, 128)
    },
    "silu": {"network__activation": "silu"},
    "tanh": {"network__activation": "tanh"},
    "squared error": {"network__loss": "squared_error"},
    "huber": {"network__loss": "huber", "network__huber_delta": 0.1},
    "rate 2e-3": {"network__learning_rate_init": 2e-3},
    "rate 5e-3": {"network__learning_rate_init": 5e-3},
    "batch 128": {"network__batch_size": 128},
    "2 layers": {"network__hidden_layer_sizes": (128, 128)},
    "3 layers of 96": {"network__hidden_layer_sizes": (96, 96, 96)},
    "3 layers of 64": {"network__hidden_layer_sizes": (64, 64, 64)},
    "width 256": {"network__hidden_layer_sizes": (256, 256, 256)},
    "60 epochs": {"network__max_iter": 60},
    "150 epochs": {"network__max_iter": 150},
    "100,000 pairs": {"pairs__n_pairs": 100_000},
    "400,000 pairs": {"pairs__n_pairs": 400_000},
}  # fmt: skip


@dataclass(frozen=True)
class Function:
    """f of rows, and its bounds."""

    name: str
    evaluate: Callable[[Array], Array]
    bounds: Array

    @property
    def n_inputs(self) -> int:
        return len(self.bounds)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.uniform(self.bounds[:, 0], self.bounds[:, 1], size=(n, self.n_inputs))


@dataclass(frozen=True)
class Score:
    """Root mean square errors in units of the anchors' own."""

    paper: float  # best of the second to sixth anchor
    five: float  # best of the five nearest
    first: float  # the second nearest anchor alone
    seconds: float


def sines(p: int, q: int, rng: np.random.Generator) -> Callable[[Array], Array]:
    frequencies = rng.normal(size=(p, 3 * p)) * 3.2 / np.sqrt(p)
    phases, amplitudes = rng.uniform(0.0, 2 * np.pi, 3 * p), rng.normal(size=(3 * p, q))
    return lambda x: np.sin(x @ frequencies + phases) @ amplitudes


def polynomial(p: int, q: int, rng: np.random.Generator) -> Callable[[Array], Array]:
    """Sums of T_m(x_i) T_n(x_j), m up to 4 and n up to 2."""
    i, j = rng.integers(p, size=(2, 4 * p))
    m, n = rng.integers(1, 5, size=4 * p), rng.integers(3, size=4 * p)
    amplitudes = rng.normal(size=(4 * p, q))

    def evaluate(x: Array) -> Array:
        angles = np.arccos(np.clip(x, -1.0, 1.0))
        products: Array = np.cos(m * angles[:, i]) * np.cos(n * angles[:, j])
        return products @ amplitudes

    return evaluate


def network(p: int, q: int, rng: np.random.Generator) -> Callable[[Array], Array]:
    first, shift = rng.normal(size=(p, 16)) * 3.0 / np.sqrt(p), rng.normal(size=16)
    second, last = rng.normal(size=(16, 16)) * 1.5 / 4.0, rng.normal(size=(16, q))
    return lambda x: np.tanh(np.tanh(x @ first + shift) @ second) @ last


def random_function(number: int, seed: int) -> Function:
    """Number `number`: kinds and shapes take turns."""
    kind, (p, q) = KINDS[number % len(KINDS)], SHAPES[number % len(SHAPES)]
    rng = np.random.default_rng([seed, number])
    raw = {"sines": sines, "polynomial": polynomial, "network": network}[kind](p, q, rng)
    bounds = np.tile([-1.0, 1.0], (p, 1))
    spread = raw(rng.uniform(-1.0, 1.0, size=(2000, p))).std(axis=0)
    return Function(f"{kind} {p} -> {q}, {number}", lambda x: raw(x) / spread, bounds)


def score(function: Function, options: dict[str, Any], seed: int) -> Score:
    rng = np.random.default_rng([seed, 1])
    n_outputs = function.evaluate(function.sample(1, rng)).shape[1]
    anchors = function.sample(300 if n_outputs == 1 else 600, rng)
    targets = function.evaluate(function.sample(TARGETS, rng))
    alone: dict[str, Any] = {"anchor_choice": "nearest", "refine": False}
    given: dict[str, Any] = {
        "bounds": function.bounds,
        "n_threads": 1,
        "random_state": seed,
        **alone,
    }
    twin = fi.TwinSolver(function.evaluate, n_candidates=TRIED, **given).set_params(**options)
    start = time.perf_counter()
    twin.fit(anchors)
    seconds = time.perf_counter() - start
    lookup = fi.NearestSolver(function.evaluate, n_candidates=TRIED, **alone).fit(anchors)
    nearest, solved = lookup.solve(targets), twin.solve(targets)
    order = (solved.anchor[:, None, :] == nearest.anchor[:, :, None]).argmax(axis=2)
    residual = np.take_along_axis(solved.residual, order, axis=1)
    unit = rms(nearest.residual[:, 1:].min(axis=1))
    return Score(
        paper=rms(residual[:, 1:].min(axis=1)) / unit,
        five=rms(residual[:, :-1].min(axis=1)) / unit,
        first=rms(residual[:, 1]) / unit,
        seconds=seconds,
    )


def rms(residual: Array) -> float:
    return float(np.sqrt(np.mean(residual**2)))


def row(name: str, scores: list[Score]) -> str:
    paper = np.array([s.paper for s in scores])
    five = np.array([s.five for s in scores])
    first = float(np.median([s.first for s in scores]))
    seconds = float(np.mean([s.seconds for s in scores]))
    columns = [np.median(paper), np.quantile(paper, 0.9), np.median(five), np.quantile(five, 0.9)]
    numbers = " | ".join(f"{number:.3f}" for number in (*columns, first))
    return f"| {name} | {numbers} | {seconds:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--functions", type=int, default=16, help="how many random functions")
    parser.add_argument("--seeds", type=int, default=1, help="anchors and networks per function")
    parser.add_argument("--epochs", type=int, help="of all trainings that do not set their own")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    arguments = parser.parse_args()
    common = {} if arguments.epochs is None else {"network__max_iter": arguments.epochs}
    print(HEADER)
    for name in arguments.settings:
        scores = [
            score(random_function(number, 0), common | SETTINGS[name], seed)
            for number in range(arguments.functions)
            for seed in range(arguments.seeds)
        ]
        print(row(name, scores), flush=True)


if __name__ == "__main__":
    main()
