"""The report of a reproduction, with its figures."""
