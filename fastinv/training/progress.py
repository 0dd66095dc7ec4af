"""Progress of a training, or of a long call, on the terminal (standard error, so that output stays
clean)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_SHORT_CALL = 0.5  # seconds; shorter calls show nothing


class Epoch(NamedTuple):
    """The results of one epoch; `number` counts from 1."""

    number: int
    loss: float
    validation_loss: float | None
    learning_rate: float


@contextmanager
def epoch_progress(max_iter: int, n_done: int, verbose: int) -> Iterator[Callable[[Epoch], None]]:
    """A function to call after every epoch.

    Parameters
    ----------
    max_iter : int
        Number of epochs planned.
    n_done : int
        Number of epochs already done.
    verbose : int
        0 shows nothing, 1 a bar (one line at the end if there is no terminal), 2 also a line
        per epoch.
    """
    if verbose == 0:
        yield lambda _: None
        return
    columns = (
        TextColumn("epoch {task.completed}/{task.total}"),
        BarColumn(bar_width=10),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=max_iter, completed=n_done)

        def report(epoch: Epoch) -> None:
            text = f"loss {epoch.loss:.4g}"
            if epoch.validation_loss is not None:
                text += f"  validation {epoch.validation_loss:.4g}"
            text += f"  rate {epoch.learning_rate:.2g}"
            progress.update(task, completed=epoch.number, description=text)
            if verbose > 1:
                progress.console.print(f"epoch {epoch.number}  {text}", highlight=False)

        yield report


@contextmanager
def target_progress(
    total: int, verbose: int, unit: str = "targets"
) -> Iterator[Callable[[int], None] | None]:
    """A function to call with the number of targets that are finished; None if nothing is shown.

    Parameters
    ----------
    total : int
        Number of targets.
    verbose : int
        0 shows nothing, else a bar once half a second has passed (one line at the end if there is
        no terminal).
    unit : str, default="targets"
        What is counted.
    """
    if verbose == 0:
        yield None
        return
    columns = (
        TextColumn("{task.completed}/{task.total} {task.description}"),
        BarColumn(bar_width=10),
        TimeRemainingColumn(),
    )
    begun = time.perf_counter()
    progress = Progress(*columns, console=Console(stderr=True))
    task = progress.add_task(unit, total=total)

    def report(n_done: int) -> None:
        if not progress.live.is_started and time.perf_counter() - begun >= _SHORT_CALL:
            progress.start()
        progress.update(task, completed=n_done)

    try:
        yield report
        report(total)
    finally:
        if progress.live.is_started:
            progress.stop()
