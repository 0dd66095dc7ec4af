"""Parameters of estimators: those that have moved to another place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import ParamSpec

P = ParamSpec("P")


def refuses_moved(moved: Mapping[str, str]) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Decorator of an ``__init__``: names in `moved` raise a TypeError that says where they are.

    Parameters
    ----------
    moved : mapping of str to str
        Where each name is now, in words that follow it.
    """

    def decorate(init: Callable[P, None]) -> Callable[P, None]:
        # `wraps` leaves the signature as it is, which scikit-learn reads the parameters from.
        @functools.wraps(init)
        def checked(*args: P.args, **kwargs: P.kwargs) -> None:
            for name in kwargs:
                if name in moved:
                    raise TypeError(moved_message(name, moved))
            init(*args, **kwargs)

        return checked

    return decorate


def moved_message(name: str, moved: Mapping[str, str]) -> str:
    """What to tell someone who used an old `name`."""
    return f"{name} {moved[name]}"
