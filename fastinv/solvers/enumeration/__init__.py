"""Every solution of a problem, paths of solutions, and samples where there are infinitely many."""
