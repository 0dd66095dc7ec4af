"""Public names: all are there, hide no module, and cover what public signatures speak of."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import fastinv

# Users meet the package and the modules that it lists.
PUBLIC = [fastinv] + [
    module for name in fastinv.__all__ if isinstance(module := getattr(fastinv, name), ModuleType)
]
SPECIAL = ("__init__", "__call__", "__getitem__", "__iter__")  # methods that users call, too


def all_modules() -> list[ModuleType]:
    """Every module without an underscore in its path."""
    found = pkgutil.walk_packages(fastinv.__path__, "fastinv.")
    return [importlib.import_module(info.name) for info in found if "._" not in info.name]


def public_names(module: ModuleType) -> list[str]:
    return list(getattr(module, "__all__", ()))


def test_every_name_is_found_and_listed():
    for name in fastinv.__all__:
        assert getattr(fastinv, name) is not None
    assert set(fastinv.__all__) <= set(dir(fastinv))
    with pytest.raises(AttributeError, match="module 'fastinv' has no attribute 'TwinSlover'"):
        fastinv.TwinSlover  # noqa: B018


def test_type_checkers_see_what_python_finds():
    """The names come three times: for type checkers, in `__all__`, and with their homes."""
    tree = ast.parse(Path(fastinv.__file__).read_text("utf-8"))
    branch = next(node for node in tree.body if isinstance(node, ast.If))
    imported = [node for node in branch.body if isinstance(node, ast.ImportFrom)]
    seen = {(node.module, alias.name) for node in imported for alias in node.names}
    homes = {(home, name) for home, names in fastinv._HOMES.items() for name in names}
    submodules = {tuple(module.__name__.rsplit(".", 1)) for module in PUBLIC[1:]}
    assert seen == homes | submodules
    assert {name for _, name in seen} | {"__version__"} == set(fastinv.__all__)


@pytest.mark.parametrize(
    "package",
    [m for m in [fastinv, *all_modules()] if hasattr(m, "__path__")],
    ids=lambda package: package.__name__,
)
def test_no_name_hides_a_module(package):
    submodules = {info.name for info in pkgutil.iter_modules(package.__path__)}
    for name in submodules & set(public_names(package)):
        assert isinstance(getattr(package, name), ModuleType), f"{package.__name__}.{name}"


def exported() -> dict[Any, str]:
    """Public classes, with a name that a user can import them by."""
    return {
        value: f"{module.__name__}.{name}"
        for module in [fastinv, *all_modules()]
        for name in public_names(module)
        if isinstance(value := getattr(module, name), type)
    }


def signatures(value: Any) -> Iterator[Any]:
    """What has annotations: a function, or a class with its public methods and properties."""
    if inspect.isfunction(value):
        yield value
    elif isinstance(value, type):
        yield value
        for name, member in inspect.getmembers(value):
            if not name.startswith("_") or name in SPECIAL:
                member = member.fget if isinstance(member, property) else member
                if inspect.isfunction(member):
                    yield member


def annotations(function: Any, known: dict[Any, str]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError:  # of something that the module imports for type checkers only
        names = {known_class.__name__: known_class for known_class in known}
        return typing.get_type_hints(function, localns={"_core": fastinv._core} | names)


def classes(annotation: Any) -> Iterator[type]:
    """All classes that an annotation is made of."""
    if isinstance(annotation, type):
        yield annotation
    parts = annotation if isinstance(annotation, list) else typing.get_args(annotation)
    for part in parts:
        yield from classes(part)


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_what_signatures_speak_of_can_be_imported(module):
    known = exported()
    missing = {
        f"{name} of {function.__qualname__}: {found.__module__}.{found.__name__}"
        for public in public_names(module)
        for function in signatures(getattr(module, public))
        if str(getattr(function, "__module__", "")).startswith("fastinv.")
        for name, annotation in annotations(function, known).items()
        for found in classes(annotation)
        if found.__module__.startswith("fastinv.") and found not in known
        if not (name.startswith("_") or found.__module__ == "fastinv._core")
    }
    assert not missing
