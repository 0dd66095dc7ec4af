"""How many threads: the argument, the environment, threadpoolctl."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import threadpoolctl

from fastinv import _core
from fastinv._common import threads as _threads
from fastinv._common.threadpool_limits import register_with_threadpoolctl
from fastinv._common.threads import resolve_n_threads, threads_that_pay


@pytest.fixture(autouse=True)
def no_limits(monkeypatch):
    monkeypatch.delenv("FASTINV_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    register_with_threadpoolctl()
    before = _core.get_num_threads()
    _core.set_num_threads(0)
    yield
    _core.set_num_threads(before)


@pytest.fixture
def eight_processors(monkeypatch):
    monkeypatch.setattr(_threads, "_n_processors", lambda: 8)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, 8),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"OMP_NUM_THREADS": " "}, 8),
        ({"FASTINV_NUM_THREADS": "5"}, 5),
        ({"FASTINV_NUM_THREADS": "5", "OMP_NUM_THREADS": "3"}, 5),
        ({"FASTINV_NUM_THREADS": "99"}, 8),
    ],
)
def test_default_obeys_environment(monkeypatch, eight_processors, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert resolve_n_threads(None) == expected
    assert resolve_n_threads(6) == 6  # the caller's own number stands above the environment


def test_the_environment_is_the_same_with_and_without_the_extension(monkeypatch):
    values = {"FASTINV_NUM_THREADS": "7", "OMP_NUM_THREADS": "é", "FASTINV_ISA": ""}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FASTINV_ABSENT", raising=False)
    names = (*values, "FASTINV_ABSENT")
    with_extension = [_threads._environment_variable(name) for name in names]
    monkeypatch.delitem(sys.modules, "fastinv._core")
    assert [_threads._environment_variable(name) for name in names] == with_extension
    assert with_extension == [*values.values(), ""]


@pytest.mark.parametrize("value", ["0", "-2", "many", "1.5", ",2"])
@pytest.mark.parametrize("name", ["FASTINV_NUM_THREADS", "OMP_NUM_THREADS"])
def test_bad_environment_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name):
        resolve_n_threads(None)


@pytest.mark.parametrize("n_threads", [0, -1])
def test_n_threads_out_of_range(n_threads):
    with pytest.raises(ValueError, match="n_threads must be positive"):
        resolve_n_threads(n_threads)


@pytest.mark.parametrize("n_threads", [1.0, "2", True])
def test_n_threads_of_wrong_kind(n_threads):
    with pytest.raises(TypeError, match="n_threads must be an integer"):
        resolve_n_threads(n_threads)


def test_threadpool_limits(eight_processors):
    with threadpoolctl.threadpool_limits(3):
        assert resolve_n_threads(None) == 3
        assert resolve_n_threads(6) == 3
        assert resolve_n_threads(2) == 2
        with threadpoolctl.threadpool_limits({"fastinv": 1}):
            assert resolve_n_threads(None) == 1
        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            assert resolve_n_threads(None) == 3
        assert resolve_n_threads(None) == 3
    assert resolve_n_threads(None) == 8
    assert _core.get_num_threads() == 0


def test_registered_once_and_listed():
    register_with_threadpoolctl()
    ours = [lib for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "fastinv"]
    assert [lib["filepath"] for lib in ours] == [os.path.realpath(_core.__file__)]


def test_small_work_takes_one_thread(eight_processors):
    small, large = 0.99 * _threads.MIN_FLOPS_FOR_THREADS, _threads.MIN_FLOPS_FOR_THREADS
    assert threads_that_pay(None, small) == 1
    assert threads_that_pay(None, large) == 8
    assert threads_that_pay(4, small) == 4
    with pytest.raises(ValueError, match="n_threads"):
        threads_that_pay(0, small)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processor affinity")
def test_affinity_is_obeyed():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from fastinv._common.threads import resolve_n_threads; print(resolve_n_threads(None))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
