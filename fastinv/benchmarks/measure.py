"""Measures works: the sides run in turn, after their answers were compared."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastinv.benchmarks.machine import Ceilings
from fastinv.benchmarks.memory import workspace
from fastinv.benchmarks.peers.peers import PeerUnavailable, usable_processors
from fastinv.benchmarks.work import Side, Work, disagreement

OURS = "fastinv"
Event = dict[str, Any]

_SAMPLE_SECONDS = 0.02  # a sample of a fast work has enough runs to take this long
_WARM_SECONDS = 0.15  # of untimed runs when the sides change: processors wake up slowly
# The threads of OpenMP keep spinning for a fifth of a second after their work. They would take a
# processor from the next side.
_SETTLE_SECONDS = 0.3
_CALLS_PER_TURN = 100  # single calls before the other side's turn
_UNTIMED_CALLS = 10
_QUICK_CALLS = 200
_CALLS_PER_REPEAT = 2000


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes
    ----------
    vs : tuple of str
        Peers to measure, of :data:`fastinv.benchmarks.peers.peers.PEERS`.
    repeats : int
        Samples per side; single calls take 2,000 times as many, or 200 in all if `quick`.
    quick : bool
    n_threads : int or None
        Replaces each work's own number; single calls always have one thread.
    """

    vs: tuple[str, ...] = ()
    repeats: int = 7
    quick: bool = False
    n_threads: int | None = None

    def threads_of(self, work: Work) -> int:
        """Threads for `work`, at most as many as there are processors to use by default."""
        if work.single_calls:
            return 1
        return self.n_threads or min(work.n_threads, len(usable_processors()))

    @property
    def n_calls(self) -> int:
        return _QUICK_CALLS if self.quick else _CALLS_PER_REPEAT * self.repeats


def run_works(works: Iterable[Work], settings: Settings) -> Iterator[Event]:
    """Measure `works` in this process.

    Yields
    ------
    dict
        With a key "event": "started" (work, title), "skipped" (work, peer, reason), "mismatch"
        (work, peer, reason), or "result", whose keys are those of ``fastinv bench --json``.
    """
    ceilings = Ceilings()
    for work in works:
        yield {"event": "started", "work": work.name, "title": work.title}
        n_threads = settings.threads_of(work)
        job = work.prepare(n_threads)
        sides = {OURS: job.ours}
        our_answer = job.ours.answer()
        for name, make in job.peers.items():
            if name not in settings.vs:
                continue
            where = {"work": work.name, "peer": name}
            try:
                side = make()
            except PeerUnavailable as reason:
                yield {"event": "skipped", **where, "reason": str(reason)}
                continue
            difference = disagreement(work, our_answer, side.answer())
            if difference is not None:
                yield {"event": "mismatch", **where, "reason": difference}
                continue
            sides[name] = side
        yield _result(work, sides, n_threads, settings, ceilings)


def _result(
    work: Work,
    sides: Mapping[str, Side],
    n_threads: int,
    settings: Settings,
    ceilings: Ceilings,
) -> Event:
    ceilings.measure(n_threads)
    runs = {name: side.run for name, side in sides.items()}
    # Keeps all present objects: a collection would look through everything that the peers have
    # loaded.
    gc.collect()
    gc.freeze()
    try:
        if work.single_calls:
            times = {
                name: _percentiles(np.array(samples) / work.n_units)
                for name, samples in _time_calls(runs, settings.n_calls).items()
            }
        else:
            times = {
                name: _summary(np.array(samples) / work.n_units)
                for name, samples in _time_runs(runs, settings.repeats).items()
            }
    finally:
        gc.unfreeze()
    if not work.single_calls:
        for name, run in runs.items():
            times[name]["workspace_bytes"] = workspace(run)
    highest = ceilings.measure(n_threads)  # again: other programs may have run before
    ours = times.pop(OURS)
    for name, peer in times.items():
        peer["label"] = work.peers[name]
        peer["ratio"] = peer["median"] / ours["median"]
    return {
        "event": "result",
        "work": work.name,
        "title": work.title,
        "n_threads": n_threads,
        "unit": work.unit,
        "n_units": work.n_units,
        "single_calls": work.single_calls,
        "ours": ours,
        "peers": times,
        "ceilings": highest,
        "ceiling": _of_ceiling(work, ours["median"] * work.n_units, highest),
    }


def _time_runs(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds per run, `repeats` samples per side, the sides in turn."""
    estimates = {name: _estimate(run) for name, run in runs.items()}
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            if len(runs) > 1:
                time.sleep(_SETTLE_SECONDS)
            for _ in range(math.ceil(_WARM_SECONDS / estimates[name])):
                run()
            number = max(1, math.ceil(_SAMPLE_SECONDS / estimates[name]))
            start = time.perf_counter()
            for _ in range(number):
                run()
            samples[name].append((time.perf_counter() - start) / number)
    return samples


def _estimate(run: Callable[[], object]) -> float:
    """Seconds of a run after the first."""
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _time_calls(runs: Mapping[str, Callable[[], object]], n_calls: int) -> dict[str, list[float]]:
    """Seconds of each of `n_calls` calls per side, the sides in turns of 100 calls."""
    clock = time.perf_counter_ns
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(math.ceil(n_calls / _CALLS_PER_TURN)):
        for name, run in runs.items():
            for _ in range(_UNTIMED_CALLS):
                run()
            for _ in range(_CALLS_PER_TURN):
                start = clock()
                run()
                samples[name].append(1e-9 * (clock() - start))
    return samples


def _summary(seconds: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    return {
        "median": float(np.median(seconds)),
        "min": float(seconds.min()),
        "samples": seconds.tolist(),
    }


def _percentiles(seconds: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    p50, p99, p999 = np.percentile(seconds, [50.0, 99.0, 99.9]).tolist()
    return {
        "median": p50,
        "p99": p99,
        "p99.9": p999,
        "min": float(seconds.min()),
        "n_calls": len(seconds),
    }


def _of_ceiling(work: Work, seconds: float, ceilings: Mapping[str, float]) -> Event | None:
    """The fraction of the machine's rate that one run in `seconds` reaches."""
    if work.flops is not None:
        return {"kind": "fma", "fraction": work.flops / seconds / ceilings["fma_flops"]}
    if work.n_bytes is not None:
        return {"kind": "copy", "fraction": work.n_bytes / seconds / ceilings["copy_bytes"]}
    return None
