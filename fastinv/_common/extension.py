"""Loads the compiled extension, and tells users what to do if it is missing."""

from __future__ import annotations

import sys
import sysconfig
from importlib import import_module
from pathlib import Path
from types import ModuleType

NAME = "fastinv._core"


def load_extension() -> ModuleType:
    """The module ``fastinv._core``.

    Raises
    ------
    ImportError
        It is not compiled, was compiled for another Python, or cannot be loaded. The message
        gives the reason and what to do.
    """
    try:
        return import_module(NAME)
    except ImportError as error:
        folder = Path(__file__).parents[1]
        raise ImportError(f"{_reason(folder, error)}. {_remedy(folder)}", name=NAME) from error


def _reason(folder: Path, error: ImportError) -> str:
    found = sorted(path for path in folder.glob("_core.*") if path.suffix in (".so", ".pyd"))
    if not found:
        return f"fastinv is not compiled in {folder}"
    if isinstance(error, ModuleNotFoundError) and error.name == NAME:
        compiled_for = " and ".join(path.name.split(".")[1] for path in found)
        this_python = sysconfig.get_config_var("SOABI")
        return (
            f"fastinv in {folder} is compiled for {compiled_for}, "
            f"not for this Python ({this_python})"
        )
    return f"{error.path or found[0]} cannot be loaded: {error}"


def _remedy(folder: Path) -> str:
    project = folder.parent
    if (project / "pyproject.toml").is_file():
        install = f"compile this copy: {sys.executable} -m pip install -e {project}"
    else:
        install = f"install fastinv again: {sys.executable} -m pip install, from its sources"
    return f"Start Python in another folder to use the installed fastinv, or {install}"
