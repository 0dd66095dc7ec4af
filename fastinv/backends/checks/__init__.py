"""What every backend asks of its arguments."""
