"""The examples in docstrings run, and give what they show."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import fastinv

NOT_TO_IMPORT = ("fastinv.__main__", "fastinv.benchmarks.__main__", "fastinv.benchmarks.peers.")


def examples() -> list[doctest.DocTest]:
    modules = [info.name for info in pkgutil.walk_packages(fastinv.__path__, "fastinv.")]
    found = [
        test
        for name in modules
        if not name.startswith(NOT_TO_IMPORT)
        for test in doctest.DocTestFinder().find(importlib.import_module(name), name)
    ]
    return [test for test in found if test.examples]


EXAMPLES = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example(example, monkeypatch):
    monkeypatch.setenv("FASTINV_NUM_THREADS", "1")
    report: list[str] = []
    failed = doctest.DocTestRunner().run(example, out=report.append).failed
    assert not failed, "".join(report)


def test_there_are_examples():
    assert len(EXAMPLES) > 20
