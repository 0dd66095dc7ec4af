"""The other packages: imported only when they are needed."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

# Name on the command line: (module, distribution).
PEERS = {
    "torch": ("torch", "torch"),
    "jax": ("jax", "jax"),
    "sklearn": ("sklearn.neighbors", "scikit-learn"),
    "keras": ("keras", "keras"),
    "cKDTree": ("scipy.spatial", "scipy"),
    "pykdtree": ("pykdtree.kdtree", "pykdtree"),
}


class PeerUnavailable(Exception):
    """Why a peer cannot be measured here, in words that follow "torch: "."""


def load(name: str) -> Any:
    """The module of the peer called `name`.

    Raises
    ------
    PeerUnavailable
        If it, or something that it needs, is not installed.
    """
    module, distribution = PEERS[name]
    try:
        return import_module(module)
    except ImportError as error:
        if peer_version(name) is None:
            raise PeerUnavailable("not installed") from error
        raise PeerUnavailable(f"{distribution} cannot be imported: {error}") from error


def peer_version(name: str) -> str | None:
    """The version that is installed, None if there is none."""
    try:
        return version(PEERS[name][1])
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Versions of the installed peers, by the names of their distributions."""
    found = {PEERS[name][1]: peer_version(name) for name in PEERS}
    return {name: number for name, number in found.items() if number is not None}


def usable_processors() -> list[int]:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def require_processors(n_threads: int) -> None:
    """Refuse a peer that takes all processors it may use, unless these are `n_threads`.

    Raises
    ------
    PeerUnavailable
    """
    n = len(usable_processors())
    if n != n_threads:
        raise PeerUnavailable(
            f"takes the processors it may use, {n}, where the work has {n_threads} threads"
        )
