"""What `import fastinv` costs, and what works and what is said where nothing is compiled."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import fastinv

PACKAGE = Path(fastinv.__file__).parent
REFERENCE = """
import sys, numpy as np
from fastinv.functions.networks import NetworkSpec
from fastinv.backends import PipelineOptions, get_backend
from fastinv.backends.reference import ReferenceBackend
backend = get_backend("reference")
assert isinstance(backend, ReferenceBackend)
distances, indices = backend.neighbors(np.array([[0.0], [1.0], [3.0]])).query(np.array([[1.2]]), 2)
print(indices.tolist(), "fastinv._core" in sys.modules)
"""
REFERENCE_ESTIMATOR = """
import numpy as np, fastinv as fi
X = np.linspace(-1, 1, 20)[:, None]
net = fi.MLPRegressor((4,), max_iter=2, backend="reference", random_state=0).fit(X, X[:, 0])
print(net.predict(X).shape)
"""


@pytest.fixture(scope="module")
def uncompiled(tmp_path_factory):
    """A folder that holds a copy of the package without its extension."""
    folder = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("_core*.so", "_core*.pyd", "__pycache__")
    shutil.copytree(PACKAGE, folder / "fastinv", ignore=ignored)
    return folder


# An editable installation finds the extension wherever the package is imported from.
WITHOUT_EDITABLE = """
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "Editable" not in getattr(f, "__name__", "")]
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Python started in `folder`, whose modules are found first."""
    code = WITHOUT_EDITABLE + code if (folder / "fastinv").exists() else code
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def printed(code: str, folder: Path) -> str:
    done = run(code, folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_nothing_heavy(tmp_path):
    heavy = ("numpy", "scipy", "sklearn", "numba", "joblib", "matplotlib", "rich", "safetensors")
    loaded = printed(
        f"import sys, fastinv; print([m for m in {heavy} if m in sys.modules])", tmp_path
    )
    assert loaded == "[]"


def test_import_works_without_the_extension(uncompiled):
    where = printed(
        "import fastinv; print(fastinv.__file__, 'TwinSolver' in dir(fastinv))", uncompiled
    )
    assert where == f"{uncompiled / 'fastinv' / '__init__.py'} True"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (REFERENCE, "[[1, 0]] False"),
        (REFERENCE_ESTIMATOR, "(20,)"),
        ("import fastinv.backends.reference as r; print(r.ReferenceBackend.name)", "reference"),
        ("import fastinv as fi; print(fi.Mixture.__name__)", "Mixture"),
    ],
    ids=["reference", "estimator", "module", "mixture"],
)
def test_reference_works_without_the_extension(uncompiled, code, expected):
    assert printed(code, uncompiled) == expected


@pytest.mark.parametrize(
    "code",
    [
        "from fastinv import _core",
        "import fastinv; fastinv.TwinSolver",
        "from fastinv import Solutions",
        "from fastinv.backends import get_backend; get_backend('cpp')",
        "import fastinv; hasattr(fastinv, '_core')",
    ],
)
def test_what_needs_the_extension_says_what_is_wrong(uncompiled, code):
    error = run(code, uncompiled).stderr
    last = error.splitlines()[-1]
    assert last.startswith("ImportError: fastinv is not compiled in")
    assert str(uncompiled / "fastinv") in last
    assert "Start Python in another folder" in last
    assert "pip install" in last
    assert "The above exception was the direct cause" in error


def test_folder_of_the_sources_is_what_to_install(uncompiled, tmp_path):
    shutil.copytree(uncompiled / "fastinv", tmp_path / "fastinv")
    (tmp_path / "pyproject.toml").touch()
    assert f"pip install -e {tmp_path}" in run("from fastinv import _core", tmp_path).stderr


def test_extension_of_another_python_is_named(uncompiled, tmp_path):
    shutil.copytree(uncompiled / "fastinv", tmp_path / "fastinv")
    (tmp_path / "fastinv" / "_core.cpython-27-x86_64-linux-gnu.so").touch()
    last = run("from fastinv import _core", tmp_path).stderr.splitlines()[-1]
    assert "is compiled for cpython-27-x86_64-linux-gnu, not for this Python" in last
    assert str(sysconfig.get_config_var("SOABI")) in last


def test_extension_that_does_not_load_is_named(uncompiled, tmp_path):
    shutil.copytree(uncompiled / "fastinv", tmp_path / "fastinv")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    (tmp_path / "fastinv" / f"_core{suffix}").write_bytes(b"no library")
    done = run("from fastinv import _core", tmp_path)
    assert f"_core{suffix} cannot be loaded" in done.stderr.splitlines()[-1]


def test_limits_hold_for_what_is_first_used_inside(tmp_path):
    code = (
        "import fastinv, threadpoolctl\n"
        "with threadpoolctl.threadpool_limits(3, user_api='fastinv'):\n"
        "    from fastinv._common.threads import resolve_n_threads\n"
        "    print(resolve_n_threads(8), resolve_n_threads(2))\n"
        "print(resolve_n_threads(8))"
    )
    assert printed(code, tmp_path).split() == ["3", "2", "8"]
