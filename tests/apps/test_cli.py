"""The command line: output where it belongs, exit codes, messages instead of tracebacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

import pytest
from typer.testing import CliRunner

import fastinv as fi
import fastinv.demo
from fastinv import _core
from fastinv.cli import app, info
from fastinv.cli import reproduce as reproduce_command

PNG = b"\x89PNG"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTINV_ISA", raising=False)
    monkeypatch.setenv("FASTINV_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "120")
    return lambda *arguments: CliRunner().invoke(app, arguments)


@pytest.fixture
def short_trainings(monkeypatch):
    monkeypatch.setattr(
        fastinv.demo, "run_demo", partial(fastinv.demo.run_demo, max_iter=2, n_calls=10)
    )
    for name, recipe in list(reproduce_command.RECIPES.items()):
        monkeypatch.setitem(reproduce_command.RECIPES, name, recipe.with_networks(max_iter=2))


def test_version(run):
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"{fi.__version__}\n")


def test_info_as_json(run):
    result = run("info", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["version"] == fi.__version__
    assert found["instruction_sets_available"] == _core.isas()
    assert found["instruction_set"] in _core.isas()
    assert found["threads"] == 1
    assert found["environment"]["FASTINV_NUM_THREADS"] == "1"
    assert found["backends"] == {
        "cpp": {"works": True, "reason": None},
        "reference": {"works": True, "reason": None},
    }


def test_info_as_table(run):
    result = run("info")
    assert result.exit_code == 0
    for text in (fi.__version__, *_core.isas(), "threads", "backend cpp", "works"):
        assert text in result.stdout


def test_info_obeys_the_environment(run, monkeypatch):
    monkeypatch.setenv("FASTINV_ISA", "baseline")
    assert json.loads(run("info", "--json").stdout)["instruction_set"] == "baseline"


def test_info_reports_what_does_not_work(run, monkeypatch):
    monkeypatch.setenv("FASTINV_ISA", "z80")
    result = run("info", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 2
    assert found["instruction_set"] is None
    assert not found["backends"]["cpp"]["works"]
    assert "z80" in found["backends"]["cpp"]["reason"]
    assert found["backends"]["reference"]["works"]
    assert "Error: not every backend works here" in result.stderr


def test_info_notices_a_backend_that_is_wrong(run, monkeypatch):
    class Wrong:
        def rank(self, residuals):
            return residuals.astype(int)

    monkeypatch.setattr(info, "get_backend", lambda name: Wrong())
    result = run("info", "--json")
    assert result.exit_code == 2
    assert "ranks (2, 1)" in json.loads(result.stdout)["backends"]["cpp"]["reason"]


@pytest.mark.parametrize("command", ["info", "demo", "reproduce"])
def test_wrong_number_of_threads(run, monkeypatch, command):
    monkeypatch.setenv("FASTINV_NUM_THREADS", "many")
    result = run(command)
    assert result.exit_code == 2
    assert "FASTINV_NUM_THREADS must be a positive integer, got 'many'" in result.stderr
    assert result.stdout == ""


def test_demo_as_json(run, tmp_path):
    result = run("demo", "--targets", "100", "--out", "arm.png", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["improvement"] >= 10
    assert found["n_targets"] == 100
    assert found["latency_microseconds"]["n_calls"] == 2000
    assert found["picture"] == "arm.png"
    assert (tmp_path / "arm.png").read_bytes().startswith(PNG)
    assert "Training" in result.stderr


def test_demo_as_table(run, tmp_path, short_trainings):
    result = run("demo", "--targets", "33", "--seed", "3")
    assert result.exit_code == 0, result.stderr
    for text in (
        "33 targets, 1,000 anchors, seed 3",
        "nearest anchor (kNN)",
        "direct network",
        "twin network, 1st anchor",
        "twin network, best of 5",
        "p50",
        "p99",
        "Picture: fastinv_demo.png",
    ):
        assert text in result.stdout
    assert (tmp_path / "fastinv_demo.png").read_bytes().startswith(PNG)


def test_demo_draws_other_formats(run, tmp_path, short_trainings):
    assert run("demo", "--targets", "5", "--out", "arm.SVG").exit_code == 0
    assert b"<svg" in (tmp_path / "arm.SVG").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--out", "missing/arm.png"], "there is no folder missing"),
        (["demo", "--out", "arm.doc"], "arm.doc must end in one of"),
        (["demo", "--out", "arm"], "arm must end in one of"),
        (["demo", "--out", "folder.png"], "folder.png cannot be written to"),
        (["demo", "--targets", "0"], "--targets"),
        (["demo", "--seed", "-1"], "--seed"),
        (["demo", "--seed", "x"], "--seed"),
        (["reproduce", "--experiments", "0"], "'0' must be numbers from 1 to 9 like 1,7"),
        (["reproduce", "--experiments", "1,,7"], "'1,,7' must be numbers from 1 to 9"),
        (["reproduce", "--experiments", "ten"], "'ten' must be numbers from 1 to 9"),
        (["reproduce", "--quick", "--experiments", "1"], "either --quick or --experiments"),
        (["reproduce", "--seeds", "0"], "--seeds"),
        (["reproduce", "--table", "3"], "--table"),
        (["reproduce", "--recipe", "slow"], "--recipe"),
        (["reproduce", "--experiments", "1", "--out", "file"], "file is no folder"),
        (["invert"], "No such command"),
    ],
)
def test_wrong_use(run, tmp_path, arguments, message):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_picture_that_cannot_be_written_after_all(run, monkeypatch, short_trainings):
    class Full:
        def savefig(self, file, **options):
            raise OSError("no space left")

    monkeypatch.setattr(fastinv.demo, "draw_demo", lambda result: Full())
    result = run("demo", "--targets", "5")
    assert result.exit_code == 1
    assert "Error: cannot write the picture: no space left" in result.stderr


def test_interruption(run, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(fastinv.demo, "run_demo", interrupted)
    result = run("demo")
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


def test_reproduce_as_json(run, short_trainings):
    result = run("reproduce", "--quick", "--seed", "4", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["random_state"] == 4
    assert [e["number"] for e in found["experiments"]] == [1, 7]
    assert found["experiments"][0]["paper"]["mean"]["twin_best"] == 0.005077
    assert "Experiment 7" in result.stderr


def test_reproduce_as_table(run, short_trainings):
    result = run("reproduce", "--experiments", "2")
    assert result.exit_code == 0, result.stderr
    for text in ("Experiment 2", "0.0026 ± 0.0004", "anchors 2-6", "anchors 1-5", "twin, best"):
        assert text in result.stdout
    assert "Experiment 1" not in result.stdout


def test_reproduce_writes_a_report(run, tmp_path, short_trainings):
    arguments = ("reproduce", "--experiments", "1,7", "--seeds", "1", "--seed", "4", "--json")
    first = run(*arguments, "--out", "report")
    assert first.exit_code == 0, first.stderr
    written = json.loads((tmp_path / "report/results.json").read_text("utf-8"))
    assert written == json.loads(first.stdout)
    assert (written["recipe"], written["seeds"]) == ("fast", [4])
    assert set(written["paper_protocol"]["experiments"]["7"]) == {"known_forward", "noisy_data"}
    for number in (2, 4, 5, 6, 7, 8, 9):
        assert (tmp_path / f"report/figure_{number}.png").read_bytes().startswith(PNG)
    assert "figure_9.png" in (tmp_path / "report/report.md").read_text("utf-8")
    again = json.loads(run(*arguments, "--table", "both").stdout)
    assert again.pop("fit_seconds").keys() == written.pop("fit_seconds").keys()
    assert again == written


def test_reproduce_prints_table_2(run, short_trainings):
    result = run("reproduce", "--experiments", "8", "--seeds", "1", "--table", "2")
    assert result.exit_code == 0, result.stderr
    assert "Table 2" in result.stdout
    assert "(0.0247 ± " in result.stdout
    assert "Table 1:" not in result.stdout


def test_reproduce_runs_all_nine_by_default(run, monkeypatch):
    class Enough(Exception):
        pass

    asked = []

    def run_experiment(problem, seed, recipe, verbose):
        asked.append(problem.experiment)
        if len(asked) == 9:
            raise Enough

    monkeypatch.setattr(reproduce_command, "run_experiment", run_experiment)
    assert isinstance(run("reproduce").exception, Enough)
    assert asked == list(range(1, 10))


def test_module_runs_like_the_script():
    environment = {**os.environ, "FASTINV_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "fastinv", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == fi.__version__
