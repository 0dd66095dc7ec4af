"""Estimator parameters that have moved to another place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import ParamSpec

P = ParamSpec("P")


def refuses_moved(moved: Mapping[str, str]) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Decorator for ``__init__``: names in `moved` raise a TypeError with their new place.

    Parameters
    ----------
    moved : mapping of str to str
        The new place of each name, as words that follow the name.
    """

    def decorate(init: Callable[P, None]) -> Callable[P, None]:
        # `wraps` keeps the signature, from which scikit-learn reads the parameters.
        @functools.wraps(init)
        def checked(*args: P.args, **kwargs: P.kwargs) -> None:
            for name in kwargs:
                if name in moved:
                    raise TypeError(moved_message(name, moved))
            init(*args, **kwargs)

        return checked

    return decorate


def moved_message(name: str, moved: Mapping[str, str]) -> str:
    """The message for someone who used an old `name`."""
    return f"{name} {moved[name]}"
