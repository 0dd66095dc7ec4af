"""How the KD-tree's time grows with the number of points, from a thousand to ten million.

Run with ``python bench/campaigns/kdtree_growth.py``: prints a table in Markdown and draws a picture
of it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from fastinv import KDTree

N_NEIGHBORS = 5
SEED = 6031
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)


def best_time(function, repetitions):
    """The shortest of several runs, in seconds, and the last result."""
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result


def measure(n_points, n_dims, n_queries, repetitions):
    """(n, build ms, us per query on 1 thread, on 2, ns per query and doubling of n)."""
    rng = np.random.default_rng(SEED)
    points = rng.random((n_points, n_dims), dtype=np.float32)
    queries = rng.random((n_queries, n_dims), dtype=np.float32)
    build, tree = best_time(lambda: KDTree(points, n_threads=2), repetitions)
    one, two = (
        best_time(lambda n=n: tree.query(queries, N_NEIGHBORS, n_threads=n), repetitions)[0]
        / n_queries
        for n in (1, 2)
    )
    return n_points, build * 1e3, one * 1e6, two * 1e6, one * 1e9 / np.log2(n_points)


def table(rows):
    lines = [
        "| n | build, 2 threads (ms) | query, 1 thread (us) | query, 2 threads (us) "
        "| 1 thread / log2 n (ns) |",
        "|---:|---:|---:|---:|---:|",
    ]
    lines += [f"| {n} | {b:.2f} | {q1:.3f} | {q2:.3f} | {g:.1f} |" for n, b, q1, q2, g in rows]
    return "\n".join(lines)


def draw(rows, path):
    n, build, one, two, _ = np.transpose(rows)
    figure, (queries, builds) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    queries.semilogx(n, one, "o-", label="1 thread")
    queries.semilogx(n, two, "s-", label="2 threads")
    queries.semilogx(n, one[0] * np.log2(n) / np.log2(n[0]), ":", color="0.5", label="log n")
    queries.set(xlabel="points", ylabel=f"µs per query, k = {N_NEIGHBORS}", ylim=(0, None))
    queries.legend()
    builds.loglog(n, build, "o-", label="2 threads")
    builds.loglog(
        n, build[-1] * n * np.log2(n) / (n[-1] * np.log2(n[-1])), ":", color="0.5", label="n log n"
    )
    builds.set(xlabel="points", ylabel="build, ms")
    builds.legend()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of points")
    parser.add_argument("--dims", type=int, default=3)
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parents[1] / "results" / "kdtree_growth.png"
    )
    arguments = parser.parse_args()
    rows = [
        measure(n, arguments.dims, arguments.queries, arguments.repetitions)
        for n in arguments.sizes
    ]
    print(table(rows))
    draw(rows, arguments.out)


if __name__ == "__main__":
    main()
