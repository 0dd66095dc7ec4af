"""The layers of the package: imports go down only, make no circle, and take nothing private.

Read from the sources, without importing anything.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# From the bottom to the top. Those of one layer may import each other, but in no circle.
LAYERS = [
    {"_common"},
    {"functions"},
    {"backends"},
    {"solutions", "mixture", "problems", "robots"},
    {"training"},
    {"estimators"},
    {"solvers"},
    {
        *("calibration", "neighbors", "losses", "plots", "demo", "comparison", "metrics"),
        *("benchmarks", "reproduce", "cli", "__main__"),
    },
]
OPEN_TO_ALL = {"_core", "_common"}  # private to the package, not to its parts
MAX_FILES = 12


class Import(NamedTuple):
    """`importer`, a module, needs `imported`: a module, or a name in one."""

    importer: str
    imported: str
    for_types_only: bool

    def __str__(self) -> str:
        return f"{self.importer} -> {self.imported}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / "fastinv").rglob("*.py"))}


def statements(tree: ast.AST, for_types_only: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes, and whether only type checkers see them."""
    for node in ast.iter_child_nodes(tree):
        hidden = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        yield node, for_types_only
        yield from statements(node, for_types_only or hidden)


def imports_of(module: str) -> Iterator[Import]:
    for node, for_types_only in statements(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in found:
            if name.split(".")[0] == "fastinv":
                yield Import(module, name, for_types_only)


# The package itself imports from everywhere, when it is asked for something.
IMPORTS = [found for module in MODULES if module != "fastinv" for found in imports_of(module)]


def part(name: str) -> str:
    """The first name below fastinv, or nothing."""
    return ([*name.split("."), ""])[1]


def level(name: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if part(name) in layer)


def module_of(name: str) -> str:
    """The module that `name` is, or is in."""
    return name if name in MODULES else name.rpartition(".")[0]


def test_every_module_has_a_layer():
    parts = {part(name) for name in MODULES} - {""}
    assert parts == set().union(*LAYERS)


def test_imports_go_down():
    upward = {
        f"{found.importer} -> {module_of(found.imported)}"
        for found in IMPORTS
        if part(found.imported) not in ("_core", "")
        if level(found.imported) > level(found.importer)
    }
    assert upward == set()


def test_only_applications_import_the_package_itself():
    """Whose attributes are imported when they are asked for: a hidden way up."""
    importers = {found.importer for found in IMPORTS if found.imported == "fastinv"}
    assert {level(name) for name in importers} <= {len(LAYERS) - 1}


def test_imports_make_no_circle():
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in IMPORTS:
        if not found.for_types_only:
            graph[found.importer].add(module_of(found.imported))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def test_private_names_stay_at_home():
    private = set()
    for found in IMPORTS:
        names = found.imported.split(".")
        hidden = [i for i, name in enumerate(names) if name.startswith("_")]
        if not hidden or names[1] in OPEN_TO_ALL:
            continue
        home = ".".join(names[: hidden[0]])  # where the private name is, or its module
        if home in MODULES and MODULES[home].name != "__init__.py":
            home = home.rpartition(".")[0]
        if not f"{found.importer}.".startswith(f"{home}."):
            private.add(str(found))
    assert private == set()


def n_files(folder: Path) -> int:
    made = (".so", ".pyd", ".pyc")
    return sum(path.is_file() and path.suffix not in made for path in folder.iterdir())


def test_no_folder_is_overfull():
    folders = [
        Path(folder)
        for top in ("csrc", "fastinv", "tests", "bench")
        for folder, _, _ in os.walk(ROOT / top)
        if not any(part.startswith((".", "__")) for part in Path(folder).relative_to(ROOT).parts)
    ]
    counts = {str(folder.relative_to(ROOT)): n_files(folder) for folder in folders}
    overfull = {folder: count for folder, count in counts.items() if count > MAX_FILES}
    assert overfull == {}
