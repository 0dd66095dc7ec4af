"""Solvers that are composed: parameters that are estimators, and None for one with defaults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from sklearn.base import BaseEstimator, clone

from fastinv._common.parameters import Effect, check_effects, moved_message

Part = TypeVar("Part", bound=BaseEstimator)

# Values of a part's parameters that mean "as the solver".
_LEFT_TO_THE_SOLVER: dict[str, tuple[Any, ...]] = {
    "backend": (None, "auto"),
    "n_threads": (None,),
    "verbose": (None, 0),
}

_SHARED = (*_LEFT_TO_THE_SOLVER, "random_state")


def moved_to(solver: str, part: str, kind: type[BaseEstimator]) -> dict[str, str]:
    """What to tell someone who gives a parameter of the part to the solver, by its name.

    Parameters
    ----------
    solver, part : str
        The names of the solver and of its parameter.
    kind : type
        Class of the part.
    """
    return {
        name: f"is a parameter of the {part} now: {solver}({part}=fi.{kind.__name__}({name}=...)), "
        f"or set_params({part}__{name}=...), which keeps the other defaults of a {solver}"
        for name in kind._get_param_names()
        if name not in _SHARED
    }


_EFFECTS = (
    Effect(
        ("n_anchors",),
        lambda given: given.drawn,
        "where fit gets X or anchors",
        "fit without both, which draws anchors",
    ),
)


class ComposedSolver(BaseEstimator):  # type: ignore[misc]
    """Mixin of solvers with parameters that are estimators themselves: their parts.

    Where such a parameter is None, a part with the solver's defaults is used. `get_params` shows
    the parameters of that part as if it were there, and `set_params` of one of them makes it, so
    that a grid may hold ``network__hidden_layer_sizes`` from the outset.
    """

    _moved: ClassVar[Mapping[str, str]] = {}

    def _default_parts(self) -> dict[str, BaseEstimator]:
        """New parts for parameters that are None, by name."""
        return {}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name.

        Parameters
        ----------
        deep : bool, default=True
            Includes those of parts, as ``network__max_iter``. If the part is None, they are its
            defaults.

        Returns
        -------
        dict
        """
        params: dict[str, Any] = super().get_params(deep)
        if deep:
            for name, part in self._default_parts().items():
                if params[name] is None:
                    params |= {f"{name}__{key}": value for key, value in part.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters by name, those of parts as ``network__max_iter=50``.

        A part that is None is made first, with the solver's defaults.

        Returns
        -------
        Itself.

        Raises
        ------
        ValueError
            There is no such parameter, or no part that could have it.
        """
        of_parts: dict[str, dict[str, Any]] = defaultdict(dict)
        own: dict[str, Any] = {}
        for key, value in params.items():
            name, nested, rest = key.partition("__")
            if name in self._moved:
                raise ValueError(moved_message(name, self._moved))
            if nested and name in self._get_param_names():
                of_parts[name][rest] = value
            else:
                own[key] = value
        super().set_params(**own)
        for name, values in of_parts.items():
            part = getattr(self, name)
            if part is None:
                part = self._default_parts().get(name)
            if not hasattr(part, "set_params"):
                raise ValueError(
                    f"{name} must be an estimator for {name}__{next(iter(values))} to be set, "
                    f"got {part!r}"
                )
            setattr(self, name, part.set_params(**values))
        return self

    def _check_effects(self, X: Any, anchors: Any) -> None:
        """Refuse parameters that were set and have no effect in ``fit(X, anchors=anchors)``."""
        check_effects(self, _EFFECTS, drawn=X is None and anchors is None)

    def _part(self, name: str, kind: type[BaseEstimator]) -> Any:
        """A copy of the part `name`, or a new one if it is None.

        If it leaves `backend`, `n_threads` or `verbose` open, it takes them from
        the solver.

        Raises
        ------
        TypeError
            It is not of this `kind`.
        """
        part = getattr(self, name)
        if part is None:
            part = self._default_parts()[name]
        elif isinstance(part, kind):
            part = clone(part)
        else:
            raise TypeError(f"{name} must be a {kind.__name__} or None, got {part!r}")
        parameters = part.get_params(deep=False)
        shared = {
            key: getattr(self, key)
            for key, left in _LEFT_TO_THE_SOLVER.items()
            if key in parameters and parameters[key] in left
        }
        return part.set_params(**shared)


def with_seed(part: Part, seed: int) -> Part:
    """`part`, with this `random_state` if it has none."""
    if part.random_state is None:
        part.set_params(random_state=seed)
    return part
