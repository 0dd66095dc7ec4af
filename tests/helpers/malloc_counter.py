"""A library that counts calls of malloc, to be loaded before a program's own (LD_PRELOAD)."""

import subprocess
from pathlib import Path

COUNTER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
static long count;
void *malloc(size_t n) {
  static void *(*real)(size_t);
  if (!real) real = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
  __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
  return real(n);
}
long malloc_count(void) { return count; }
"""


def build(folder: Path) -> Path:
    """The library, compiled in `folder`."""
    source, library = folder / "counter.c", folder / "counter.so"
    source.write_text(COUNTER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library
