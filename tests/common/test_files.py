"""Files are written whole or not at all, by several writers at once, and through symbolic links."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from matplotlib.figure import Figure

import fastinv as fi
from fastinv._common.files import replace_file, save_figure

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from fastinv._common.files import replace_file
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
replace_file(Path(sys.argv[1]), b"half")
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_replaces_the_content(tmp_path):
    for content in (b"first", b"", b"second"):
        replace_file(tmp_path / "f", content)
        assert (tmp_path / "f").read_bytes() == content
    assert names(tmp_path) == ["f"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    replace_file(tmp_path / "f", b"")
    assert (tmp_path / "f").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_many_writers_of_one_file(tmp_path):
    contents = [bytes([i]) * 100_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            list(pool.map(replace_file, [tmp_path / "f"] * 8, contents))
            assert (tmp_path / "f").read_bytes() in contents
    assert names(tmp_path) == ["f"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_threads_that_checkpoint_to_one_path(tmp_path):
    X = np.linspace(-1, 1, 50)[:, None]
    model = fi.MLPRegressor(
        (3,), max_iter=30, checkpoint=tmp_path / "c", checkpoint_every=1, random_state=0
    )
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(fi.MLPRegressor(**model.get_params()).fit, X, X) for _ in range(4)]
        predictions = [future.result().predict(X) for future in futures]
    for prediction in predictions:
        np.testing.assert_array_equal(prediction, predictions[0])
    assert names(tmp_path) == ["c"]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    (tmp_path / ".f.mine.tmp").touch()  # no draft of ours
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, path])
        assert done.returncode < 0
    assert path.read_bytes() == b"old"
    assert len(names(tmp_path)) == 3
    replace_file(tmp_path / "other", b"")  # of another file
    assert len(names(tmp_path)) == 4
    replace_file(path, b"new")
    assert names(tmp_path) == [".f.mine.tmp", "f", "other"]


def test_what_is_being_written_is_not_removed(tmp_path, monkeypatch):
    fsync, first_is_writing, go_on = os.fsync, threading.Event(), threading.Event()

    def slow_at_first(descriptor):
        if not first_is_writing.is_set():
            first_is_writing.set()
            assert go_on.wait(10)
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", slow_at_first)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(replace_file, tmp_path / "f", b"slow")
        assert first_is_writing.wait(10)
        replace_file(tmp_path / "f", b"quick")
        assert (tmp_path / "f").read_bytes() == b"quick"
        go_on.set()
        first.result()
    assert (tmp_path / "f").read_bytes() == b"slow"
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("exists", [True, False])
def test_writes_through_symbolic_links(tmp_path, exists):
    (tmp_path / "disk").mkdir()
    target = tmp_path / "disk" / "real"
    if exists:
        target.write_bytes(b"old")
    (tmp_path / "link").symlink_to("second")
    (tmp_path / "second").symlink_to("disk/real")
    replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "second").is_symlink()
    assert target.read_bytes() == b"new"
    assert names(tmp_path / "disk") == ["real"]


def test_links_that_lead_nowhere(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "dangling").symlink_to("missing/f")
    with pytest.raises(OSError, match="symbolic links"):
        replace_file(tmp_path / "a", b"")
    with pytest.raises(FileNotFoundError, match="missing"):
        replace_file(tmp_path / "dangling", b"")
    assert names(tmp_path) == ["a", "b", "dangling"]


def test_what_is_no_file_is_written_to_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_bytes)
        replace_file(tmp_path / "pipe", b"through")
        assert read.result() == b"through"
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path, b"")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_checkpoint_in_the_folder_that_a_link_leads_to(tmp_path):
    X = np.linspace(-1, 1, 9)[:, None]
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/c")
    (tmp_path / "dangling").symlink_to("missing/c")
    options = {"max_iter": 2, "random_state": 0}
    fi.MLPRegressor((3,), checkpoint=tmp_path / "link", **options).fit(X, X)
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "disk") == ["c"]
    with pytest.raises(FileNotFoundError, match=r"checkpoint: there is no directory .*missing"):
        fi.MLPRegressor((3,), checkpoint=tmp_path / "dangling", **options).fit(X, X)


def test_figures(tmp_path):
    save_figure(Figure(), tmp_path / "f.PNG", dpi=20)
    save_figure(Figure(), tmp_path / "f.svg", dpi=20)
    assert (tmp_path / "f.PNG").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "f.svg").read_bytes()
    assert names(tmp_path) == ["f.PNG", "f.svg"]
