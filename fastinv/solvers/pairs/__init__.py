"""What twin networks are trained on."""
