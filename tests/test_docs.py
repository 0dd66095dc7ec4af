"""The pages of the documentation: their code runs and prints what they say it prints."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
BESIDE = ("../README.md", "../CONTRIBUTING.md")
# A block of code, and the block of output that follows it, if one does.
BLOCKS = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_code_runs_and_prints_what_is_shown(page, monkeypatch):
    monkeypatch.setenv("FASTINV_NUM_THREADS", "1")
    names: dict[str, object] = {}
    for code, expected in BLOCKS.findall((DOCS / page).read_text("utf-8")):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, page, "exec"), names)
        assert printed.getvalue() == expected


@pytest.mark.parametrize("page", [*PAGES, *BESIDE])
def test_files_that_are_named_exist(page):
    named = re.findall(
        r"`([\w./-]+/[\w.-]+\.(?:py|md|hpp|cpp|pyi|toml))`", (DOCS / page).read_text()
    )
    roots = (ROOT, ROOT / "fastinv", ROOT / "csrc")
    missing = [name for name in named if not any((root / name).exists() for root in roots)]
    assert not missing


def test_there_is_code_and_output_to_check():
    found = [block for page in PAGES for block in BLOCKS.findall((DOCS / page).read_text("utf-8"))]
    n_fences = sum((DOCS / page).read_text("utf-8").count("```python") for page in PAGES)
    assert len(found) == n_fences > 8
    assert sum(bool(expected) for _, expected in found) > 8
