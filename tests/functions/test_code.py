"""Code that kernels call is kept in memory for as long as they may call it."""

import gc
import threading
import weakref

import numpy as np
import pytest
from chains import REFERENCE, Setup, code_of

from fastinv import _core
from fastinv.backends import get_backend
from fastinv.functions import CompiledCode, Goal, RowCode


def square(x):
    return x**2


def owned(jacobian=None):
    """A code for y = x², and what to see its owners' end by."""
    code = code_of(square, 1, 1, jacobian)
    owners = [rows.owner for rows in (code.values, code.jacobian) if rows is not None]
    return code, [weakref.ref(owner) for owner in owners]


def alive(references):
    gc.collect()
    return [reference() is not None for reference in references]


def setup_of(code):
    anchors = np.arange(-3.0, 4.0)[:, None]
    return Setup(anchors, anchors**2, code, polish=True, tol=1e-9)


@pytest.mark.parametrize("jacobian", [None, lambda x: 2 * x])
def test_a_native_pipeline_owns_the_code(jacobian):
    code, references = owned(jacobian)
    native = setup_of(code).pipeline(get_backend("cpp")).native()
    del code
    assert all(alive(references))
    x, residual, _, _ = native.solve(Goal(np.array([[2.0]]), 1e-9), 7, 2, 1)
    np.testing.assert_allclose(np.abs(x.ravel()), np.sqrt(2.0))
    assert residual.max() < 1e-14
    del native
    assert not any(alive(references))


def test_a_native_search_owns_the_code():
    code, references = owned(lambda x: 2 * x)
    kernel = setup_of(code).search(get_backend("cpp"))._kernel
    del code
    assert all(alive(references))
    jacobians = np.empty((1, 1, 1))
    kernel.jacobians(np.array([[1.5]]), jacobians)
    assert jacobians.item() == 3.0
    del kernel
    assert not any(alive(references))


def test_a_native_function_owns_the_code():
    code, references = owned()
    function = _core.compiled_function(1, 1, code.values, code.jacobian)
    del code
    assert alive(references) == [True]
    out = np.empty((2, 1))
    function.values(np.array([[3.0], [4.0]]), out, 1)
    assert out.ravel().tolist() == [9.0, 16.0]
    del function
    assert alive(references) == [False]


def test_the_reference_keeps_its_problem():
    code, references = owned()
    pipeline = setup_of(code).pipeline(REFERENCE)
    del code
    assert alive(references) == [True]
    found = pipeline.solve(Goal(np.array([[4.0]]), 1e-9), n_candidates=7, k=2)
    assert np.abs(found.x).ravel().tolist() == [2.0, 2.0]


def test_an_address_of_nothing_is_refused():
    nothing = CompiledCode(1, 1, RowCode(0, None))
    with pytest.raises(ValueError, match="the address of machine code must not be null"):
        setup_of(nothing).pipeline(get_backend("cpp"))
    real = code_of(square, 1, 1)
    broken = CompiledCode(1, 1, real.values, RowCode(0, None))
    with pytest.raises(ValueError, match="the address of machine code must not be null"):
        setup_of(broken).pipeline(get_backend("cpp"))


@pytest.mark.parametrize(("p", "q"), [(2, 1), (1, 2)])
def test_code_of_other_sizes_is_refused(p, q):
    """As kernels would read or write beyond their arrays."""
    code = code_of(lambda x: np.zeros(q), p, q)
    with pytest.raises(ValueError, match="function must have the inputs of the region"):
        setup_of(code).pipeline(get_backend("cpp"))


def test_an_owner_may_go_on_any_thread():
    """The pipeline dies on a thread that runs no Python of its own: it takes the lock first."""
    code, references = owned()
    kept = [setup_of(code).pipeline(get_backend("cpp")).native()]
    del code
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join()
    assert alive(references) == [False]
