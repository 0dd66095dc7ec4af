"""``fastinv bench`` and the works behind it: answers, events and messages; never a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from typer.testing import CliRunner

from fastinv import _core, benchmarks
from fastinv.benchmarks import (
    Job,
    Settings,
    Side,
    Work,
    children,
    disagreement,
    machine,
    measure,
)
from fastinv.benchmarks.children import ChildFailed, choose_processors
from fastinv.benchmarks.memory import workspace
from fastinv.benchmarks.peers import peers
from fastinv.benchmarks.registry import find_works, works
from fastinv.cli import app

RESULT_KEYS = {
    "work", "title", "n_threads", "unit", "n_units", "single_calls", "ours", "peers",
    "ceilings", "ceiling",
}  # fmt: skip


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """In this process; children measure as they always do."""
    monkeypatch.setattr(machine, "_FMA_SECONDS", 1e-4)
    monkeypatch.setattr(machine, "_COPY_BYTES", 2**16)
    monkeypatch.setattr(measure, "_SAMPLE_SECONDS", 1e-4)


@pytest.fixture
def run(monkeypatch):
    monkeypatch.delenv("FASTINV_ISA", raising=False)
    monkeypatch.delenv("FASTINV_NUM_THREADS", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    return lambda *arguments: CliRunner().invoke(app, ["bench", *arguments])


@pytest.fixture
def in_this_process(monkeypatch):
    """What is patched here is measured, too."""
    monkeypatch.setattr(benchmarks, "run_in_children", benchmarks.run_works)


def side(values, calls=None, name=""):
    def work():
        if calls is not None:
            calls.append(name)
        return np.asarray(values, dtype=float)

    return Side(work, lambda: (np.asarray(values, dtype=float),))


def tiny(theirs, calls=None, **options):
    """A work whose other side, by the name of "torch", is `theirs`."""

    def make():
        if isinstance(theirs, Exception):
            raise theirs
        return side(theirs, calls, "torch")

    options = {"peers": {"torch": "Torch by name"}, "n_threads": 1} | options
    job = Job(side([1.0, 2.0], calls, "fastinv"), {"torch": make})
    return Work("tiny", "a tiny work", lambda n_threads: job, **options)


def measured(work, **settings):
    return list(benchmarks.run_works([work], Settings(("torch",), **{"repeats": 3} | settings)))


def test_names_and_peers():
    for name, work in works().items():
        assert work.name == name
        assert set(work.peers) <= set(benchmarks.PEERS)
        assert work.n_threads == 1 or not work.single_calls
    assert [work.name for work in find_works(["mixture-32", "train-64-32", "mixture-32"])] == [
        "train-64-32",
        "mixture-32",
    ]


def test_unknown_work_lists_all():
    with pytest.raises(ValueError, match=r"'fly'; there are: train-640-32, .*mixture-32$"):
        find_works(["mixture-32", "fly"])


@pytest.mark.parametrize(
    ("ours", "theirs", "norm", "agrees"),
    [
        ([1.0, 100.0], [1.0009, 100.0], "max", True),
        ([1.0, 100.0], [1.2, 100.0], "max", False),
        ([1.0, 100.0], [1.2, 100.0], "euclidean", False),
        ([100.0] * 400, [100.0] * 399 + [101.0], "max", False),
        ([100.0] * 400, [100.0] * 399 + [101.0], "euclidean", True),
        ([np.nan], [np.nan], "max", False),
        ([np.inf], [np.inf], "max", False),
        ([1.0], [np.nan], "euclidean", False),
        ([1.0], [1.0, 1.0], "max", False),
        ([], [], "euclidean", True),
        ([0.0], [0.0], "max", True),
    ],
)
def test_disagreement(ours, theirs, norm, agrees):
    work = replace(tiny([0.0]), norm=norm, tolerance=1e-3)
    with np.errstate(invalid="ignore"):
        found = disagreement(work, (np.array(ours),), (np.array(theirs),))
    assert (found is None) == agrees, found


def test_disagreement_in_number_of_arrays():
    assert disagreement(tiny([0.0]), (np.ones(1),), ()) == "1 arrays against 0"


def test_result_of_runs():
    *_, result = measured(tiny([1.0, 2.0], n_units=4, unit="step", flops=8.0))
    assert result.keys() == {"event"} | RESULT_KEYS
    assert result["event"] == "result"
    ours, theirs = result["ours"], result["peers"]["torch"]
    assert theirs["label"] == "Torch by name"
    assert theirs["ratio"] == theirs["median"] / ours["median"]
    for times in (ours, theirs):
        assert len(times["samples"]) == 3
        assert times["median"] == np.median(times["samples"])
        assert times["min"] == min(times["samples"]) > 0.0
        assert "workspace_bytes" in times
    ceiling = result["ceiling"]
    assert ceiling["kind"] == "fma"
    rate = 8.0 / (4 * ours["median"])
    assert ceiling["fraction"] == pytest.approx(rate / result["ceilings"]["fma_flops"])


def test_ceiling_of_copies_and_none():
    *_, result = measured(tiny([1.0, 2.0], n_bytes=16.0))
    fraction = 16.0 / result["ours"]["median"] / result["ceilings"]["copy_bytes"]
    assert result["ceiling"] == {"kind": "copy", "fraction": pytest.approx(fraction)}
    assert measured(tiny([1.0, 2.0]))[-1]["ceiling"] is None


def test_single_calls_are_interleaved():
    calls = []
    work = tiny([1.0, 2.0], calls, single_calls=True)
    *_, result = measured(work, quick=True)
    for times in (result["ours"], result["peers"]["torch"]):
        assert times["n_calls"] == 200
        assert times["min"] <= times["median"] <= times["p99"] <= times["p99.9"]
        assert "workspace_bytes" not in times
    turns = [calls[0]] + [b for a, b in pairwise(calls) if a != b]
    assert turns == ["fastinv", "torch"] * 2


def test_runs_are_interleaved():
    calls = []
    measured(tiny([1.0, 2.0], calls), repeats=5)
    turns = [calls[0]] + [b for a, b in pairwise(calls) if a != b]
    assert turns == ["fastinv", "torch"] * 7  # a first look, five samples, the workspace


def test_wrong_answer_is_reported_and_not_timed():
    calls = []
    started, mismatch, result = measured(tiny([1.0, 2.1], calls))
    assert started["event"] == "started"
    assert (mismatch["event"], mismatch["work"], mismatch["peer"]) == ("mismatch", "tiny", "torch")
    assert "array 0 of the answer differs by 0.1 in the max norm" in mismatch["reason"]
    assert result["peers"] == {}
    assert "torch" not in calls


def test_peer_that_cannot_be_had():
    _, skipped, result = measured(tiny(peers.PeerUnavailable("not installed")))
    assert skipped["event"] == "skipped"
    assert skipped["reason"] == "not installed"
    assert result["peers"] == {}


def test_peers_that_come_with_us_agree():
    [work] = find_works(["knn-one"])
    events = list(benchmarks.run_works([work], Settings(("cKDTree", "sklearn"), quick=True)))
    assert [event["event"] for event in events] == ["started", "result"]
    assert events[-1]["peers"].keys() == {"cKDTree", "sklearn"}


@pytest.mark.parametrize("name", ["train-64-32", "mixture-32", "knn-one", "solve-one-64"])
def test_our_answers_are_the_same_every_time(name):
    [work] = find_works([name])
    job = work.prepare(1)
    job.ours.run()  # must not move what the answer starts from
    first, again = job.ours.answer(), job.ours.answer()
    for a, b in zip(first, again, strict=True):
        assert np.abs(a).max() > 0.0
        np.testing.assert_array_equal(a, b)


def test_settings_threads(monkeypatch):
    monkeypatch.setattr(measure, "usable_processors", lambda: [0, 1, 2])
    batch, single = tiny([0.0], n_threads=2), tiny([0.0], single_calls=True)
    assert Settings().threads_of(batch) == 2
    assert Settings(n_threads=3).threads_of(batch) == 3
    assert Settings(n_threads=3).threads_of(single) == 1
    monkeypatch.setattr(measure, "usable_processors", lambda: [4])
    assert Settings().threads_of(batch) == 1


def test_first_hardware_threads_come_first(monkeypatch):
    monkeypatch.setattr(children, "usable_processors", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(children, "_sibling_rank", lambda cpu: cpu % 2)
    assert choose_processors(2) == [0, 2]
    assert choose_processors(3) == [0, 2, 1]
    assert choose_processors(9) == [0, 2, 1, 3]


def test_missing_and_broken_peers(monkeypatch):
    def refuse(name):
        raise ImportError("no libgomp")

    monkeypatch.setattr(peers, "import_module", refuse)
    with pytest.raises(peers.PeerUnavailable, match="scipy cannot be imported: no libgomp"):
        peers.load("cKDTree")
    monkeypatch.setattr(peers, "peer_version", lambda name: None)
    with pytest.raises(peers.PeerUnavailable, match=r"^not installed$"):
        peers.load("cKDTree")
    with pytest.raises(peers.PeerUnavailable, match="where the work has 4096 threads"):
        peers.require_processors(4096)


def test_nothing_imports_a_peer(tmp_path):
    names = ("torch", "jax", "keras", "pykdtree")
    for name in names:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    code = "import fastinv.cli, fastinv.benchmarks as b; b.works()"
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, check=True)


def test_workspace():
    mebibyte = 2**20

    def peak_of_48():
        np.ones(4 * mebibyte)  # 32 MiB, given back
        return np.ones(2 * mebibyte)

    found = workspace(peak_of_48)
    if found is None:
        pytest.skip("this system does not tell")
    assert 15 * mebibyte < found < 20 * mebibyte  # 32 MiB at the peak, 16 MiB of them returned


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("n_threads", [1, 3])
def test_fma_rate(isa, n_threads):
    assert _core.fma_rate_float32(1e-3, n_threads, isa) > 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1, ""), "seconds must be above 0"),
        ((np.nan, 1, ""), "seconds must be above 0"),
        ((11.0, 1, ""), "seconds must be above 0 and at most 10"),
        ((0.1, 0, ""), "n_threads must be from 1"),
        ((0.1, 1, "abacus"), "instruction set 'abacus' is not available"),
    ],
)
def test_fma_rate_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        _core.fma_rate_float32(*arguments)


def test_command_as_json(run):
    result = run("--quick", "--json", "--vs", "none", "--work", "mixture-32")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found.keys() == {"machine", "works", "skipped", "wrong"}
    assert found["machine"].keys() >= {"processor", "processors", "instruction_set", "versions"}
    assert found["machine"]["versions"].keys() >= {"fastinv", "python", "numpy", "scikit-learn"}
    [work] = found["works"]
    assert work.keys() == RESULT_KEYS
    assert (work["work"], work["n_threads"], work["peers"]) == ("mixture-32", 1, {})
    assert work["ours"]["n_calls"] == 200


def test_command_as_table(run):
    result = run("--quick", "--vs", "cKDTree", "--work", "knn-one")
    assert result.exit_code == 0, result.stderr
    for text in ("kNN, 600 x 2, one query", "fastinv", "cKDTree", "ratio", "ceiling", "workspace"):
        assert text in result.stdout
    assert "knn-one: kNN" in result.stderr
    assert "torch" not in result.stderr


def test_command_reports_a_wrong_answer(run, monkeypatch, in_this_process):
    monkeypatch.setattr(benchmarks, "works", lambda: {"tiny": tiny([1.0, 2.1])})
    monkeypatch.setattr(benchmarks, "find_works", lambda names: [tiny([1.0, 2.1])])
    result = run("--quick", "--json")
    assert result.exit_code == 1
    assert "torch in tiny: array 0 of the answer differs" in result.stderr
    assert "Error: answers differ, so that their times were not taken: torch in tiny" in (
        result.stderr
    )
    found = json.loads(result.stdout)
    assert found["works"][0]["peers"] == {}
    assert [wrong["peer"] for wrong in found["wrong"]] == ["torch"]


def test_quick_leaves_large_works_out(run, monkeypatch):
    asked = []
    monkeypatch.setattr(
        benchmarks,
        "run_in_children",
        lambda chosen, settings: iter(asked.append((chosen, settings)) or ()),
    )
    assert run("--quick").exit_code == 0
    assert run("--quick", "--work", "knn-1e6-float32", "--vs", "jax").exit_code == 0
    assert run("--threads", "1", "--repeats", "2").exit_code == 0
    (quick, first), (named, second), (everything, third) = asked
    assert not any(work.heavy for work in quick)
    assert [work.name for work in named] == ["knn-1e6-float32"]
    assert [work.name for work in everything] == list(works())
    assert first == Settings(tuple(benchmarks.PEERS), 3, True, None)
    assert second == Settings(("jax",), 3, True, None)
    assert third == Settings(tuple(benchmarks.PEERS), 2, False, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--work", "fly"], "no work is called 'fly'; there are: train-640-32"),
        (["--vs", "abacus"], "'abacus' is not one of"),
        (["--threads", "0"], "--threads"),
        (["--threads", "4096"], "4096 is more than the processors that this process may use"),
        (["--repeats", "0"], "--repeats"),
    ],
)
def test_command_refuses(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


def test_child_that_fails(run, monkeypatch, capfd):
    monkeypatch.setattr(children, "choose_processors", lambda n: [])  # no system grants none
    with pytest.raises(ChildFailed, match="ended with status 1"):
        list(benchmarks.run_in_children(find_works(["mixture-32"]), Settings()))
    assert "Traceback" in capfd.readouterr().err
    result = run("--vs", "none", "--work", "mixture-32")
    assert result.exit_code == 1
    assert "Error: the measuring process ended with status 1" in result.stderr
