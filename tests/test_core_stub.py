"""``fastinv/_core.pyi`` says what the compiled extension offers: names, signatures, options."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import fastinv
from fastinv import _core

STUB = Path(fastinv.__file__).parent / "_core.pyi"


class Parameter(NamedTuple):
    name: str
    has_default: bool
    annotation: str

    def agrees_with(self, compiled: Parameter) -> bool:
        """Types are compared by whether None is one: pybind11 knows little more of arrays."""
        none_agrees = self.takes_none == compiled.takes_none or compiled.annotation == "object"
        return self[:2] == compiled[:2] and none_agrees

    @property
    def takes_none(self) -> bool:
        return bool(re.search(r"\bNone\b", self.annotation))


def test_stubtest(tmp_path):
    """The names, their kinds, and the bases of classes."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "fastinv._core", "--concise"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    differences = [
        line
        for line in done.stdout.splitlines()
        # pybind11 gives each class a metaclass of its own, which no stub can name.
        if not line.endswith("is inconsistent, metaclass differs")
        # What has no constructor gets one that refuses whatever it is given.
        and not line.endswith('__init__ is inconsistent, stub does not have *args parameter "args"')
        and not line.startswith("Success")
    ]
    assert done.stdout or done.returncode == 0, done.stderr
    assert not differences


def stub_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Each function and method of the stub, with its dotted name."""
    for node in ast.parse(STUB.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    yield f"{node.name}.{member.name}", member


def parameters(function: ast.FunctionDef) -> list[Parameter]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    found = [*zip(positional, defaults, strict=True)]
    found += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    n_unnamed = len(arguments.posonlyargs)
    return [
        Parameter(
            "" if i < n_unnamed else argument.arg,
            default is not None,
            ast.unparse(argument.annotation),
        )
        for i, (argument, default) in enumerate(found)
        if argument.arg not in ("self", "cls")
    ]


def compiled_parameters(name: str) -> list[Parameter] | None:
    """What the first line of pybind11's docstring says; None for what has no such line."""
    found = _core
    for part in name.split("."):
        found = getattr(found, part)
    first = (inspect.getdoc(found) or "").split("\n")[0]
    signature = re.fullmatch(r"\w+(\(.*\) -> .*)", first)
    if signature is None:
        return None
    tree = ast.parse(f"def f{signature[1]}: ...").body[0]
    assert isinstance(tree, ast.FunctionDef)
    # pybind11 calls a parameter that has no name arg0, arg1 ...
    return [p._replace(name="") if re.fullmatch(r"arg\d+", p.name) else p for p in parameters(tree)]


STUB_FUNCTIONS = dict(stub_functions())


@pytest.mark.parametrize("name", STUB_FUNCTIONS)
def test_parameters(name):
    compiled = compiled_parameters(name)
    if compiled is None:  # a property, or written against Python's own C API
        return
    stub = parameters(STUB_FUNCTIONS[name])
    assert len(stub) == len(compiled)
    for ours, theirs in zip(stub, compiled, strict=True):
        assert ours.agrees_with(theirs), f"{ours} in the stub, {theirs} in the extension"


def test_most_signatures_are_compared():
    compared = [name for name in STUB_FUNCTIONS if compiled_parameters(name) is not None]
    assert len(compared) > 0.6 * len(STUB_FUNCTIONS)


@pytest.mark.parametrize("name", ["elementary_float32", "elementary_float64"])
def test_elementary_functions(name):
    option = STUB_FUNCTIONS[name].args.args[0].annotation
    x = np.ones(1, dtype=name.removeprefix("elementary_"))
    with pytest.raises(ValueError, match="function must be") as refused:
        getattr(_core, name)("", x, x.copy(), "baseline")
    known = str(refused.value).split(", got")[0]
    assert re.findall(r"'(\w+)'", ast.unparse(option)) == re.findall(r"'(\w+)'", known)
