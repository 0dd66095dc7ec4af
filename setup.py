"""Builds fastinv._core: one extension whose kernels are compiled once per instruction set."""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from glob import glob

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
from setuptools import setup

MSVC = sys.platform == "win32"

BASELINE = "csrc/kernels/isa_baseline.cpp"
X86_KERNELS = {
    "csrc/kernels/isa_avx2.cpp": ["/arch:AVX2"] if MSVC else ["-mavx2", "-mfma"],
    "csrc/kernels/isa_avx512.cpp": ["/arch:AVX512"]
    if MSVC
    else [
        *("-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"),
        "-Wno-maybe-uninitialized",  # GCC 12 sees them in its own header
    ],
}


def target_architectures(platform, arch_flags):
    """What the compiler builds for: not always what it runs on.

    `platform` is named as by `sysconfig.get_platform`, the system first and the machine last;
    `arch_flags` is the environment's ARCHFLAGS, which decides on macOS.
    """
    names = re.findall(r"-arch\s+(\S+)", arch_flags) if platform.startswith("macosx") else []
    if not names:
        machine = platform.lower().rpartition("-")[2]
        names = ["x86_64", "arm64"] if machine == "universal2" else [machine]
    return {"x86_64" if name == "amd64" else name for name in names}


def kernel_flags(targets):
    """The kernel files and the flags of each. Flags of one target among several say so."""
    kernels = {BASELINE: []}
    if "x86_64" not in targets:
        return kernels
    if len(targets) == 1:
        return kernels | X86_KERNELS
    return kernels | {
        source: [word for flag in flags for word in ("-Xarch_x86_64", flag)]
        for source, flags in X86_KERNELS.items()
    }


SOURCES = sorted(set(glob("csrc/**/*.cpp", recursive=True)) - set(glob("csrc/kernels/*.cpp")))

# Products and sums are fused only where the kernels say so: the same bits from every compiler
# setting, and from vector code and its scalar remainder.
COMMON_FLAGS = ["/O2"] if MSVC else ["-O3", "-ffp-contract=off", "-pthread"]
# For compiler and linker: tools/sanitize says here how to build.
MORE_FLAGS = os.environ.get("FASTINV_FLAGS", "").split()


class BuildPerInstructionSet(build_ext):
    """Compiles each kernel file with its own flags, the rest as usual."""

    def build_extension(self, ext):
        targets = target_architectures(self.plat_name, os.environ.get("ARCHFLAGS", ""))
        if "x86_64" in targets:
            ext.define_macros.append(("FASTINV_X86", "1"))

        def compiled(source_and_flags):
            source, flags = source_and_flags
            return self.compiler.compile(
                [source],
                output_dir=self.build_temp,
                include_dirs=ext.include_dirs,
                macros=ext.define_macros,
                extra_postargs=[*ext.extra_compile_args, *flags],
                depends=ext.depends,
            )

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for objects in pool.map(compiled, kernel_flags(targets).items()):
                ext.extra_objects += objects
        super().build_extension(ext)


extension = Pybind11Extension(
    "fastinv._core",
    SOURCES,
    cxx_std=17,
    include_dirs=["csrc"],
    depends=[BASELINE, *X86_KERNELS, *glob("csrc/**/*.hpp", recursive=True)],
    extra_compile_args=[*COMMON_FLAGS, *MORE_FLAGS],
    extra_link_args=([] if MSVC else ["-pthread"]) + MORE_FLAGS,
)

ParallelCompile().install()
setup(ext_modules=[extension], cmdclass={"build_ext": BuildPerInstructionSet})
