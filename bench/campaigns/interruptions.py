"""Ctrl-C at random moments of every long call: how soon it ends, and if the next call is right.

    python bench/campaigns/interruptions.py [--signals 200] [--longest 2] [--only solve]

Each call runs in a process of its own, which sends SIGINT to itself, again and again, at moments
drawn evenly from its first seconds. It must end within half a second, plus one evaluation of f, by
KeyboardInterrupt (a fit that has finished an epoch returns), and the same call on little data must
give the same bits after each. The table shows counts, and the median and the largest delay in
milliseconds.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LIMIT = 0.5  # seconds, beside one evaluation of f
SLOW = 0.01  # seconds that an evaluation of the slow f takes


class Case(NamedTuple):
    """A long call, and a short one whose result tells whether all is well."""

    long: Callable[[], Any]
    short: Callable[[], Any]


def arm_solver(**setting: Any) -> Any:
    import fastinv as fi

    arm = fi.problems.two_link_arm
    return fi.NearestSolver(arm.forward, bounds=arm.bounds, random_state=0, **setting).fit()


def targets(n: int) -> Any:
    import fastinv as fi

    arm = fi.problems.two_link_arm
    x = np.random.default_rng(1).uniform(*np.asarray(arm.bounds).T, size=(n, 2))
    return arm.forward(x)


def solve(n_threads: int) -> Case:
    solver, y = arm_solver(n_threads=n_threads), targets(3_000_000)
    return Case(lambda: solver.solve(y), lambda: solver.solve(y[:100]).x)


def solve_into() -> Case:
    solver, y = arm_solver(), targets(2_000_000)
    out = solver.freeze().empty(len(y))
    return Case(lambda: solver.solve(y, out=out), lambda: solver.solve(y[:100], out=out[:100]).x)


def solve_all(n_threads: int) -> Case:
    solver, y = arm_solver(n_threads=n_threads), targets(400_000)
    return Case(lambda: solver.solve_all(y), lambda: solver.solve_all(y[:20]).x)


def solve_path() -> Case:
    solver, y = arm_solver(), targets(200_000)
    return Case(
        lambda: solver.solve_path(y, [0.1, 0.2]), lambda: solver.solve_path(y[:9], [0, 1]).x
    )


def sample_solutions() -> Case:
    import fastinv as fi

    @fi.forward(n_inputs=3, n_outputs=1)
    def radius(x: Any, y: Any) -> None:
        y[0] = x[0] ** 2 + x[1] ** 2 + x[2] ** 2

    solver = fi.NearestSolver(radius, bounds=[(-2, 2)] * 3, random_state=0).fit()
    return Case(
        lambda: solver.sample_solutions([1.0], 1_000_000, n_steps=100, random_state=0),
        lambda: solver.sample_solutions([1.0], 50, random_state=0),
    )


def values() -> Case:
    import fastinv as fi

    f = fi.problems.two_link_arm.forward
    x = np.random.default_rng(0).uniform(-1, 1, (10_000_000, 2))

    def again() -> None:
        while True:
            f(x)

    return Case(again, lambda: f(x[:100]))


def query() -> Case:
    import fastinv as fi

    points = np.random.default_rng(0).normal(size=(2_000_000, 3))
    tree = fi.KDTree(points)
    return Case(lambda: tree.query(points, 9), lambda: tree.query(points[:100])[0])


def build() -> Case:
    import fastinv as fi

    points = np.random.default_rng(0).normal(size=(5_000_000, 3))
    return Case(lambda: fi.KDTree(points), lambda: fi.KDTree(points[:999]).query(points[:9], 3)[0])


def predict() -> Case:
    import fastinv as fi

    x = np.random.default_rng(0).uniform(-1, 1, (3_000_000, 2)).astype(np.float32)
    model = fi.MLPRegressor((128, 128), max_iter=2, n_iter_no_change=None, random_state=0)
    model.fit(x[:500], x[:500])
    return Case(lambda: model.predict(x), lambda: model.predict(x[:100]))


def fit() -> Case:
    import fastinv as fi

    x = np.random.default_rng(0).uniform(-1, 1, (500_000, 2))

    def train(n: int, max_iter: int) -> Any:
        # One epoch takes long: without a finished one, Ctrl-C is passed on.
        return fi.MLPRegressor(
            (128, 128), max_iter=max_iter, n_iter_no_change=None, random_state=0
        ).fit(x[:n], x[:n])

    return Case(lambda: train(len(x), 100), lambda: train(50, 3).predict(x[:9]))


def mixture() -> Case:
    import fastinv as fi

    arm = fi.problems.two_link_arm
    density = fi.MixtureDensityNetwork(6, max_iter=30, n_iter_no_change=None)
    setting = {"bounds": arm.bounds, "n_anchors": 500, "random_state": 0}
    solver = fi.MixtureSolver(arm.forward, density=density, **setting).fit()
    y = targets(200_000)
    return Case(lambda: solver.solve(y), lambda: solver.solve(y[:20]).x)


def slow_solver() -> Any:
    import fastinv as fi

    usleep = ctypes.CDLL(None).usleep
    usleep.argtypes, usleep.restype = [ctypes.c_uint], ctypes.c_int
    microseconds = int(SLOW * 1e6)

    @fi.forward(n_inputs=2, n_outputs=2)
    def slow(x: Any, y: Any) -> None:
        usleep(microseconds)
        y[0] = np.cos(x[0]) + np.cos(x[0] + x[1])
        y[1] = np.sin(x[0]) + np.sin(x[0] + x[1])

    anchors = np.random.default_rng(0).uniform(-1.5, 1.5, (30, 2))
    return fi.NearestSolver(slow, n_candidates=2, random_state=0).fit(anchors=anchors)


def slow(method: str) -> Case:
    solver, y = slow_solver(), targets(10_000)
    if method == "f":
        return Case(lambda: solver.forward_(y), lambda: solver.forward_(y[:2]))
    if method == "frozen":
        hot = solver.freeze()
        return Case(lambda: [hot(row) for row in y], lambda: hot(y[0]).x)
    if method == "solve_path":
        start = np.array([0.3, 0.9])
        line = solver.forward_(start[None]) + np.linspace(0, 0.2, 500)[:, None]
        return Case(
            lambda: solver.solve_path(line, start), lambda: solver.solve_path(line[:2], start).x
        )
    if method == "solve_all":
        return Case(lambda: solver.solve_all(y), lambda: solver.solve_all(y[:1], effort=0.05).x)
    call = getattr(solver, method)
    return Case(lambda: call(y), lambda: call(y[:1]).x)


CASES: dict[str, Callable[[], Case]] = {
    "solve, 1 thread": lambda: solve(1),
    "solve, 2 threads": lambda: solve(2),
    "solve, out=": solve_into,
    "solve_all, 1 thread": lambda: solve_all(1),
    "solve_all, 2 threads": lambda: solve_all(2),
    "solve_path": solve_path,
    "sample_solutions": sample_solutions,
    "f(X)": values,
    "KDTree.query": query,
    "KDTree": build,
    "MLPRegressor.predict": predict,
    "MLPRegressor.fit": fit,
    "MixtureSolver.solve": mixture,
    "slow f(X)": lambda: slow("f"),
    "slow f, frozen": lambda: slow("frozen"),
    "slow f, solve": lambda: slow("solve"),
    "slow f, solve_all": lambda: slow("solve_all"),
    "slow f, solve_path": lambda: slow("solve_path"),
}


def interrupt(call: Callable[[], Any], after: float) -> tuple[str, float]:
    """How `call` ends when it gets SIGINT `after` that many seconds, and how long after that."""
    sent: list[float] = []

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, send)
    try:
        timer.start()
        try:
            call()
            end = "returned"
        except KeyboardInterrupt:
            end = "interrupted"
        ended = time.perf_counter()
        timer.join()
    except KeyboardInterrupt:  # it came before the call began, or after its end
        timer.join()
        return "missed", 0.0
    return end, ended - sent[0]


def child(name: str, n_signals: int, longest: float) -> None:
    """Prints the results of one case."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    case = CASES[name]()
    wanted = np.array(case.short())
    draw = random.Random(0)
    delays, n_returned, n_wrong = [], 0, 0
    for _ in range(n_signals):
        end, delay = interrupt(case.long, draw.uniform(0.0, longest))
        n_returned += end == "returned"
        if end != "missed":
            delays.append(delay)
        n_wrong += not np.array_equal(np.array(case.short()), wanted, equal_nan=True)
    print(json.dumps({"delays": delays, "returned": n_returned, "wrong": n_wrong}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--signals", type=int, default=200)
    parser.add_argument("--longest", type=float, default=2.0, help="seconds to the last signal")
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.signals, options.longest)
        return 0
    print(f"{'call':22} {'ended':>11} {'returned':>8} {'wrong':>5} {'median':>7} {'most':>7}")
    failed = False
    for name in CASES:
        if options.only not in name:
            continue
        command = [sys.executable, __file__, "--child", name, "--signals", str(options.signals)]
        command += ["--longest", str(options.longest)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            failed = True
            print(f"{name:22} ended with {done.returncode}: {done.stderr[-500:]}")
            continue
        found = json.loads(done.stdout)
        delays = 1000 * np.array(found["delays"] or [np.nan])
        limit = 1000 * (LIMIT + SLOW * name.startswith("slow"))
        failed |= bool(found["wrong"]) or not delays.max() <= limit
        print(
            f"{name:22} {len(found['delays']):11} {found['returned']:8} {found['wrong']:5} "
            f"{np.median(delays):7.1f} {delays.max():7.1f}",
            flush=True,
        )
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
