"""What setup.py decides: kernels for the machine that is built for, not the one that builds."""

import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

SETUP = Path(__file__).resolve().parents[2] / "setup.py"


class Nothing:
    """Stands for what builds."""

    def __init__(self, *arguments, **options):
        pass

    def install(self):
        pass


@pytest.fixture
def setup(monkeypatch):
    """The functions of setup.py, which builds nothing."""
    stand_ins = {
        "setuptools": ["setup"],
        "pybind11": [],
        "pybind11.setup_helpers": ["ParallelCompile", "Pybind11Extension", "build_ext"],
    }
    for name, contents in stand_ins.items():
        module = ModuleType(name)
        vars(module).update(dict.fromkeys(contents, Nothing))
        monkeypatch.setitem(sys.modules, name, module)
    return runpy.run_path(str(SETUP))


@pytest.mark.parametrize(
    ("platform", "arch_flags", "targets"),
    [
        ("linux-x86_64", "", {"x86_64"}),
        ("linux-aarch64", "", {"aarch64"}),
        ("linux-x86_64", "-arch arm64", {"x86_64"}),  # means nothing there
        ("win-amd64", "", {"x86_64"}),
        ("win-arm64", "", {"arm64"}),
        ("win32", "", {"win32"}),
        ("macosx-11.0-arm64", "", {"arm64"}),
        ("macosx-10.9-x86_64", "-arch arm64", {"arm64"}),
        ("macosx-10.9-universal2", "", {"x86_64", "arm64"}),
        ("macosx-10.9-universal2", "-arch x86_64", {"x86_64"}),
        ("macosx-11.0-arm64", "-arch x86_64 -arch arm64", {"x86_64", "arm64"}),
    ],
)
def test_the_machine_that_is_built_for_decides(setup, platform, arch_flags, targets):
    assert setup["target_architectures"](platform, arch_flags) == targets


def test_kernels_of_x86_are_built_for_x86_only(setup):
    kernel_flags = setup["kernel_flags"]
    assert list(kernel_flags({"aarch64"})) == ["csrc/kernels/isa_baseline.cpp"]
    alone, beside = kernel_flags({"x86_64"}), kernel_flags({"x86_64", "arm64"})
    assert list(alone) == list(beside)
    assert len(alone) == 3
    for source, flags in alone.items():
        assert beside[source][::2] == ["-Xarch_x86_64"] * len(flags)
        assert beside[source][1::2] == flags
