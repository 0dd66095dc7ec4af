"""What the files around the code say about it agrees."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def fields(name: str) -> dict[str, str]:
    """The lines ``key: value`` at the left edge of a YAML file."""
    lines = re.findall(r"^([\w-]+): (.+)$", (ROOT / name).read_text("utf-8"), re.MULTILINE)
    return {key: value.strip('"') for key, value in lines}


def test_citation_is_of_this_version():
    citation = fields("CITATION.cff")
    assert citation["title"] == PROJECT["name"]
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["abstract"] == PROJECT["description"]


def test_license_is_the_one_that_is_declared():
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert PROJECT["license"] == "BSD-3-Clause"
    assert text.startswith("BSD 3-Clause License\n\nCopyright (c) 2026, the fastinv developers\n")
    assert PROJECT["license-files"] == ["LICENSE"]


def test_hooks_before_commits_download_nothing():
    text = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert set(re.findall(r"repo: (.*)", text)) == {"local"}
    assert set(re.findall(r"language: (.*)", text)) == {"system"}
