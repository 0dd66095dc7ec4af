"""Chooses the number of threads of each epoch of a training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from fastinv._common.threads import threads_that_pay

# After an epoch slower by this factor than the fastest with as many threads, the other number is
# tried again.
_SLOWER = 1.5
# After this many epochs it is tried again anyway: the processors may be idle by now.
_RETRY_AFTER = 50


class Pace:
    """Uses all threads, or one while other processes keep the processors busy.

    The threads of a training wait for each other several times in each step. Where there are fewer
    idle processors than threads, each wait lasts until the system's scheduler switches: fifty
    times as long as the step. Results have the same bits for any number of threads, so the
    faster number may be found by trying. The first epoch takes all, the second one; the others
    take the faster number, until that slows down or fifty epochs have passed.

    Parameters
    ----------
    n_threads : int
        The largest number.
    adapts : bool, default=False
        Whether one thread may be taken instead.
    """

    def __init__(self, n_threads: int, adapts: bool = False) -> None:
        self._choices = (n_threads, 1) if adapts and n_threads > 1 else (n_threads,)
        self._latest: dict[int, float] = {}  # seconds of the latest epoch, by number of threads
        self._fastest: dict[int, float] = {}
        self._current = n_threads
        self._since_change = 0

    @classmethod
    def of(cls, n_threads: int | None, flops: float) -> Pace:
        """The pace for a parameter `n_threads` and steps of `flops` operations; None adapts."""
        return cls(threads_that_pay(n_threads, flops), adapts=n_threads is None)

    @property
    def n_threads(self) -> int:
        """Threads of the next epoch."""
        return self._current

    @contextmanager
    def epoch(self) -> Iterator[int]:
        """Times an epoch and gives it its number of threads."""
        start = time.perf_counter()
        yield self._current
        self.took(time.perf_counter() - start)

    def took(self, seconds: float) -> None:
        """Record how long an epoch with `n_threads` took, and choose again."""
        now = self._current
        self._latest[now] = seconds
        self._fastest[now] = min(seconds, self._fastest.get(now, seconds))
        self._since_change += 1
        others = [n for n in self._choices if n != now]
        untried = any(n not in self._latest for n in others)
        slower = seconds > _SLOWER * self._fastest[now]
        if others and (untried or slower or self._since_change >= _RETRY_AFTER):
            self._current = others[0]
        else:
            self._current = min(self._choices, key=self._latest.__getitem__)
        if self._current != now:
            self._since_change = 0
