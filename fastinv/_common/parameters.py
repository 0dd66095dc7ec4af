"""Parameters of estimators: which of them act, and where those are that have moved."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ParamSpec

import numpy as np

P = ParamSpec("P")


@dataclass(frozen=True)
class Effect:
    """Parameters that act only under a condition.

    Attributes
    ----------
    names : tuple of str
    holds : callable
        Whether they act, told the parameters of the estimator, and what else `fit` knows, as
        attributes of one object.
    otherwise : str
        Where they do not act, in words that follow "has no effect"; ``{name!r}`` stands for the
        value of a parameter.
    needs : str
        What would have to be the case, in words that follow "it needs".
    """

    names: tuple[str, ...]
    holds: Callable[[Any], bool]
    otherwise: str
    needs: str


def only_with(names: tuple[str, ...], governor: str, *wanted: Any) -> Effect:
    """`names` act where another parameter, `governor`, has one of the values `wanted`."""
    return Effect(
        names,
        lambda given: getattr(given, governor) in wanted,
        f"with {governor}={{{governor}!r}}",
        " or ".join(f"{governor}={value!r}" for value in wanted),
    )


def check_effects(estimator: Any, effects: Iterable[Effect], **facts: Any) -> None:
    """Refuse parameters that were set and have no effect.

    A parameter counts as set where it differs from its default.

    Parameters
    ----------
    estimator : BaseEstimator
    effects : iterable of Effect
        Parameters that the estimator does not have are passed over.
    **facts
        What `fit` knows beside the parameters.

    Raises
    ------
    ValueError
    """
    parameters = estimator.get_params(deep=False)
    defaults = defaults_of(type(estimator))
    given = SimpleNamespace(**parameters, **facts)
    for effect in effects:
        for name in effect.names:
            if name not in parameters or _equal(parameters[name], defaults[name]):
                continue
            if not effect.holds(given):
                value = " ".join(repr(parameters[name]).split())  # of an array, on one line
                raise ValueError(
                    f"{type(estimator).__name__}({name}={value}) has no effect "
                    f"{effect.otherwise.format(**parameters)}: it needs {effect.needs}"
                )


def defaults_of(kind: type) -> dict[str, Any]:
    """The default of each parameter of an estimator's class."""
    parameters = inspect.signature(kind).parameters
    return {name: parameter.default for name, parameter in parameters.items()}


def _equal(value: Any, default: Any) -> bool:
    return value is default or bool(np.array_equal(value, default))


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
