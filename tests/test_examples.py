"""The examples run, and print what their text promises."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
EXPECTED = {
    "arm_from_formula.py": ["joint angles that reach", "CONVERGED", "from the state"],
    "inverse_from_data.py": ["x with f(x) = 0.5", "twin network", "one network"],
    "mixture_tutorial.py": ["forward network", "inverse network", "modes of p(x | y = 0.4)"],
    "robot_arms.py": ["8 postures reach one pose", "100 reached, 0 jumps", "200 postures", "scara"],
    "thin_film.py": ["CONVERGED", "0 have a solution to rounding", "40 have one", "starts"],
}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example(name):
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for words in EXPECTED[name]:
        assert words in done.stdout
