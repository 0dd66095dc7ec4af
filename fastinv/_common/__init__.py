"""Checks and threads: what every layer uses and no user imports."""
