"""The parts of a benchmark: a work, the sides that do it, and the comparison of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastinv._common.arrays import FloatArray
from fastinv.functions.networks import NetworkSpec

Answer = tuple[NDArray[Any], ...]


class TrainingTask(NamedTuple):
    """An epoch of Adam on the mean absolute error, the same for every side.

    Attributes
    ----------
    spec, parameters
        The network, and where it starts.
    X, Y : ndarray of shape (n, n_inputs), (n, n_outputs), float32
    batch_size : int
        Divides n.
    learning_rate : float
    n_answer : int
        Rows that the answer is trained on: the loss, and how far each parameter moved.
    n_threads : int
    """

    spec: NetworkSpec
    parameters: FloatArray
    X: FloatArray
    Y: FloatArray
    batch_size: int
    learning_rate: float
    n_answer: int
    n_threads: int


@dataclass(frozen=True)
class Side:
    """One package's way to do a work.

    Attributes
    ----------
    run : callable
        Does the work once, timed. Returns the result of the work as NumPy arrays.
    answer : callable
        Arrays that every side must agree on.
    """

    run: Callable[[], object]
    answer: Callable[[], Answer]


@dataclass(frozen=True)
class Job:
    """A work with its data: our side, and how to make the other sides.

    Making one may raise :class:`fastinv.benchmarks.peers.peers.PeerUnavailable`.
    """

    ours: Side
    peers: Mapping[str, Callable[[], Side]]


@dataclass(frozen=True)
class Work:
    """A work to measure.

    Attributes
    ----------
    name : str
        Name on the command line.
    title : str
        Name in tables.
    prepare : callable
        Makes a :class:`Job` for a number of threads.
    peers : mapping of str to str
        Name of each other side, one of :data:`fastinv.benchmarks.peers.PEERS`, to a description of
        its parts.
    n_threads : int
        Default number of threads.
    single_calls : bool
        Whether every call of `run` is timed separately, always on one thread.
    n_units, unit : int, str
        The content of one run, like 50 steps; times are given per unit.
    flops, n_bytes : float or None
        Floating-point operations of one run, and bytes that it has to read and write.
    tolerance : float
        See :func:`disagreement`.
    norm : {"max", "euclidean"}
    heavy : bool
        Left out of ``--quick`` unless named.
    """

    name: str
    title: str
    prepare: Callable[[int], Job]
    peers: Mapping[str, str] = field(default_factory=dict)
    n_threads: int = 2
    single_calls: bool = False
    n_units: int = 1
    unit: str = "run"
    flops: float | None = None
    n_bytes: float | None = None
    tolerance: float = 1e-5
    norm: Literal["max", "euclidean"] = "max"
    heavy: bool = False


def disagreement(work: Work, ours: Answer, theirs: Answer) -> str | None:
    """What differs between two answers, None if nothing does.

    Arrays agree if the norm of their difference is at most ``work.tolerance`` times the norm of
    theirs. NaN agrees with nothing.
    """
    if len(ours) != len(theirs):
        return f"{len(ours)} arrays against {len(theirs)}"
    order = np.inf if work.norm == "max" else 2
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if a.shape != b.shape:
            return f"array {i} has shape {a.shape} against {b.shape}"
        a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
        error, size = np.linalg.norm(a - b, order), np.linalg.norm(b, order)
        if not error <= work.tolerance * size:
            return (
                f"array {i} of the answer differs by {error:.3g} in the {work.norm} norm, where "
                f"{work.tolerance:g} times {size:.3g} is allowed"
            )
    return None
