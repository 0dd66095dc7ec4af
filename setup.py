"""Builds fastinv._core: one extension whose kernels are compiled once per instruction set."""

import platform
import sys
from glob import glob

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
from setuptools import setup

IS_X86 = platform.machine().lower() in ("x86_64", "amd64", "x64")
MSVC = sys.platform == "win32"

KERNELS = {"csrc/kernels/isa_baseline.cpp": []}
if IS_X86:
    KERNELS |= {
        "csrc/kernels/isa_avx2.cpp": ["/arch:AVX2"] if MSVC else ["-mavx2", "-mfma"],
        "csrc/kernels/isa_avx512.cpp": ["/arch:AVX512"]
        if MSVC
        else [
            *("-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"),
            "-Wno-maybe-uninitialized",  # GCC 12 sees them in its own header
        ],
    }

SOURCES = [
    "csrc/module.cpp",
    "csrc/bindings/register_frozen.cpp",
    "csrc/bindings/register_kdtree.cpp",
    "csrc/bindings/register_mixture.cpp",
    "csrc/bindings/register_mlp.cpp",
    "csrc/bindings/register_pipeline.cpp",
    "csrc/bindings/register_runtime.cpp",
    "csrc/bindings/register_search.cpp",
    "csrc/bindings/solution.cpp",
    "csrc/function/differentiable.cpp",
    "csrc/base/dispatch.cpp",
    "csrc/kdtree/kdtree.cpp",
    "csrc/mlp/mlp.cpp",
    "csrc/solve/search/path.cpp",
    "csrc/solve/pipeline.cpp",
    "csrc/solve/pipeline_rank.cpp",
    "csrc/solve/pipeline_twin.cpp",
    "csrc/solve/polish.cpp",
    "csrc/solve/search/search.cpp",
    "csrc/solve/search/starts.cpp",
    "csrc/mlp/trainer.cpp",
]

# Products and sums are fused only where the kernels say so: the same bits from every compiler
# setting, and from vector code and its scalar remainder.
COMMON_FLAGS = ["/O2"] if MSVC else ["-O3", "-ffp-contract=off", "-pthread"]


class BuildPerInstructionSet(build_ext):
    """Compiles each kernel file with its own flags, the rest as usual."""

    def build_extension(self, ext):
        for source, flags in KERNELS.items():
            ext.extra_objects += self.compiler.compile(
                [source],
                output_dir=self.build_temp,
                include_dirs=ext.include_dirs,
                macros=ext.define_macros,
                extra_postargs=[*ext.extra_compile_args, *flags],
                depends=ext.depends,
            )
        super().build_extension(ext)


extension = Pybind11Extension(
    "fastinv._core",
    SOURCES,
    cxx_std=17,
    include_dirs=["csrc"],
    depends=[*KERNELS, *glob("csrc/**/*.hpp", recursive=True)],
    define_macros=[("FASTINV_X86", "1")] if IS_X86 else [],
    extra_compile_args=COMMON_FLAGS,
    extra_link_args=[] if MSVC else ["-pthread"],
)

ParallelCompile().install()
setup(ext_modules=[extension], cmdclass={"build_ext": BuildPerInstructionSet})
