"""``fastinv info``: the abilities of this installation on this machine."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
from rich.table import Table

import fastinv
from fastinv import _core
from fastinv._common.threads import resolve_n_threads
from fastinv.backends import BACKENDS, get_backend
from fastinv.cli._console import WRONG_USE, JsonOption, fail, output, print_json

_VARIABLES = ("FASTINV_ISA", "FASTINV_NUM_THREADS", "OMP_NUM_THREADS")


def info(as_json: JsonOption = False) -> None:
    """Print the version, the instruction sets, the threads, and the backends that work here."""
    found = describe()
    if as_json:
        print_json(found)
    else:
        output().print(_table(found))
    if not all(backend["works"] for backend in found["backends"].values()):
        fail("not every backend works here", WRONG_USE)


def describe() -> dict[str, Any]:
    """The content of `info`, in types of JSON."""
    try:
        n_threads = resolve_n_threads()
    except ValueError as error:
        fail(str(error), WRONG_USE)
    try:
        isa = _core.default_isa()
    except ValueError:
        isa = None  # FASTINV_ISA names none of them; the backend cpp reports it below
    return {
        "version": fastinv.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "instruction_set": isa,
        "instruction_sets_available": list(_core.isas()),
        "threads": n_threads,
        "backends": {name: _try_backend(name) for name in BACKENDS},
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def _try_backend(name: str) -> dict[str, Any]:
    """Whether the backend loads and ranks two numbers correctly; if not, why."""
    try:
        order = get_backend(name).rank(np.array([[2.0, 1.0]]))
    except (ImportError, ValueError) as error:
        return {"works": False, "reason": str(error)}
    if order.tolist() != [[1, 0]]:
        return {"works": False, "reason": f"it ranks (2, 1) as {order.tolist()}"}
    return {"works": True, "reason": None}


def _table(found: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("fastinv", found["version"])
    table.add_row("Python", f"{found['python']}, {found['platform']}")
    available = ", ".join(found["instruction_sets_available"])
    chosen = found["instruction_set"] or "none"
    table.add_row("instruction set", f"{chosen} (available: {available})")
    table.add_row("threads", str(found["threads"]))
    for name, backend in found["backends"].items():
        table.add_row(f"backend {name}", "works" if backend["works"] else backend["reason"])
    for name, value in found["environment"].items():
        table.add_row(name, value)
    return table
