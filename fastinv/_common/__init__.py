"""Checks, files and threads, which every layer uses and no user imports."""
