"""Progress of a training on the terminal (standard error, so that output stays clean)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


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
