"""The work of a solver's `fit` other than training: checks, anchors and derived values."""
