"""Being written."""


class KDTree:
    """Being written."""
