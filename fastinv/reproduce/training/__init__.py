"""How networks are trained in a reproduction."""
