"""Parametrises benches over works of fastinv.benchmarks and the sides that do them."""

import os

import pytest

from fastinv.benchmarks import PeerUnavailable, disagreement, works


def sides_of(*prefixes):
    """A decorator: every work whose name begins with one of `prefixes`, every side of it."""
    cases = [
        pytest.param(work, side, id=f"{name}-{side}")
        for name, work in works().items()
        if name.startswith(prefixes)
        for side in ("fastinv", *work.peers)
    ]
    return pytest.mark.parametrize(("work", "side"), cases)


def time_side(benchmark, work, side):
    """Time one side, after its answer was compared with ours.

    A bench runs in one process with all others: JAX and Keras are skipped unless the process may
    use as many processors as the work has threads, so use ``fastinv bench`` for those, or
    ``taskset``; OMP_NUM_THREADS is the caller's business, too.
    """
    n_threads = min(work.n_threads, os.cpu_count())
    benchmark.group = f"{work.title}, {n_threads} threads"
    job = work.prepare(n_threads)
    chosen = job.ours
    if side != "fastinv":
        try:
            chosen = job.peers[side]()
        except PeerUnavailable as reason:
            pytest.skip(f"{side}: {reason}")
        assert disagreement(work, job.ours.answer(), chosen.answer()) is None
    if work.heavy:
        benchmark.pedantic(chosen.run, rounds=3, warmup_rounds=1)
    else:
        benchmark(chosen.run)
