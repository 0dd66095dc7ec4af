"""Every backend offers the same methods, with the same arguments."""

from __future__ import annotations

import importlib
import inspect
import typing

import numpy as np
import pytest

from fastinv.backends import BACKENDS, Backend, ReferenceBackend, get_backend, protocol

BACKEND_CLASSES = {"cpp": "CppBackend", "reference": "ReferenceBackend"}
OBJECTS = ("Network", "Trainer", "NeighborIndex", "Anchors", "Pipeline", "Search")
# What the extension itself offers through an attribute of the instance.
NATIVE = {("cpp", "NeighborIndex"): {"try_query"}}
FACTORIES = {
    "network": "Network",
    "trainer": "Trainer",
    "mixture_trainer": "Trainer",
    "neighbors": "NeighborIndex",
    "anchors": "Anchors",
    "pipeline": "Pipeline",
    "search": "Search",
}


def public_methods(cls):
    return {
        name: member
        for name, member in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


def arguments(method):
    parameters = inspect.signature(method).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


def backend_module(name):
    return importlib.import_module(f"fastinv.backends.{name}")


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("cls", ["Backend", *OBJECTS])
def test_methods_and_arguments_are_those_of_the_protocol(name, cls):
    module = backend_module(name)
    implementation = getattr(module, BACKEND_CLASSES[name] if cls == "Backend" else cls)
    wanted, found = public_methods(getattr(protocol, cls)), public_methods(implementation)
    native = NATIVE.get((name, cls), set())
    assert set(found) | native == set(wanted)
    for method in found:
        assert arguments(found[method]) == arguments(wanted[method]), method


@pytest.mark.parametrize("name", BACKENDS)
def test_an_index_has_a_short_way_or_says_that_it_has_none(name):
    index = get_backend(name).neighbors(np.arange(7.0)[:, None])
    found = index.try_query(np.array([[2.2]]), 2, None)
    if found is None:
        return
    distances, indices = found
    np.testing.assert_allclose(distances, [[0.2, 0.8]])
    assert indices.tolist() == [[2, 3]]


@pytest.mark.parametrize("name", BACKENDS)
def test_factories_return_the_classes_of_their_module(name):
    module = backend_module(name)
    backend = getattr(module, BACKEND_CLASSES[name])
    for factory, cls in FACTORIES.items():
        returned = typing.get_type_hints(getattr(backend, factory))["return"]
        # A factory may also return the class for an f that only Python can evaluate.
        assert getattr(module, cls) in (typing.get_args(returned) or (returned,))


@pytest.mark.parametrize("name", BACKENDS)
def test_get_backend_by_name(name):
    backend = get_backend(name)
    assert backend.name == name
    assert isinstance(backend, Backend)
    assert get_backend(backend) is backend


def test_get_backend_takes_whatever_has_the_methods():
    class Delegating:
        def __init__(self, backend):
            self._backend = backend

        def __getattr__(self, name):
            return getattr(self._backend, name)

    for backend in (Delegating(ReferenceBackend()), ReferenceBackend()):
        assert get_backend(backend) is backend
    for other in (Delegating(3), object(), None):
        with pytest.raises(TypeError, match="a name or a Backend, got"):
            get_backend(other)


def test_auto_is_cpp():
    assert get_backend().name == get_backend("auto").name == "cpp"


def test_get_backend_with_an_instruction_set():
    assert get_backend("cpp", isa="baseline").isa == "baseline"
    with pytest.raises(ValueError, match=r"isa must be one of .*'baseline'.*got 'sse9'"):
        get_backend("cpp", isa="sse9")
    with pytest.raises(ValueError, match="got 'avx2' with 'reference'"):
        get_backend("reference", isa="avx2")
    with pytest.raises(ValueError, match="got 'avx2' with 'reference'"):
        get_backend(ReferenceBackend(), isa="avx2")


def test_the_environment_is_read_at_every_call(monkeypatch):
    monkeypatch.delenv("FASTINV_ISA", raising=False)
    best = get_backend().isa
    monkeypatch.setenv("FASTINV_ISA", "baseline")
    assert get_backend().isa == get_backend("cpp").isa == "baseline"
    assert get_backend("cpp", isa=best).isa == best
    monkeypatch.setenv("FASTINV_ISA", "z80")
    with pytest.raises(ValueError, match="'z80' is not available"):
        get_backend()
    monkeypatch.delenv("FASTINV_ISA")
    assert get_backend().isa == best


def test_get_backend_refuses_what_it_does_not_have():
    with pytest.raises(ValueError, match=r"'cuda' is not available .*choose auto, cpp, reference"):
        get_backend("cuda")
    with pytest.raises(ValueError, match="one of auto, cpp, reference, got 'torch'"):
        get_backend("torch")
    with pytest.raises(TypeError, match="a name or a Backend, got int"):
        get_backend(3)
