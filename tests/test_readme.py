"""The README's examples run, one after the other, and find what its text says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import fastinv as fi

README = Path(__file__).parents[1] / "README.md"


def test_examples(capsys, monkeypatch):
    monkeypatch.setenv("FASTINV_NUM_THREADS", "1")
    from_formula, parts, every_solution, hot_loops, from_data, probabilities = re.findall(
        r"```python\n(.*?)```", README.read_text("utf-8"), flags=re.DOTALL
    )
    names: dict[str, object] = {}
    exec(from_formula, names)
    assert "CONVERGED" in capsys.readouterr().out
    solutions = names["solutions"]
    for elbow in ([1.159, -1.176], [-0.016, 1.176]):
        assert np.abs(solutions.x[0] - elbow).max(axis=1).min() < 0.01
    exec(parts, names)
    assert names["small"].network_.n_iter_ == 20
    exec(every_solution, names)
    assert names["found"].count.tolist() == [2, 1, 0]
    assert "error (-1, " in capsys.readouterr().out
    assert names["found"].search_status.tolist() == [fi.SearchStatus.ENDED] * 3
    assert (names["found"].x_error[0, :2] < 1e-14).all()
    assert names["path"].n_jumps == 0
    assert (names["path"].residual < 1e-12).all()
    exec(hot_loops, names)
    assert np.abs(names["arm"](names["state"][None]) - names["circle"][-1]).max() < 1e-12
    exec(probabilities, names)
    assert names["mixture"].log_prob([[0.5], [0.95]]).shape == (2,)
    exec(from_formula, names)
    exec(from_data, names)
    assert np.abs(names["arm"](names["solutions"].best) - [[1.4, 0.9], [0.5, 1.8]]).max() < 0.1
