"""Kernels behind one protocol: ``reference`` (NumPy, the oracle) and ``cpp`` (the default)."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from fastinv.backends.protocol import (
    Anchors,
    Backend,
    CandidateFlag,
    Candidates,
    NeighborIndex,
    Network,
    Pipeline,
    PipelineOptions,
    Polished,
    Ranked,
    Search,
    Track,
    Trainer,
    TwinModel,
)
from fastinv.backends.reference import ReferenceBackend

if TYPE_CHECKING:
    from fastinv.backends.cpp import CppBackend

__all__ = [
    "BACKENDS",
    "Anchors",
    "Backend",
    "CandidateFlag",
    "Candidates",
    "NeighborIndex",
    "Network",
    "Pipeline",
    "PipelineOptions",
    "Polished",
    "Ranked",
    "ReferenceBackend",
    "Search",
    "Track",
    "Trainer",
    "TwinModel",
    "get_backend",
]

BACKENDS = ("cpp", "reference")


def get_backend(name: str | Backend = "auto", isa: str | None = None) -> Backend:
    """The backend of that name.

    Parameters
    ----------
    name : {"auto", "cpp", "reference"} or Backend, default="auto"
        "auto" is "cpp". A backend is returned as it is.
    isa : str or None, default=None
        The instruction set of the C++ kernels; None takes the best that this CPU has, or what
        the environment variable ``FASTINV_ISA`` names.

    Raises
    ------
    ValueError
        If the backend or the instruction set is not available, or if `isa` is given where it
        has no meaning.
    TypeError
        If `name` is neither a string nor a backend.
    """
    if not isinstance(name, str):
        if not (_has_all_of_a_backend(type(name)) or isinstance(name, Backend)):
            raise TypeError(f"backend must be a name or a Backend, got {type(name).__name__}")
        _refuse_isa(isa, repr(name.name))
        return name
    if name == "reference":
        _refuse_isa(isa, "'reference'")
        return ReferenceBackend()
    if name in ("auto", "cpp"):
        return _cpp_backend()(isa)
    available = ", ".join(("auto", *BACKENDS))
    if name == "cuda":
        raise ValueError(f"backend 'cuda' is not available in this version; choose {available}")
    raise ValueError(f"backend must be one of {available}, got {name!r}")


@lru_cache(maxsize=32)
def _has_all_of_a_backend(cls: type) -> bool:
    # Cached per class, because the check takes longer than many calls of a backend.
    return isinstance(cls, Backend)


@cache
def _cpp_backend() -> type[CppBackend]:
    # Imported here so that the reference works where the extension has not been compiled.
    from fastinv.backends.cpp import CppBackend

    return CppBackend


def _refuse_isa(isa: str | None, backend: str) -> None:
    if isa is not None:
        raise ValueError(
            f"isa can be chosen for backend 'cpp' by name only, got {isa!r} with {backend}"
        )
