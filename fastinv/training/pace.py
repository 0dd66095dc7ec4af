"""How many threads each epoch of a training takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from fastinv._common.threads import threads_that_pay

# An epoch that takes so many times as long as the fastest with as many threads makes the other
# number be tried again.
_SLOWER = 1.5
# So many epochs later it is tried again in any case: what kept the processors busy may have ended.
_RETRY_AFTER = 50


class Pace:
    """As many threads as pay, or one while other processes keep the processors busy.

    The threads of a training wait for each other several times in each step. Where there are fewer
    idle processors than threads, each wait lasts until the system's scheduler comes round: fifty
    times as long as the step. Results have the same bits for any number of threads, so that the
    faster number may be found by trying: the first epoch takes all, the second one, the others
    whichever was faster, until that slows down or fifty epochs have passed.

    Parameters
    ----------
    n_threads : int
        At most.
    adapts : bool, default=False
        Whether one thread may be taken instead.
    """

    def __init__(self, n_threads: int, adapts: bool = False) -> None:
        self._choices = (n_threads, 1) if adapts and n_threads > 1 else (n_threads,)
        self._latest: dict[int, float] = {}  # seconds of an epoch
        self._fastest: dict[int, float] = {}
        self._current = n_threads
        self._since_change = 0

    @classmethod
    def of(cls, n_threads: int | None, flops: float) -> Pace:
        """For a parameter `n_threads` and steps of so many operations; None adapts."""
        return cls(threads_that_pay(n_threads, flops), adapts=n_threads is None)

    @property
    def n_threads(self) -> int:
        """Of the next epoch."""
        return self._current

    @contextmanager
    def epoch(self) -> Iterator[int]:
        """Around an epoch with the number of threads that it gives."""
        start = time.perf_counter()
        yield self._current
        self.took(time.perf_counter() - start)

    def took(self, seconds: float) -> None:
        """Be told how long an epoch with `n_threads` took, and choose anew."""
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
