"""Checks of arguments that all backends share."""
