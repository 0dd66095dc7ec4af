"""Colours and lines of the figures: Okabe and Ito's palette.

Different meanings also differ in marker or line.
"""

from __future__ import annotations

from typing import Any

BLUE, ORANGE, GREEN, PINK, YELLOW = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"
CURVE: dict[str, Any] = {"color": "0.6", "linewidth": 3.0, "label": "f"}
