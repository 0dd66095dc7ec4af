"""The report of the experiments: numbers, tables and figures."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import fastinv as fi
from fastinv.reproduce import FAST, AblationRow, Table, run_tables
from fastinv.reproduce.report.circumstances import circumstances
from fastinv.reproduce.report.figures import draw_by_anchor
from fastinv.reproduce.report.report import report_text, results_content
from fastinv.reproduce.report.sketch import draw_sketch

SHORT = replace(
    FAST.with_networks(max_iter=1),
    n_direct=200,
    n_ranked=7,
    known_forward={**FAST.known_forward, "network__max_iter": 1, "pairs__n_pairs": 2000},
)
ROWS = [
    AblationRow("known_forward", "recipe", "unchanged", 1, 0.2, 0.1, 1.0, 2.0, 5.0),
    AblationRow("known_forward", "recipe", "unchanged", 7, 0.02, 0.01, 1.0, 4.0, 5.0),
    AblationRow("known_forward", "loss", "squared", 1, 0.5, 0.3, 3.0, 2.5, 5.0),
    AblationRow("known_forward", "polish", "twin, on", 1, 1e-9, 1e-16, 1e-15, None, 44.4),
    AblationRow("noisy_data", "recipe", "unchanged", 1, 0.4, 0.3, 1.0, 2.0, 5.0),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTINV_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def tables():
    return run_tables((1, 8), seeds=(3, 4), recipe=SHORT)


def line_of(text, *starts):
    """The cells of the only line that starts with these cells."""
    start = "| " + " | ".join(starts) + " |"
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_results_have_the_papers_keys(tables):
    content = json.loads(json.dumps(results_content(tables, SHORT, (3, 4)), allow_nan=False))
    for protocol in ("paper_protocol", "nearest_protocol"):
        of_8 = content[protocol]["experiments"]["8"]
        assert {"knn_by_anchor", "itnnr_by_anchor", "itnnr_best_exact", "nn"} < set(
            of_8["known_forward"]
        )
        assert "itnnr_best_learned" in of_8["noisy_data"]
        assert "itnnr_branch_recall" not in of_8["known_forward"]
        assert len(of_8["known_forward"]["knn_by_anchor"]["mean"]) == 5
    ours = content["paper_protocol"]["experiments"]["1"]["known_forward"]["nn"]["mean"]
    seeds = [result.paper_protocol.direct for result in tables[1].results[1]]
    assert ours == [pytest.approx(np.mean(seeds))]
    assert len(content["fit_seconds"]["8"]["noisy_data"]["forward"]) == 2


def test_report_has_ours_beside_the_papers(tables):
    text = report_text(tables, SHORT, (3, 4), ["figure_8.png"])
    for piece in ("Table 1", "Table 2", "(0.0051 ± 0.0013)", "(0.0247 ± ", "![figure_8.png]"):
        assert piece in text
    for table in text.split("\n\n"):
        if table.startswith("| "):
            assert len({line.count("|") for line in table.splitlines()}) == 1


@pytest.mark.parametrize("table", [1, 2])
def test_figure_by_anchor_has_the_papers_and_ours(tables, table):
    figure = draw_by_anchor(tables[table])
    first = figure.axes[0]
    labels = first.get_legend_handles_labels()[1]
    assert len(labels) == {1: 6, 2: 8}[table]
    assert first.get_yscale() == "log"


def test_ratios_to_the_paper(tables):
    polished = {"twin_polished": 0.3, "twin_polished_many": 0.2}
    results = tuple(
        replace(result, paper_protocol=replace(result.paper_protocol, **polished))
        for result in tables[2].results[8]
    )
    tables = {1: tables[1], 2: Table(2, {8: results})}
    text = report_text(tables, SHORT, (3, 4))
    ratios = [
        next(line for line in part.splitlines() if line.startswith("| 8 |")).split("|")[2:-1]
        for part in text.split("| ours / paper, experiment |")[1:]
    ]
    assert [len(cells) for cells in ratios] == [2, 2, 4, 4]
    ours, paper = tables[2].paper_protocol(8).mean, fi.reproduce.paper_result(8, "noisy_data").mean
    expected = [
        ours.twin_by_anchor[0] / paper.twin_by_anchor[0],
        ours.twin_best_learned / paper.twin_best_learned,
        ours.twin_polished / paper.twin_best_learned,
        ours.twin_polished_many / paper.twin_best_learned,
    ]
    assert [float(cell) for cell in ratios[2]] == pytest.approx(expected, rel=0.02, abs=0.006)


def test_ablation_has_a_column_per_experiment():
    text = report_text({}, SHORT, (0,), rows=ROWS)
    both = line_of(text, "recipe", "unchanged", "0.2000 / 0.1000 (1.00)")
    assert both[3:] == ["0.0200 / 0.0100 (1.00)", "3.0", "5 / 5"]
    squared = line_of(text, "loss", "squared")
    assert squared[2:] == ["0.5000 / 0.3000 (3.00)", "-", "2.5", "5"]
    polished = line_of(text, "polish", "twin, on")
    assert polished[2:] == ["1.0e-09 / 1.0e-16 (< .01)", "-", "-", "44"]
    content = json.loads(json.dumps(results_content({}, SHORT, (0,), ROWS)))
    assert content["ablation"][2]["ratio"] == 3.0


def test_circumstances_name_command_machine_and_versions():
    text = circumstances({"experiments": "1,7", "ablation": True, "json": False}, 12.3, 2)
    assert text.startswith("`fastinv reproduce --experiments 1,7 --ablation`: 12 s")
    assert f"fastinv {fi.__version__}," in text
    assert "processes: 2, threads of each: 1" in text
    assert text in report_text({}, SHORT, (0,), circumstances=text)


def test_sketch_shows_solutions_of_one_target_from_two_anchors():
    lines = draw_sketch().axes[0].get_lines()
    hollow = [line for line in lines if line.get_markerfacecolor() == "white"]
    filled = [line for line in lines if line.get_marker() in "os" and line not in hollow]
    for points in (hollow, filled):
        x = np.array([line.get_xdata()[0] for line in points])
        y = np.array([line.get_ydata()[0] for line in points])
        assert len(x) == 2
        assert x[0] != x[1]
        np.testing.assert_allclose(fi.problems.cubic.forward(x[:, None])[:, 0], y, atol=1e-9)
