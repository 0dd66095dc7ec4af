"""What `fit` of a solver does beside training: checks, anchors, and what follows from them."""
