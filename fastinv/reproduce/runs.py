"""Many experiments with many seeds, in parallel processes, and their means and spreads."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, TypeVar

from fastinv._common.validation import check_integer
from fastinv.problems import experiment
from fastinv.reproduce.errors import Moments
from fastinv.reproduce.experiment import ExperimentResult, run_experiment
from fastinv.reproduce.published import Setting
from fastinv.reproduce.training.recipes import FAST, Recipe

Result = TypeVar("Result")

SETTINGS: dict[int, Setting] = {1: "known_forward", 2: "noisy_data"}  # by table


@dataclass(frozen=True)
class Table:
    """One of the paper's tables, from our own runs.

    Attributes
    ----------
    number : int
        1 or 2.
    results : dict of int to tuple of ExperimentResult
        For each experiment, one result per seed.
    """

    number: int
    results: dict[int, tuple[ExperimentResult, ...]]

    @property
    def setting(self) -> Setting:
        return SETTINGS[self.number]

    def paper_protocol(self, number: int) -> Moments:
        """Errors over the seeds of an experiment, with the anchors that the paper tries."""
        return Moments.of([result.paper_protocol for result in self.results[number]])

    def nearest_protocol(self, number: int) -> Moments:
        """The same with the five nearest anchors."""
        return Moments.of([result.nearest_five for result in self.results[number]])


def run_tables(
    numbers: Sequence[int] = tuple(range(1, 10)),
    *,
    tables: Sequence[int] = (1, 2),
    seeds: Sequence[int] = tuple(range(5)),
    recipe: Recipe = FAST,
    n_jobs: int = 1,
    on_result: Callable[[ExperimentResult], Any] = lambda result: None,
) -> dict[int, Table]:
    """Run experiments for one or both tables.

    Parameters
    ----------
    numbers : sequence of int
        Experiments, 1 to 9.
    tables : sequence of int, default=(1, 2)
    seeds : sequence of int, default=(0, 1, 2, 3, 4)
    recipe : Recipe, default=FAST
    n_jobs : int, default=1
        Processes; with more than one, each has one thread. The numbers do not depend on it.
    on_result : callable
        Called with each result.

    Returns
    -------
    dict of int to Table

    Raises
    ------
    TypeError, ValueError
        An argument out of range.
    """
    tasks = [(table, number, seed) for table in tables for number in numbers for seed in seeds]
    found: dict[int, dict[int, tuple[ExperimentResult, ...]]] = {table: {} for table in tables}
    calls = [(*task, recipe) for task in tasks]
    for (table, number, _), result in zip(tasks, run_all(_run, calls, n_jobs), strict=True):
        found[table][number] = (*found[table].get(number, ()), result)
        on_result(result)
    return {number: Table(number, results) for number, results in found.items()}


def run_all(
    function: Callable[..., Result], calls: Sequence[tuple[Any, ...]], n_jobs: int
) -> Iterator[Result]:
    """Results of `function` for the arguments `calls`, in order, each as soon as possible.

    Parameters
    ----------
    function : callable
        Defined in a module, so that processes can find it.
    calls : sequence of tuple
        Arguments that can be pickled.
    n_jobs : int
        Processes, one thread each where there are more than one.

    Raises
    ------
    TypeError, ValueError
        `n_jobs` is no integer or not positive.
    """
    if check_integer(n_jobs, "n_jobs") == 1:
        yield from (function(*call) for call in calls)
        return
    processes = ProcessPoolExecutor(n_jobs, get_context("spawn"), initializer=_set_up_process)
    with processes as executor:
        futures: list[Future[Result]] = [executor.submit(function, *call) for call in calls]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _run(table: int, number: int, seed: int, recipe: Recipe) -> ExperimentResult:
    return run_experiment(experiment(number), seed, setting=SETTINGS[table], recipe=recipe)


def _set_up_process() -> None:
    """Use one thread, and end at once on Ctrl-C, which the caller receives as well."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ["FASTINV_NUM_THREADS"] = "1"
