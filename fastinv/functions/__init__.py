"""Forward functions: what a solver inverts."""
